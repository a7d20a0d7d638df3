// Which protocol do the first bytes of a connection belong to? Pure: one decision, no parsing beyond it.
import { CR, LF, TOKEN } from "./octets.ts";

/** `more`: undecided, give more bytes. `http1-prefix`: so far a known method; undecided, but worth the header timeout. */
export type Sniffed = "http1" | "http2" | "tls" | "opaque" | "more" | "http1-prefix";

/** RFC 9113 §3.4. */
const HTTP2_PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** Registered methods in use (IANA, WebDAV and CalDAV among them); others are known by their first line. */
const METHODS = [
  ...["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "QUERY"],
  ...["PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "REPORT", "SEARCH", "MKCALENDAR", "ACL"],
  ...["BIND", "UNBIND", "REBIND", "LABEL", "LINK", "UNLINK", "MERGE", "CHECKOUT", "CHECKIN", "UPDATE", "PURGE"],
];

/** RTSP and SIP have these too: the end of the first line tells them apart. */
const SHARED_METHODS = ["OPTIONS", "UPDATE"];

/** A first line longer than this without an end is not HTTP that we would take for it by its version. */
const MAX_FIRST_LINE_BYTES = 8 * 1024;

/** Judges `bytes`, everything that has come so far. */
export function sniff(bytes: Buffer): Sniffed {
  if (bytes.length === 0) return "more";
  if (bytes[0] === 0x16) return "tls";

  let start = 0;
  while (bytes[start] === CR || bytes[start] === LF) start++;
  if (start === bytes.length) return start > MAX_FIRST_LINE_BYTES ? "opaque" : "more";

  const preface = bytes.latin1Slice(0, Math.min(bytes.length, HTTP2_PREFACE.length));
  if (preface === HTTP2_PREFACE) return "http2";
  if (preface.startsWith("PRI") && HTTP2_PREFACE.startsWith(preface)) return "more";

  const word = methodAt(bytes, start);
  const lineEnd = bytes.indexOf(LF, start);
  if (word !== undefined) {
    if (word.ended && METHODS.includes(word.text)) {
      if (!SHARED_METHODS.includes(word.text)) return "http1";
      if (lineEnd < 0) return bytes.length - start > MAX_FIRST_LINE_BYTES ? "http1" : "http1-prefix";
      return / (RTSP|SIP)\/[0-9]\.[0-9]\r?$/.test(bytes.latin1Slice(start, lineEnd)) ? "opaque" : "http1";
    }
    if (!word.ended) return METHODS.some((method) => method.startsWith(word.text)) ? "http1-prefix" : "more";
  }
  if (TOKEN[bytes[start]!] !== 1) return "opaque";
  if (lineEnd < 0) return bytes.length - start > MAX_FIRST_LINE_BYTES || !isText(bytes, start) ? "opaque" : "more";
  return / HTTP\/[0-9]\.[0-9]\r?$/.test(bytes.latin1Slice(start, lineEnd)) ? "http1" : "opaque";
}

/** The token at `start`, and whether a space ended it; undefined when it is none or too long to be a method. */
function methodAt(bytes: Buffer, start: number): { text: string; ended: boolean } | undefined {
  let end = start;
  while (end < bytes.length && end - start <= 32 && TOKEN[bytes[end]!] === 1) end++;
  if (end === start || end - start > 32) return undefined;
  if (end === bytes.length) return { text: bytes.latin1Slice(start, end), ended: false };
  return bytes[end] === 0x20 ? { text: bytes.latin1Slice(start, end), ended: true } : undefined;
}

function isText(bytes: Buffer, from: number): boolean {
  for (let at = from; at < bytes.length; at++) {
    const octet = bytes[at]!;
    if (octet < 0x20 && octet !== CR && octet !== 0x09) return false;
  }
  return true;
}
