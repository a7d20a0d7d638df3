// The rules of the configuration file, in the words of Istio's VirtualService, and the flat form the data path reads. Pure.
// What VirtualService knows and this does not is refused by name, never skipped.
import * as v from "valibot";
import { Duration, Text } from "./units.ts";

/** One text condition: the whole text, or its beginning. Case-sensitive, as in Istio. */
export interface TextMatch {
  readonly kind: "exact" | "prefix";
  readonly text: string;
}

/** All conditions that are there must hold. `uri` is compared with the path of the request target, without its query. */
export interface HttpMatch {
  readonly uri: TextMatch | undefined;
  readonly method: TextMatch | undefined;
}

/** Done in this order: remove, set, add. Names keep the case of the file. */
export interface HeaderOperations {
  readonly remove: readonly string[];
  readonly set: readonly (readonly [name: string, value: string])[];
  readonly add: readonly (readonly [name: string, value: string])[];
}

/**
 * What happens to a request that matches. Routes are tried in their order and the first that matches applies, alone.
 * An empty `match` matches everything; of several, one must hold.
 */
export interface HttpRoute {
  /** As in the file, else its place in it: `http[0]`. */
  readonly name: string;
  readonly match: readonly HttpMatch[];
  readonly request: HeaderOperations;
  readonly response: HeaderOperations;
  /** Pause before the request goes upstream: milliseconds, 0 for none. */
  readonly delayMs: number;
}

const TextMatchSchema = v.pipe(
  v.strictObject({ exact: v.optional(Text), prefix: v.optional(Text) }),
  v.metadata({ unsupported: ["regex"] }),
  v.check((match) => (match.exact === undefined) !== (match.prefix === undefined), "must have one of exact and prefix"),
  v.transform(
    ({ exact, prefix }): TextMatch =>
      exact === undefined ? { kind: "prefix", text: prefix ?? "" } : { kind: "exact", text: exact },
  ),
);

const HttpMatchSchema = v.pipe(
  v.strictObject({ uri: v.optional(TextMatchSchema), method: v.optional(TextMatchSchema) }),
  v.metadata({
    unsupported: [
      "name",
      "scheme",
      "authority",
      "headers",
      "withoutHeaders",
      "port",
      "sourceLabels",
      "sourceNamespace",
      "gateways",
      "queryParams",
      "ignoreUriCase",
      "statPrefix",
    ],
  }),
  v.transform(({ uri, method }): HttpMatch => ({ uri, method })),
);

/** RFC 9110 §5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Names that a rule may not touch: the proxy needs them right, or the message would be framed differently than it is. */
const FRAMING = "it frames the message or belongs to one connection, and the proxy sets it";
const REFUSED_HEADERS: ReadonlyMap<string, string> = new Map([
  ["host", "it chooses the server; a rule cannot change where a request goes"],
  ...[
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
  ].map((name) => [name, FRAMING] as const),
]);

const HeaderName = v.pipe(
  Text,
  v.regex(TOKEN, "must be a header name: letters, digits and !#$%&'*+-.^_`|~ only"),
  v.check(
    (name) => !REFUSED_HEADERS.has(name.toLowerCase()),
    (issue) => `cannot be changed by a rule: ${REFUSED_HEADERS.get(String(issue.input).toLowerCase())}`,
  ),
);

/** Sent as latin1; control characters other than tab could end the line early. */
const HeaderValue = v.pipe(
  Text,
  v.regex(/^[\t\x20-\x7e\x80-\xff]*$/, "must be a header value: printable latin1 text without line ends"),
);

/** Names that a record leaves out without a word; nobody needs them, so they are refused aloud. */
const UNUSABLE_NAMES = ["__proto__", "prototype", "constructor"];

const HeaderLines = v.pipe(
  v.unknown(),
  v.check(
    (lines) =>
      typeof lines !== "object" || lines === null || !UNUSABLE_NAMES.some((name) => Object.hasOwn(lines, name)),
    `cannot have a header named ${UNUSABLE_NAMES.join(", ")}`,
  ),
  v.record(HeaderName, HeaderValue),
  v.transform((lines): HeaderOperations["set"] => Object.entries(lines)),
);

const HeaderOperationsSchema = v.strictObject({
  remove: v.optional(v.array(HeaderName), []),
  set: v.optional(HeaderLines, {}),
  add: v.optional(HeaderLines, {}),
});

const HeadersSchema = v.strictObject({
  request: v.optional(HeaderOperationsSchema, {}),
  response: v.optional(HeaderOperationsSchema, {}),
});

const DelaySchema = v.pipe(
  v.strictObject({ fixedDelay: Duration }),
  v.metadata({ unsupported: ["percentage", "percent", "exponentialDelay"] }),
);

const FaultSchema = v.pipe(v.strictObject({ delay: v.optional(DelaySchema) }), v.metadata({ unsupported: ["abort"] }));

const HttpRouteSchema = v.pipe(
  v.strictObject({
    name: v.optional(v.pipe(Text, v.nonEmpty("must not be empty"))),
    match: v.optional(v.array(HttpMatchSchema), []),
    headers: v.optional(HeadersSchema, {}),
    fault: v.optional(FaultSchema, {}),
  }),
  v.metadata({
    unsupported: [
      "route",
      "redirect",
      "directResponse",
      "delegate",
      "rewrite",
      "timeout",
      "retries",
      "mirror",
      "mirrors",
      "mirrorPercent",
      "mirrorPercentage",
      "corsPolicy",
    ],
  }),
);

/** The rules of one direction: `{ http: [ … ] }`. */
export const HttpRoutes = v.pipe(
  v.strictObject({ http: v.optional(v.array(HttpRouteSchema), []) }),
  v.metadata({ unsupported: ["hosts", "gateways", "tls", "tcp", "exportTo"] }),
  v.transform(({ http }): { readonly http: readonly HttpRoute[] } => ({
    http: http.map(({ name, match, headers, fault }, index) => ({
      name: name ?? `http[${index}]`,
      match,
      request: headers.request,
      response: headers.response,
      delayMs: fault.delay?.fixedDelay ?? 0,
    })),
  })),
);
