import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import {
  Bool,
  Duration,
  DurationOrSeconds,
  HostPort,
  Id,
  IdCsv,
  ListenAddress,
  Port,
  PortCsv,
  PortCsvOrAll,
  PositiveInt,
  Size,
} from "../../src/config/units.ts";

/** The parsed value, or the message of the refusal. */
function read(schema: v.GenericSchema, input: unknown): unknown {
  const parsed = v.safeParse(schema, input);
  return parsed.success ? parsed.output : { refused: parsed.issues[0].message };
}
const refused = (schema: v.GenericSchema, input: unknown) =>
  (read(schema, input) as { refused?: string } | undefined)?.refused;

describe("good values", () => {
  const table: [string, v.GenericSchema, unknown, unknown][] = [
    ["Port", Port, "0", 0],
    ["Port", Port, "65535", 65_535],
    ["Port", Port, 15_020, 15_020],
    ["Port with zeros", Port, "0080", 80],
    ["Id", Id, "4294967294", 4_294_967_294],
    ["PositiveInt", PositiveInt, 3, 3],
    ["Duration", Duration, "0", 0],
    ["Duration", Duration, "0s", 0],
    ["Duration", Duration, "250ms", 250],
    ["Duration", Duration, "1m30s", 90_000],
    ["Duration", Duration, "1.5s", 1_500],
    ["Duration", Duration, ".5s", 500],
    ["Duration", Duration, "1.s", 1_000],
    ["Duration", Duration, "+2h", 7_200_000],
    ["Duration", Duration, "1us", 0.001],
    ["Duration", Duration, "1µs2μs3ns", 0.003_003],
    ["Duration", Duration, "596h", 2_145_600_000],
    ["DurationOrSeconds", DurationOrSeconds, "5", 5_000],
    ["DurationOrSeconds", DurationOrSeconds, 5, 5_000],
    ["DurationOrSeconds", DurationOrSeconds, "250ms", 250],
    ["Bool", Bool, true, true],
    ...["1", "t", "T", "TRUE", "true", "True"].map((text): [string, v.GenericSchema, unknown, unknown] => [
      "Bool",
      Bool,
      text,
      true,
    ]),
    ...["0", "f", "F", "FALSE", "false", "False"].map((text): [string, v.GenericSchema, unknown, unknown] => [
      "Bool",
      Bool,
      text,
      false,
    ]),
    ["Size", Size, 4096, 4_096],
    ["Size", Size, "65536", 65_536],
    ["Size", Size, "10B", 10],
    ["Size", Size, "64KiB", 65_536],
    ["Size", Size, "64Ki", 65_536],
    ["Size", Size, "10MB", 10_000_000],
    ["Size", Size, "1Gi", 1_073_741_824],
    ["HostPort", HostPort, "example.com:80", { host: "example.com", port: 80 }],
    ["HostPort", HostPort, "[::1]:8080", { host: "::1", port: 8_080 }],
    ["ListenAddress", ListenAddress, "8080", { host: "::", port: 8_080 }],
    ["ListenAddress", ListenAddress, 8080, { host: "::", port: 8_080 }],
    ["ListenAddress", ListenAddress, "127.0.0.1:8080", { host: "127.0.0.1", port: 8_080 }],
    ["PortCsv", PortCsv, "80,,443,", [80, 443]],
    ["PortCsv of one YAML number", PortCsv, 80, [80]],
    ["PortCsvOrAll", PortCsvOrAll, "*", "*"],
    ["PortCsvOrAll", PortCsvOrAll, "", []],
    ["IdCsv", IdCsv, "1337,0", [1337, 0]],
  ];
  test.each(
    table.map(([name, schema, input, value]) => ({ title: `${name} ${JSON.stringify(input)}`, schema, input, value })),
  )("$title", ({ schema, input, value }) => {
    expect(read(schema, input)).toEqual(value);
  });
});

