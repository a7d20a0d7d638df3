// Where a message body ends (RFC 9112 §6). Pure. Whatever two recipients could read differently is a ProtocolError.
import type { RequestHead, ResponseHead } from "./head.ts";
import { trimOws } from "./octets.ts";
import { ProtocolError } from "./protocol-error.ts";

/** How the end of a body is found. */
export const enum Framing {
  None,
  Length,
  Chunked,
  /** A response that ends with its connection. */
  UntilClose,
}

/** Framing and, for `Length`, the number of body bytes. */
export interface BodyFraming {
  readonly framing: Framing;
  readonly bodyBytes: number;
}

const NO_BODY: BodyFraming = { framing: Framing.None, bodyBytes: 0 };
const CHUNKED: BodyFraming = { framing: Framing.Chunked, bodyBytes: 0 };
const UNTIL_CLOSE: BodyFraming = { framing: Framing.UntilClose, bodyBytes: 0 };

/** The body of a request (RFC 9112 §6.3). Throws ProtocolError 400 or 501. */
export function requestFraming(head: RequestHead): BodyFraming {
  if (head.transferEncoding !== undefined) {
    if (head.minorVersion === 0) throw new ProtocolError(400, "transfer_encoding_in_http10");
    if (head.contentLength !== undefined) throw new ProtocolError(400, "transfer_encoding_with_content_length");
    requireChunked(head.transferEncoding);
    return CHUNKED;
  }
  return head.contentLength === undefined ? NO_BODY : lengthFraming(head.contentLength);
}

/**
 * The body of a final response to `requestMethod` (RFC 9112 §6.3). Not for 1xx, nor for 2xx to CONNECT.
 * Throws ProtocolError.
 */
export function responseFraming(head: ResponseHead, requestMethod: string): BodyFraming {
  const { status } = head;
  const length = head.contentLength === undefined ? undefined : lengthFraming(head.contentLength);
  if (head.transferEncoding !== undefined) {
    if (head.minorVersion === 0) throw new ProtocolError(400, "transfer_encoding_in_http10");
    if (length !== undefined) throw new ProtocolError(400, "transfer_encoding_with_content_length");
    requireChunked(head.transferEncoding);
  }
  if (requestMethod === "HEAD" || status === 204 || status === 304) return NO_BODY;
  if (head.transferEncoding !== undefined) return CHUNKED;
  return length ?? UNTIL_CLOSE;
}

/** Only digits, only once, and exact as a JavaScript number: 2^53 - 1 is 8 PiB, more is an attack. */
function lengthFraming(text: string): BodyFraming {
  if (text === "0") return NO_BODY;
  if (!/^[0-9]{1,16}$/.test(text)) throw new ProtocolError(400, "bad_content_length");
  const bodyBytes = Number(text);
  if (bodyBytes > Number.MAX_SAFE_INTEGER) throw new ProtocolError(400, "bad_content_length");
  return bodyBytes === 0 ? NO_BODY : { framing: Framing.Length, bodyBytes };
}

function requireChunked(transferEncoding: string): void {
  if (transferEncoding.length === 7 && transferEncoding.toLowerCase() === "chunked") return;
  const codings = transferEncoding.split(",").map((coding) => trimOws(coding).toLowerCase());
  const isKnownShape = codings.every((coding) => /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(coding));
  if (!isKnownShape || codings.at(-1) !== "chunked" || codings.indexOf("chunked") !== codings.length - 1) {
    throw new ProtocolError(400, "bad_transfer_encoding");
  }
  throw new ProtocolError(501, "unknown_transfer_coding");
}
