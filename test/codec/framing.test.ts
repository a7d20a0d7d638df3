import { describe, expect, test } from "bun:test";
import { type Framing, requestFraming, responseFraming } from "../../src/codec/framing.ts";
import { parseRequestHead, parseResponseHead } from "../../src/codec/head.ts";
import { ProtocolError } from "../../src/codec/protocol-error.ts";
import { LIMITS, latin1 } from "./limits.ts";

function judged(judge: () => { framing: Framing; bodyBytes: number }): string {
  try {
    const { framing, bodyBytes } = judge();
    return ["none", `length ${bodyBytes}`, "chunked", "until close"][framing]!;
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return `${error.status} ${error.detail}`;
  }
}

function request(fields: string[], version = "1.1"): string {
  const bytes = latin1(`POST / HTTP/${version}\r\nHost: a\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`);
  return judged(() => requestFraming(parseRequestHead(bytes, 0, bytes.length, LIMITS)));
}

function response(status: number, fields: string[], method = "GET", version = "1.1"): string {
  const bytes = latin1(`HTTP/${version} ${status} x\r\n${fields.map((field) => `${field}\r\n`).join("")}\r\n`);
  return judged(() => responseFraming(parseResponseHead(bytes, 0, bytes.length, LIMITS), method));
}

/** What both kinds of message may say about their length, and what it means. */
const SHARED: [rfc: string, fields: string[], want: string][] = [
  ["RFC 9110 §8.6", ["Content-Length: 0"], "none"],
  ["RFC 9110 §8.6", ["Content-Length: 5"], "length 5"],
  ["RFC 9110 §8.6", ["content-LENGTH:5  "], "length 5"],
  ["RFC 9110 §8.6", ["Content-Length: 5", "Content-Length: 5"], "length 5"],
  ["RFC 9110 §8.6", ["Content-Length: 005"], "length 5"],
  ["RFC 9110 §8.6", ["Content-Length: 000"], "none"],
  ["2^53 - 1", ["Content-Length: 9007199254740991"], "length 9007199254740991"],
  ["2^53", ["Content-Length: 9007199254740992"], "400 bad_content_length"],
  ["2^64 + 5", ["Content-Length: 18446744073709551621"], "400 bad_content_length"],
  ["RFC 9110 §8.6", ["Content-Length: "], "400 bad_content_length"],
  ["RFC 9110 §8.6", ["Content-Length: +5"], "400 bad_content_length"],
  ["RFC 9110 §8.6", ["Content-Length: -5"], "400 bad_content_length"],
  ["RFC 9110 §8.6", ["Content-Length: 0x5"], "400 bad_content_length"],
  ["RFC 9110 §8.6", ["Content-Length: 5.0"], "400 bad_content_length"],
  ["RFC 9110 §8.6", ["Content-Length: 5e1"], "400 bad_content_length"],
  ["RFC 9110 §8.6", ["Content-Length: 5, 5"], "400 bad_content_length"],
  ["RFC 9110 §8.6", ["Content-Length: 5 5"], "400 bad_content_length"],
  ["RFC 9110 §8.6", ["Content-Length: 5;"], "400 bad_content_length"],
  ["no-break space", ["Content-Length: 5\xa0"], "400 bad_content_length"],
  ["superscript two", ["Content-Length: \xb2"], "400 bad_content_length"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: chunked"], "chunked"],
  ["RFC 9112 §7", ["transfer-ENCODING: CHUNKED"], "chunked"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: chunked", "Content-Length: 5"], "400 transfer_encoding_with_content_length"],
  ["RFC 9112 §6.1", ["Content-Length: 5", "Transfer-Encoding: chunked"], "400 transfer_encoding_with_content_length"],
  ["RFC 9112 §6.1", ["Content-Length: 0", "Transfer-Encoding: chunked"], "400 transfer_encoding_with_content_length"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: gzip, chunked"], "501 unknown_transfer_coding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], "501 unknown_transfer_coding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: chunked, chunked"], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: chunked, gzip"], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: gzip"], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: identity"], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: "], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: ,chunked"], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: ", "Transfer-Encoding: chunked"], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: chunked;q=1"], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ["Transfer-Encoding: xchunked"], "400 bad_transfer_encoding"],
  ["RFC 9112 §6.1", ['Transfer-Encoding: "chunked"'], "400 bad_transfer_encoding"],
  ["no-break space is no white space", ["Transfer-Encoding: \xa0chunked"], "400 bad_transfer_encoding"],
  ["no-break space in a list", ["Transfer-Encoding: gzip,\xa0chunked"], "400 bad_transfer_encoding"],
];

describe("request body", () => {
  test("RFC 9112 §6.3: none without Content-Length and Transfer-Encoding", () => {
    expect(request([])).toBe("none");
  });

  test.each(SHARED)("%s: %j → %s", (_rfc, fields, want) => {
    expect(request(fields)).toBe(want);
  });

  test("RFC 9112 §6.1: Transfer-Encoding in HTTP/1.0 is refused", () => {
    expect(request(["Transfer-Encoding: chunked"], "1.0")).toBe("400 transfer_encoding_in_http10");
  });
});

describe("response body", () => {
  test.each(SHARED)("%s: %j → %s", (_rfc, fields, want) => {
    expect(response(200, fields)).toBe(want);
  });

  test.each([
    ["no framing at all", 200, [], "GET", "1.1", "until close"],
    ["an HTTP/1.0 server", 200, [], "GET", "1.0", "until close"],
    ["HEAD", 200, ["Content-Length: 5"], "HEAD", "1.1", "none"],
    ["HEAD, chunked", 200, ["Transfer-Encoding: chunked"], "HEAD", "1.1", "none"],
    ["HEAD without framing", 200, [], "HEAD", "1.1", "none"],
    ["204", 204, ["Content-Length: 5"], "GET", "1.1", "none"],
    ["204, chunked", 204, ["Transfer-Encoding: chunked"], "GET", "1.1", "none"],
    ["304", 304, ["Content-Length: 5"], "GET", "1.1", "none"],
    ["205 has a body as any other", 205, ["Content-Length: 5"], "GET", "1.1", "length 5"],
    ["methods are case-sensitive", 200, ["Content-Length: 5"], "head", "1.1", "length 5"],
    ["chunked from HTTP/1.0", 200, ["Transfer-Encoding: chunked"], "GET", "1.0", "400 transfer_encoding_in_http10"],
    ["HEAD does not excuse bad framing", 200, ["Content-Length: x"], "HEAD", "1.1", "400 bad_content_length"],
    [
      "304 does not excuse ambiguous framing",
      304,
      ["Content-Length: 1", "Transfer-Encoding: chunked"],
      "GET",
      "1.1",
      "400 transfer_encoding_with_content_length",
    ],
  ])("RFC 9112 §6.3: %s", (_name, status, fields, method, version, want) => {
    expect(response(status, fields, method, version)).toBe(want);
  });
});
