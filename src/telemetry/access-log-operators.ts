// The %OPERATORS% of Envoy's access log formats that the agent knows, each as a reader of one field of a record. Pure. hot path
// Parsing of format strings is access-log-format.ts, its only caller.
import type { HeaderList } from "../codec/header-list.ts";
import type { RequestRecord } from "../proxy/record.ts";
import { escapeText, escapeToken } from "./log-escape.ts";
import { formatUtc, isoTimeFormatter, unknownTimeSpecifier } from "./utc-time.ts";

/** What an operator yields for a record: `undefined` or "" when there is nothing to tell (`-` in text, null in JSON). */
export type FieldValue = string | number | undefined;

type Reader = (record: RequestRecord) => FieldValue;

/** One operator bound to its argument. */
export interface Field {
  readonly read: Reader;
  /** There when peers choose the text; makes it fit for a line of text (JSON has its own rules). */
  readonly escapeValue: ((value: string) => string) | undefined;
  /** True when the next record probably has the same value. */
  readonly isSteady: boolean;
}

/** An operator's argument, the part in parentheses, is wrong; `offset` is where, from the argument's first character. */
export class ArgumentError extends Error {
  override name = "ArgumentError";
  constructor(
    message: string,
    readonly offset: number,
  ) {
    super(message);
  }
}

export interface Operator {
  readonly argument: "none" | "optional" | "required";
  bind(argument: string): Field;
}

/** Every operator by name. Durations are whole milliseconds, cut off as Envoy does. */
export const OPERATORS: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ["START_TIME", { argument: "optional", bind: startTime }],
  ["REQ", { argument: "required", bind: requestHeader }],
  ["RESP", { argument: "required", bind: responseHeader }],
  ["DURATION", varying((record) => Math.floor(record.durationMs))],
  ["PROTOCOL", steady((record) => record.httpVersion)],
  ["RESPONSE_CODE", steady((record) => record.responseCode)],
  // Envoy prints "-" for "no flag" in JSON as well.
  ["RESPONSE_FLAGS", steady((record) => record.responseFlag || "-")],
  ["RESPONSE_CODE_DETAILS", steady((record) => record.responseCodeDetails)],
  ["CONNECTION_TERMINATION_DETAILS", steady((record) => record.connectionTerminationDetails)],
  ["BYTES_RECEIVED", varying((record) => record.bytesReceived)],
  ["BYTES_SENT", varying((record) => record.bytesSent)],
  ["UPSTREAM_TRANSPORT_FAILURE_REASON", steady((record) => record.upstreamTransportFailureReason)],
  ["UPSTREAM_CLUSTER", steady((record) => record.upstreamCluster)],
  ["UPSTREAM_CLUSTER_RAW", steady((record) => record.upstreamCluster)],
  ["UPSTREAM_HOST", steady((record) => record.upstreamHost)],
  ...addressOperators("UPSTREAM_REMOTE", steady, (record) => record.upstreamHost),
  ...addressOperators("UPSTREAM_LOCAL", varying, (record) => record.upstreamLocalAddress),
  ...addressOperators("DOWNSTREAM_LOCAL", steady, (record) => record.downstreamLocalAddress),
  ...addressOperators("DOWNSTREAM_REMOTE", varying, (record) => record.downstreamRemoteAddress),
  ...addressOperators("DOWNSTREAM_DIRECT_REMOTE", varying, (record) => record.downstreamRemoteAddress),
  ["REQUESTED_SERVER_NAME", steady((record) => record.requestedServerName, escapeToken)],
  ["ROUTE_NAME", steady((record) => record.routeName)],
]);

function steady(read: Reader, escapeValue?: (value: string) => string): Operator {
  return { argument: "none", bind: () => ({ read, escapeValue, isSteady: true }) };
}

function varying(read: Reader): Operator {
  return { argument: "none", bind: () => ({ read, escapeValue: undefined, isSteady: false }) };
}