describe("bad values", () => {
  const table: [string, v.GenericSchema, unknown[], RegExp][] = [
    [
      "Port",
      Port,
      ["abc", "", "-1", "65536", "1.5", " 80", "80 ", "1e3", "0x50", 1.5, -1, 70_000, true, null, [], {}],
      /^must be a port number \(0-65535\)$/,
    ],
    ["Id", Id, ["4294967295", "root", "-1"], /^must be a user or group number/],
    ["PositiveInt", PositiveInt, ["0", "", "99999999999999999999"], /^must be a whole number, 1 or more$/],
    [
      "Duration",
      Duration,
      ["5", 5, "", "s", "-5s", "5 s", "5S", "1d", "5s5", "1h-1m", "597h", "1e3s", "NaNs", true],
      /^must be a duration such as 250ms, 5s or 1m30s, at most 596h$/,
    ],
    ["DurationOrSeconds", DurationOrSeconds, ["", "-5", "5 ", "five"], /, or a number of seconds$/],
    ["Bool", Bool, ["yes", "on", "", "TrUe", 1, 0], /^must be true or false$/],
    ["Size", Size, ["", "64kib", "1.5MiB", "-1", "1TB", "KiB", "99999999999GiB", "1 KiB"], /^must be a size such as/],
    [
      "HostPort",
      HostPort,
      ["80", "host", "host:", ":80", "host:0", "host:70000", "::1:80", "[::1]", "http://a:80", "a b:80", "a/b:80"],
      /^must be HOST:PORT/,
    ],
    ["ListenAddress", ListenAddress, ["0", "70000", "", ":80", "localhost"], /^must be PORT or HOST:PORT/],
    ["PortCsv", PortCsv, ["80,x", "*", "0", "80 ,443"], /^must be ports separated by commas \(80,443\)$/],
    ["PortCsvOrAll", PortCsvOrAll, ["*,80", "x"], /or "\*" for all$/],
    ["IdCsv", IdCsv, ["istio-proxy", "1,-2"], /^must be user or group numbers/],
  ];
  test.each(
    table.flatMap(([name, schema, inputs, message]) =>
      inputs.map((input) => ({ title: `${name} ${JSON.stringify(input)}`, schema, input, message })),
    ),
  )("$title", ({ schema, input, message }) => {
    expect(refused(schema, input)).toMatch(message);
  });
});

describe("properties", () => {
  /** Go's way of writing a duration of whole microseconds. */
  const goDuration = (microseconds: number) => {
    const hours = Math.floor(microseconds / 3.6e9);
    const minutes = Math.floor((microseconds % 3.6e9) / 6e7);
    const rest = microseconds % 6e7;
    const seconds = `${Math.floor(rest / 1e6)}.${String(rest % 1e6).padStart(6, "0")}s`;
    return `${hours > 0 ? `${hours}h` : ""}${minutes > 0 || hours > 0 ? `${minutes}m` : ""}${seconds}`;
  };

  test("a duration written in Go's way is read as the same number", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2_147_483_647_000 }), (microseconds) => {
        expect(read(Duration, goDuration(microseconds))).toBeCloseTo(microseconds / 1000, 3);
      }),
    );
  });

  test("a size written in the largest binary unit that fits is read as the same number", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4095 }), fc.constantFrom("", "Ki", "Mi", "Gi"), (amount, unit) => {
        const bytes = amount * 1024 ** ["", "Ki", "Mi", "Gi"].indexOf(unit);
        expect(read(Size, `${amount}${unit}`)).toBe(bytes);
        expect(read(Size, `${amount}${unit}B`)).toBe(bytes);
      }),
    );
  });

  test("no text makes a unit throw or give something that is not a number", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ maxLength: 12 }), fc.stringMatching(/^[0-9.+-]{0,9}[a-zA-Zµ]{0,3}$/)),
        (text) => {
          for (const schema of [Port, Id, Duration, DurationOrSeconds, Size]) {
            const value = read(schema, text);
            expect(
              typeof value === "number" ? Number.isFinite(value) && value >= 0 : refused(schema, text) !== "",
            ).toBe(true);
          }
        },
      ),
    );
  });
});
