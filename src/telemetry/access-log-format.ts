// Compiles Envoy's access log format strings, once, into functions from a finished record to its log entry. Pure. hot path
// Called by commands/proxy.ts; the operators are in access-log-operators.ts, the article's six-line form in access-log-block.ts.
import { suggestion } from "../config/nearest.ts";
import type { RequestRecord } from "../proxy/record.ts";
import { blockEntry } from "./access-log-block.ts";
import { ArgumentError, type Field, type FieldValue, OPERATORS } from "./access-log-operators.ts";
import { compileTemplate, type TemplateField } from "./access-log-template.ts";
import { escapeText, jsonString } from "./log-escape.ts";

export type AccessLogEncoding = "TEXT" | "JSON" | "BLOCK";

/** A record's log entry, its final newline included; printable ASCII but for what the format itself contains. */
export type EntryFormatter = (record: RequestRecord) => string;

/** Istio's default `accessLogFormat` for TEXT. */
export const ISTIO_TEXT_FORMAT =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% ' +
  '%BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" ' +
  '"%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% ' +
  "%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

/** Istio's JSON keys, in its order. */
export const ISTIO_JSON_FORMAT: JsonFormat = {
  start_time: "%START_TIME%",
  route_name: "%ROUTE_NAME%",
  method: "%REQ(:METHOD)%",
  path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  protocol: "%PROTOCOL%",
  response_code: "%RESPONSE_CODE%",
  response_flags: "%RESPONSE_FLAGS%",
  response_code_details: "%RESPONSE_CODE_DETAILS%",
  connection_termination_details: "%CONNECTION_TERMINATION_DETAILS%",
  bytes_received: "%BYTES_RECEIVED%",
  bytes_sent: "%BYTES_SENT%",
  duration: "%DURATION%",
  upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
  x_forwarded_for: "%REQ(X-FORWARDED-FOR)%",
  user_agent: "%REQ(USER-AGENT)%",
  request_id: "%REQ(X-REQUEST-ID)%",
  authority: "%REQ(:AUTHORITY)%",
  upstream_host: "%UPSTREAM_HOST%",
  upstream_cluster: "%UPSTREAM_CLUSTER_RAW%",
  upstream_local_address: "%UPSTREAM_LOCAL_ADDRESS%",
  downstream_local_address: "%DOWNSTREAM_LOCAL_ADDRESS%",
  downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%",
  requested_server_name: "%REQUESTED_SERVER_NAME%",
  upstream_transport_failure_reason: "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
};

type JsonFormat = { readonly [key: string]: string };

/** A format string is wrong. `position` is the offset in it (for JSON: in the value of the key that the message names). */
export class FormatError extends Error {
  override name = "FormatError";
  constructor(
    message: string,
    readonly position: number,
  ) {
    super(message);
  }
}

/**
 * The formatter for an encoding. `format` is Envoy's text for TEXT, a JSON object of such texts for JSON, and without
 * meaning for BLOCK; empty or absent is Istio's default.
 * @throws FormatError
 */
export function compileAccessLog(encoding: AccessLogEncoding, format = ""): EntryFormatter {
  switch (encoding) {
    case "TEXT":
      return compileText(format === "" ? ISTIO_TEXT_FORMAT : format);
    case "JSON":
      return compileJson(format === "" ? ISTIO_JSON_FORMAT : parseJsonFormat(format));
    case "BLOCK":
      if (format !== "") throw new FormatError("the BLOCK encoding has a fixed form and takes no format", 0);
      return blockEntry;
  }
}

function compileText(format: string): EntryFormatter {
  const { literals, fields } = parseFormat(format.endsWith("\n") ? format : `${format}\n`);
  return compileTemplate({ literals, fields: fields.map((field) => ({ ...field, show: textOf(field) })) });
}

function textOf({ escapeValue }: Field): (value: FieldValue) => string {
  return (value) => {
    if (value === undefined || value === "") return "-";
    return typeof value === "number" ? String(value) : escapeValue === undefined ? value : escapeValue(value);
  };
}

function compileJson(format: JsonFormat): EntryFormatter {
  const members = Object.entries(format);
  if (members.length === 0) throw new FormatError("the access log format has no keys", 0);
  const separators = members.map(([key], at) => `${at === 0 ? "{" : ","}${jsonString(key)}:`);
  return compileTemplate({
    literals: [...separators, "}\n"],
    fields: members.map(([key, text]) => jsonField(inContext(`key "${key}"`, () => parseFormat(text)))),
  });
}