/** `X_ADDRESS`, `X_ADDRESS_WITHOUT_PORT` and `X_PORT` of one end of a connection. */
function addressOperators(
  prefix: string,
  operator: (read: Reader) => Operator,
  read: (record: RequestRecord) => string,
): [string, Operator][] {
  return [
    [`${prefix}_ADDRESS`, operator(read)],
    [`${prefix}_ADDRESS_WITHOUT_PORT`, operator((record) => addressOf(read(record)))],
    [`${prefix}_PORT`, operator((record) => portOf(read(record)))],
  ];
}

/** `10.0.0.1:80` → `10.0.0.1`, `[::1]:80` → `::1`, "" → "". */
export function addressOf(endpoint: string): string {
  return endpoint.startsWith("[") ? endpoint.slice(1, endpoint.indexOf("]")) : endpoint.slice(0, endpoint.indexOf(":"));
}

function portOf(endpoint: string): number | undefined {
  return endpoint === "" ? undefined : Number(endpoint.slice(endpoint.lastIndexOf(":") + 1));
}

function startTime(format: string): Field {
  if (format === "") {
    const iso = isoTimeFormatter();
    return { read: (record) => iso(record.startTimeMs), escapeValue: undefined, isSteady: true };
  }
  const unknown = unknownTimeSpecifier(format);
  if (unknown >= 0) {
    throw new ArgumentError(`unknown time specifier "${format.slice(unknown, unknown + 2)}"`, unknown);
  }
  return { read: (record) => formatUtc(format, record.startTimeMs), escapeValue: undefined, isSteady: false };
}

/** `%REQ(X?Y)%`: the first of the named request headers that is there. */
function requestHeader(argument: string): Field {
  return headerField(headerNames(argument), requestReader);
}

/** `%RESP(X?Y)%`: the first of the named response headers that is there. */
function responseHeader(argument: string): Field {
  return headerField(headerNames(argument), responseReader);
}

/** Headers that most requests of one client, or to one server, have alike. */
const STEADY_HEADERS = [
  ":method",
  ":scheme",
  ":authority",
  "host",
  "user-agent",
  "x-forwarded-for",
  "server",
  "content-type",
];

function headerField(names: string[], readerOf: (name: string) => Reader): Field {
  const [first, second] = names.map(readerOf);
  return {
    read: second === undefined ? first! : (record) => first!(record) || second(record),
    escapeValue: escapeText,
    isSteady: names.every((name) => STEADY_HEADERS.includes(name)),
  };
}

function requestReader(name: string): Reader {
  switch (name) {
    case ":method":
      return (record) => record.method;
    // The target is never rewritten, and a client must not choose its own log entry by sending this header.
    case ":path":
    case "x-envoy-original-path":
      return (record) => record.target;
    case ":authority":
    case "host":
      return (record) => record.authority;
    case ":scheme":
      return (record) => (record.protocol === "http" ? "http" : undefined);
    case "x-request-id":
      return (record) => record.requestId;
    case "x-forwarded-for":
      return (record) => record.forwardedFor;
    default:
      return (record) => headerValue(record.requestHeaders, name);
  }
}

function responseReader(name: string): Reader {
  switch (name) {
    case ":status":
      return (record) => record.responseCode || undefined;
    // Envoy writes this header itself; here only its value exists. Text, as every header is.
    case "x-envoy-upstream-service-time":
      return (record) =>
        record.upstreamServiceTimeMs < 0
          ? headerValue(record.responseHeaders, name)
          : String(Math.floor(record.upstreamServiceTimeMs));
    default:
      return (record) => headerValue(record.responseHeaders, name);
  }
}

function headerValue(headers: HeaderList | undefined, lowerName: string): string | undefined {
  return headers === undefined ? undefined : headers.get(lowerName);
}

/** `X-One?X-Two` → lower-case names, one or two. */
function headerNames(argument: string): string[] {
  const names = argument.split("?");
  const bad = names.findIndex((name) => !/^:?[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name));
  if (bad >= 0) throw new ArgumentError(`"${names[bad]}" is not a header name`, names.slice(0, bad).join("?").length);
  if (names.length > 2) throw new ArgumentError("at most one alternative header (X?Y) is possible", names[0]!.length);
  return names.map((name) => name.toLowerCase());
}
