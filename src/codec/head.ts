// hot path
// Parses the head of an HTTP/1 message, strictly (RFC 9112 §2–§5). Pure: bytes in, values or a ProtocolError out.
// The head is decoded once, as latin1; names and values are slices of that text. Framing is judged in framing.ts.
import { FieldKind, fieldKind } from "./field-kind.ts";
import { HeaderList } from "./header-list.ts";
import { COLON, CR, FIELD_VALUE, HTAB, LF, SPACE, TARGET, TOKEN } from "./octets.ts";
import { ProtocolError } from "./protocol-error.ts";

/** Until the fields are parsed. Nobody changes it. */
const NO_HEADERS = new HeaderList();

/** What both kinds of head say about the connection and the body: filled while parsing, so that nobody searches again. */
export class MessageHead {
  /** 1 for HTTP/1.1, 0 for HTTP/1.0. */
  minorVersion = 1;
  headers: HeaderList = NO_HEADERS;
  /** Digits of Content-Length; undefined when absent. Differing repetitions never get here. */
  contentLength: string | undefined = undefined;
  /** All Transfer-Encoding values, joined by commas; undefined when absent. */
  transferEncoding: string | undefined = undefined;
  /** All Connection values in lower case, joined by commas; empty when absent. */
  connection = "";
  hasUpgrade = false;
}

/** A request head. */
export class RequestHead extends MessageHead {
  method = "";
  /** Byte-exact in latin1. */
  target = "";
  /** Value of the one Host field; undefined when absent (an HTTP/1.0 request only). */
  host: string | undefined = undefined;
}

/** A response head. */
export class ResponseHead extends MessageHead {
  status = 0;
  /** Byte-exact in latin1, possibly empty. */
  reason = "";
}

/** Limits of one head. */
export interface HeadLimits {
  /** Start line and fields together, in bytes. */
  readonly maxHeaderBytes: number;
  readonly maxHeaderFields: number;
}

/** Longest method that is taken for one; the longest registered one has 17 characters. */
const MAX_METHOD_LENGTH = 64;
const HTTP_1 = "HTTP/1.";

/** Offset just behind the empty line that ends the head which starts at `from`, or -1 when it has not come yet. */
export function findHeadEnd(bytes: Buffer, from: number): number {
  const at = bytes.indexOf("\r\n\r\n", from, "latin1");
  return at < 0 ? -1 : at + 4;
}

/** Whether a LF without a CR before it stands in `bytes[from, …)` of the unfinished head `bytes`: then its end would never come. */
export function hasBareLf(bytes: Uint8Array, from: number): boolean {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (at === 0 || bytes[at - 1] !== CR) return true;
  }
  return false;
}

/** Parses `bytes[from, end)`, where `end` is what `findHeadEnd` returned. Throws ProtocolError. */
export function parseRequestHead(bytes: Buffer, from: number, end: number, limits: HeadLimits): RequestHead {
  const text = bytes.latin1Slice(from, end);
  const head = new RequestHead();

  let at = from;
  while (TOKEN[bytes[at]!] === 1) at++;
  const methodEnd = at;
  if (methodEnd === from || bytes[at] !== SPACE) throw new ProtocolError(400, "bad_method");
  if (methodEnd - from > MAX_METHOD_LENGTH) throw new ProtocolError(501, "method_too_long");
  at++;
  const targetStart = at;
  while (TARGET[bytes[at]!] === 1) at++;
  if (at === targetStart) throw new ProtocolError(400, "bad_request_target");
  if (bytes[at] === CR && bytes[at + 1] === LF) throw new ProtocolError(400, "http09_request");
  if (bytes[at] !== SPACE) throw new ProtocolError(400, "bad_request_target");
  head.method = text.slice(0, methodEnd - from);
  head.target = text.slice(targetStart - from, at - from);
  head.minorVersion = minorVersionAt(text, at + 1 - from, "\r\n");
  at += 1 + HTTP_1.length + 1 + 2;

  parseFields(bytes, text, from, at, end, head, limits);
  judgeHost(head);
  return head;
}

/** Parses `bytes[from, end)`, where `end` is what `findHeadEnd` returned. Throws ProtocolError. */
export function parseResponseHead(bytes: Buffer, from: number, end: number, limits: HeadLimits): ResponseHead {
  const text = bytes.latin1Slice(from, end);
  const head = new ResponseHead();
  head.minorVersion = minorVersionAt(text, 0, " ");
  let at = HTTP_1.length + 2;
  const status = text.slice(at, at + 3);
  if (!/^[1-9][0-9][0-9]$/.test(status)) throw new ProtocolError(400, "bad_status_line");
  head.status = Number(status);
  at += 3;
  // The space before an empty reason is often left out (RFC 9112 §4 wants it; recipients are told to be lenient).
  if (text.charCodeAt(at) === SPACE) at++;
  else if (text.charCodeAt(at) !== CR) throw new ProtocolError(400, "bad_status_line");
  const reasonStart = at;
  while (FIELD_VALUE[bytes[from + at]!] === 1) at++;
  if (text.charCodeAt(at) !== CR || text.charCodeAt(at + 1) !== LF) throw new ProtocolError(400, "bad_status_line");
  head.reason = text.slice(reasonStart, at);
  parseFields(bytes, text, from, from + at + 2, end, head, limits);
  return head;
}

