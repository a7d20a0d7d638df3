// The types of settings: text of a flag or variable, or the YAML type of a file, parsed once into the value used. Pure.
// Each unit has one message that says what is wanted; the resolver puts the name the user typed before it.
import * as v from "valibot";

/** An address to connect to or to listen on. `host` is a name, IPv4 or IPv6 without brackets. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** A schema whose input is text or the YAML scalar, refused with `message` when `parse` gives undefined. */
function unit<T>(message: string, parse: (input: string) => T | undefined) {
  return v.pipe(
    v.union([v.string(), v.number()], message),
    v.rawTransform<string | number, T>(({ dataset, addIssue, NEVER }) => {
      const parsed = parse(String(dataset.value));
      if (parsed !== undefined) return parsed;
      addIssue({ message });
      return NEVER;
    }),
  );
}

/** Decimal digits between two bounds, or undefined. No signs, spaces, exponents or underscores. */
function integerWithin(text: string, least: number, most: number): number | undefined {
  if (!/^\d{1,16}$/.test(text)) return undefined;
  const number = Number(text);
  return number >= least && number <= most ? number : undefined;
}

const MAX_PORT = 65_535;

/** TCP port. 0 turns a listener off. */
export const Port = unit("must be a port number (0-65535)", (text) => integerWithin(text, 0, MAX_PORT));

export const PositiveInt = unit("must be a whole number, 1 or more", (text) =>
  integerWithin(text, 1, Number.MAX_SAFE_INTEGER),
);

/** User or group number. The last value of 32 bits means "none" to the kernel (setuid(2)). */
export const Id = unit("must be a user or group number (0-4294967294)", (text) => integerWithin(text, 0, 2 ** 32 - 2));

/** Timers count milliseconds in 31 bits and fire at once beyond that. */
const MAX_DURATION_MS = 2 ** 31 - 1;

const NANOSECONDS = {
  ns: 1,
  us: 1e3,
  µs: 1e3, // U+00B5 micro sign
  μs: 1e3, // U+03BC Greek mu
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3_600e9,
} as const;
const DURATION_PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g;
const DURATION = new RegExp(`^\\+?(?:${DURATION_PART.source})+$`);

/** Go's time.ParseDuration without negative values: milliseconds, with fractions. */
function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!DURATION.test(text)) return undefined;
  let nanoseconds = 0;
  for (const [, amount, name] of text.matchAll(DURATION_PART)) {
    nanoseconds += Number(amount) * NANOSECONDS[name as keyof typeof NANOSECONDS];
  }
  const milliseconds = Math.round(nanoseconds) / 1e6;
  return milliseconds <= MAX_DURATION_MS ? milliseconds : undefined;
}

const DURATION_MESSAGE = "must be a duration such as 250ms, 5s or 1m30s, at most 596h";

/** Go's duration text, in milliseconds. */
export const Duration = unit(DURATION_MESSAGE, parseDuration);

/** As Duration; a bare number is seconds, for names that end in _SECONDS. */
export const DurationOrSeconds = unit(`${DURATION_MESSAGE}, or a number of seconds`, (text) =>
  parseDuration(/^\d+$/.test(text) ? `${text}s` : text),
);

/** Go's strconv.ParseBool. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "TRUE", "true", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((text) => [text, false] as const),
]);
const BOOL_MESSAGE = "must be true or false";

export const Bool = v.pipe(
  v.union([v.string(), v.boolean()], BOOL_MESSAGE),
  v.rawTransform<string | boolean, boolean>(({ dataset, addIssue, NEVER }) => {
    const parsed = BOOLEANS.get(String(dataset.value));
    if (parsed !== undefined) return parsed;
    addIssue({ message: BOOL_MESSAGE });
    return NEVER;
  }),
);

/** Decimal units as in SI, binary ones as in IEC; the one-letter and two-letter forms are Kubernetes' quantities. */
const SIZE_FACTORS: ReadonlyMap<string, number> = new Map(
  [["", 0] as const, ["k", 1] as const, ["K", 1] as const, ["M", 2] as const, ["G", 3] as const].flatMap(
    ([prefix, power]): [string, number][] => [
      [prefix, 1000 ** power],
      [`${prefix}B`, 1000 ** power],
      ...(power > 0
        ? ([
            [`${prefix}i`, 1024 ** power],
            [`${prefix}iB`, 1024 ** power],
          ] as [string, number][])
        : []),
    ],
  ),
);

/** Bytes: `65536`, `64KiB`, `64Ki`, `10MB`. */
export const Size = unit("must be a size such as 65536, 64KiB or 1MiB", (text) => {
  const [, digits, suffix] = /^(\d{1,16})([A-Za-z]*)$/.exec(text) ?? [];
  const factor = SIZE_FACTORS.get(suffix ?? "");
  if (digits === undefined || factor === undefined) return undefined;
  const bytes = Number(digits) * factor;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
});

/** `HOST:PORT` with a port of 1 or more; IPv6 in brackets. */
function parseHostPort(text: string): HostAndPort | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/@]+)):(\d{1,5})$/.exec(text);
  const port = integerWithin(match?.[3] ?? "", 1, MAX_PORT);
  const host = match?.[1] ?? match?.[2];
  return host === undefined || port === undefined ? undefined : { host, port };
}

export const HostPort = unit("must be HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080", parseHostPort);

/** As HostPort; a bare port is every address of both families, `::`. */
export const ListenAddress = unit("must be PORT or HOST:PORT, for example 8080 or 127.0.0.1:8080", (text) =>
  parseHostPort(/^\d+$/.test(text) ? `[::]:${text}` : text),
);

/** Text as it is. Files must say text: `"5"`, not `5`. */
export const Text = v.string("must be text; put it in quotes");

/** Comma-separated items; empty ones are dropped, as Istio does. */
function csv(text: string): string[] {
  return text.split(",").filter((item) => item !== "");
}

/** The numbers of a comma-separated list, or undefined when one of them is wrong. */
function integersOf(text: string, least: number, most: number): number[] | undefined {
  const numbers = csv(text).map((item) => integerWithin(item, least, most));
  return numbers.includes(undefined) ? undefined : (numbers as number[]);
}

/** Comma-separated ports: `80,443`. */
export const PortCsv = unit("must be ports separated by commas (80,443)", (text) => integersOf(text, 1, MAX_PORT));

/** Comma-separated ports, or `*` for all. */
export const PortCsvOrAll = unit('must be ports separated by commas (80,443), or "*" for all', (text) =>
  text === "*" ? ("*" as const) : integersOf(text, 1, MAX_PORT),
);

/** Comma-separated user or group numbers. */
export const IdCsv = unit("must be user or group numbers separated by commas (1337)", (text) =>
  integersOf(text, 0, 2 ** 32 - 2),
);