/** A lone operator keeps its type, and is null when there is nothing to tell; with text around it, it is part of a string. */
function jsonField({ literals, fields }: ParsedFormat): TemplateField {
  if (fields.length === 1 && literals[0] === "" && literals[1] === "") return { ...fields[0]!, show: jsonValue };
  const raw = (value: FieldValue) => (value === undefined || value === "" ? "-" : String(value));
  const read = compileTemplate({ literals, fields: fields.map((field) => ({ ...field, show: raw })) });
  return { read, show: jsonValue, isSteady: fields.every((field) => field.isSteady) };
}

function jsonValue(value: FieldValue): string {
  if (value === undefined || value === "") return "null";
  return typeof value === "number" ? String(value) : jsonString(value);
}

function parseJsonFormat(format: string): JsonFormat {
  let parsed: unknown;
  try {
    parsed = JSON.parse(format);
  } catch {
    throw new FormatError('with the JSON encoding the format must be a JSON object, like {"path":"%REQ(:PATH)%"}', 0);
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new FormatError('with the JSON encoding the format must be a JSON object, like {"path":"%REQ(:PATH)%"}', 0);
  }
  for (const [key, text] of Object.entries(parsed)) {
    if (typeof text !== "string") throw new FormatError(`key "${key}": the value must be a format in quotes`, 0);
  }
  return parsed as JsonFormat;
}

function inContext<T>(context: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof FormatError) throw new FormatError(`${context}, ${error.message}`, error.position);
    throw error;
  }
}

/** `%NAME%`, `%NAME(argument)%`, `%NAME(argument):LENGTH%`; sticky, from the `%` on. */
const OPERATOR = /%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?%/y;

/** As a `Template`, but before it is decided how the values are written. */
interface ParsedFormat {
  readonly literals: readonly string[];
  readonly fields: readonly Field[];
}

function parseFormat(format: string): ParsedFormat {
  const literals: string[] = [];
  const fields: Field[] = [];
  let literal = "";
  let from = 0;
  for (let at = format.indexOf("%"); at >= 0; at = format.indexOf("%", from)) {
    literal += format.slice(from, at);
    if (format.charAt(at + 1) === "%") {
      literal += "%";
      from = at + 2;
      continue;
    }
    OPERATOR.lastIndex = at;
    const match = OPERATOR.exec(format);
    if (match === null)
      throw formatError(
        at,
        `"${excerpt(format, at)}" is not an operator of the form %NAME% (a percent sign is written %%)`,
      );
    const [all, name, argument, length] = match;
    literals.push(literal);
    fields.push(bindField(name!, argument, length === undefined ? undefined : Number(length), at));
    literal = "";
    from = at + all.length;
  }
  literals.push(literal + format.slice(from));
  return { literals, fields };
}

function bindField(name: string, argument: string | undefined, maxLength: number | undefined, at: number): Field {
  const operator = OPERATORS.get(name);
  if (operator === undefined) {
    const hint = suggestion(name, OPERATORS.keys(), (known) => `%${known}%`);
    throw formatError(at, `unknown operator %${name}%${hint}`);
  }
  if (operator.argument === "required" && argument === undefined) {
    throw formatError(at, `%${name}% needs a header name, as in %${name}(USER-AGENT)%`);
  }
  if (operator.argument === "none" && argument !== undefined) throw formatError(at, `%${name}% takes no argument`);
  try {
    const field = operator.bind(argument ?? "");
    return maxLength === undefined ? field : shortened(field, maxLength);
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error;
    throw formatError(at + name.length + 2 + error.offset, `%${name}(…)%: ${error.message}`);
  }
}

function shortened(field: Field, maxLength: number): Field {
  const { read } = field;
  return {
    ...field,
    read: (record) => {
      const value = read(record);
      return typeof value === "string" ? value.slice(0, maxLength) : value;
    },
  };
}

function formatError(position: number, message: string): FormatError {
  return new FormatError(`character ${position + 1}: ${message}`, position);
}

/** Some characters from `at` on, to show where a message means. */
function excerpt(format: string, at: number): string {
  return escapeText(format.slice(at, at + 20).trimEnd());
}