/** Parses a trailer section: field lines and the empty line, `bytes[0, end)`. Throws ProtocolError. */
export function parseTrailers(bytes: Buffer, limits: HeadLimits): HeaderList {
  const head = new MessageHead();
  parseFields(bytes, bytes.latin1Slice(0, bytes.length), 0, 0, bytes.length, head, limits);
  return head.headers;
}

function minorVersionAt(text: string, at: number, after: string): number {
  if (!text.startsWith(HTTP_1, at)) {
    throw new ProtocolError(text.startsWith("HTTP/", at) ? 505 : 400, "bad_http_version");
  }
  const digit = text.charCodeAt(at + HTTP_1.length) - 0x30;
  if (!text.startsWith(after, at + HTTP_1.length + 1)) throw new ProtocolError(400, "bad_http_version");
  if (digit !== 0 && digit !== 1) throw new ProtocolError(505, "bad_http_version");
  return digit;
}

/** Field lines from `at` to the empty line before `end`. Offsets are into `bytes`; `text[0]` is `bytes[base]`. */
function parseFields(
  bytes: Buffer,
  text: string,
  base: number,
  start: number,
  end: number,
  head: MessageHead,
  limits: HeadLimits,
): void {
  const spans: number[] = [];
  let isCanonical = true;
  let fields = 0;
  let at = start;
  const last = end - 2;
  while (at < last) {
    const nameStart = at;
    while (TOKEN[bytes[at]!] === 1) at++;
    if (bytes[at] !== COLON) throw new ProtocolError(400, badNameReason(bytes, nameStart, at));
    if (at === nameStart) throw new ProtocolError(400, "empty_header_name");
    const nameEnd = at;
    at++;
    while (bytes[at] === SPACE || bytes[at] === HTAB) at++;
    const valueStart = at;
    while (FIELD_VALUE[bytes[at]!] === 1) at++;
    if (bytes[at] !== CR || bytes[at + 1] !== LF) throw new ProtocolError(400, "bad_octet_in_header_value");
    let valueEnd = at;
    while (valueEnd > valueStart && (bytes[valueEnd - 1] === SPACE || bytes[valueEnd - 1] === HTAB)) valueEnd--;
    if (valueEnd !== at || valueStart !== nameEnd + 2 || bytes[nameEnd + 1] !== SPACE) isCanonical = false;
    at += 2;
    if (++fields > limits.maxHeaderFields) throw new ProtocolError(431, "too_many_headers");
    const kind = fieldKind(text, nameStart - base, nameEnd - base);
    spans.push(nameStart - base, nameEnd - base, valueStart - base, valueEnd - base, kind);
    if (kind !== FieldKind.Other) noteField(head, kind, text, valueStart - base, valueEnd - base);
  }
  if (at !== last || bytes[at] !== CR || bytes[at + 1] !== LF) throw new ProtocolError(400, "bad_header_line");
  head.headers = HeaderList.parsed(text, spans, isCanonical);
}

function badNameReason(bytes: Buffer, nameStart: number, at: number): string {
  const octet = bytes[at];
  if (octet === SPACE || octet === HTAB) return at === nameStart ? "obsolete_line_folding" : "space_in_header_name";
  return "bad_header_name";
}

/** Remembers the fields that decide about the connection or the framing. */
function noteField(head: MessageHead, kind: FieldKind, text: string, from: number, to: number): void {
  switch (kind) {
    case FieldKind.Host:
      if (!(head instanceof RequestHead)) return;
      if (head.host !== undefined) throw new ProtocolError(400, "repeated_host");
      head.host = text.slice(from, to);
      return;
    case FieldKind.Upgrade:
      head.hasUpgrade = true;
      return;
    case FieldKind.Connection: {
      const lower = text.slice(from, to).toLowerCase();
      head.connection = head.connection === "" ? lower : `${head.connection},${lower}`;
      return;
    }
    case FieldKind.ContentLength: {
      const value = text.slice(from, to);
      if (head.contentLength !== undefined && head.contentLength !== value) {
        throw new ProtocolError(400, "differing_content_lengths");
      }
      head.contentLength = value;
      return;
    }
    case FieldKind.TransferEncoding: {
      const value = text.slice(from, to);
      head.transferEncoding = head.transferEncoding === undefined ? value : `${head.transferEncoding},${value}`;
      return;
    }
    default:
      return;
  }
}

/** RFC 9112 §3.2: exactly one valid Host in HTTP/1.1. Characters that could end or nest the authority are refused. */
function judgeHost(head: RequestHead): void {
  const { host } = head;
  if (host === undefined) {
    if (head.minorVersion === 1) throw new ProtocolError(400, "missing_host");
    return;
  }
  for (let at = 0; at < host.length; at++) {
    const octet = host.charCodeAt(at);
    if (
      octet <= SPACE ||
      octet === 0x2c ||
      octet === 0x2f ||
      octet === 0x3f ||
      octet === 0x23 ||
      octet === 0x40 ||
      octet === 0x5c
    ) {
      throw new ProtocolError(400, "bad_host");
    }
  }
}
