// The one error of the codec. Pure.

/** Statuses that a refused request is answered with (RFC 9110 §15.5, §15.6); a refused response becomes 502. */
export type RefusalStatus = 400 | 408 | 414 | 431 | 501 | 505;

/**
 * Bytes that are not the HTTP/1 we accept. `detail` is a short snake_case reason: it appears in the access log as
 * `http1.<detail>` (%RESPONSE_CODE_DETAILS%) and in the body of the answer.
 */
export class ProtocolError extends Error {
  override name = "ProtocolError";

  constructor(
    readonly status: RefusalStatus,
    readonly detail: string,
  ) {
    super(detail.replaceAll("_", " "));
  }
}
