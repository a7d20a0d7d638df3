import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  findHeadEnd,
  hasBareLf,
  parseRequestHead,
  parseResponseHead,
  parseTrailers,
  type RequestHead,
  type ResponseHead,
} from "../../src/codec/head.ts";
import { HeadBuffer } from "../../src/codec/head-buffer.ts";
import { ProtocolError } from "../../src/codec/protocol-error.ts";
import { LIMITS, latin1 } from "./limits.ts";

function request(text: string, limits = LIMITS): RequestHead {
  const bytes = latin1(text);
  return parseRequestHead(bytes, 0, bytes.length, limits);
}

function response(text: string, limits = LIMITS): ResponseHead {
  const bytes = latin1(text);
  return parseResponseHead(bytes, 0, bytes.length, limits);
}

/** The refusal of `parse`, as `status detail`; what it returned when there was none. */
function refusal(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    return `${error.status} ${error.detail}`;
  }
}

const HOST = "Host: a\r\n";

describe("request head", () => {
  test("keeps method, target, case, order, duplicates and obs-text as they came", () => {
    const head = request("gEt /a%2F?b=\xe9&&{} HTTP/1.1\r\nhOsT: a.b:80\r\nX-B:  1 \r\nx-a:\r\nX-b: \xfc\t2\t\r\n\r\n");
    expect(head.method).toBe("gEt");
    expect(head.target).toBe("/a%2F?b=\xe9&&{}");
    expect(head.minorVersion).toBe(1);
    expect(head.host).toBe("a.b:80");
    expect(head.headers.flat).toEqual(["hOsT", "a.b:80", "X-B", "1", "x-a", "", "X-b", "\xfc\t2"]);
  });

  test.each([
    ["origin-form", "/"],
    ["absolute-form", "http://example.com/a?b"],
    ["asterisk-form", "*"],
    ["authority-form", "example.com:443"],
    ["odd but visible characters", '/|\\^`<>"{}[]#?%zz'],
    ["obs-text", "/\x80\xff"],
  ])("target in %s is byte-exact", (_name, target) => {
    expect(request(`GET ${target} HTTP/1.1\r\n${HOST}\r\n`).target).toBe(target);
  });

  test("what decides about connection and body is noted", () => {
    const head = request(
      `POST / HTTP/1.1\r\n${HOST}CONTENT-length: 5\r\ncontent-LENGTH: 5\r\nConnection: Keep-Alive\r\nconnection: Upgrade, X-A\r\nTransfer-Encoding: gzip\r\ntransfer-encoding: Chunked\r\nUpgrade: h2c\r\n\r\n`,
    );
    expect(head).toMatchObject({
      contentLength: "5",
      connection: "keep-alive,upgrade, x-a",
      transferEncoding: "gzip,Chunked",
      hasUpgrade: true,
    });
  });

  test("an HTTP/1.0 request needs no Host", () => {
    expect(request("GET / HTTP/1.0\r\n\r\n")).toMatchObject({ minorVersion: 0, host: undefined });
  });

  test("names that JavaScript gives a meaning are names", () => {
    const head = request(`GET / HTTP/1.1\r\n${HOST}__proto__: 1\r\nconstructor: 2\r\n1: 3\r\n0: 4\r\n\r\n`);
    expect(head.headers.flat.slice(2)).toEqual(["__proto__", "1", "constructor", "2", "1", "3", "0", "4"]);
    expect(head.headers.get("__proto__")).toBe("1");
  });

  test("parses in the middle of a buffer", () => {
    const text = `GET /1 HTTP/1.1\r\n${HOST}\r\n`;
    const bytes = latin1(`xx${text}GET /2 HTTP/1.1\r\n`);
    expect(parseRequestHead(bytes, 2, 2 + text.length, LIMITS)).toMatchObject({ target: "/1", host: "a" });
  });

  test.each([
    ["RFC 9112 §3", "empty method", ` / HTTP/1.1\r\n${HOST}\r\n`, "400 bad_method"],
    ["RFC 9112 §3", "white space before the method", ` GET / HTTP/1.1\r\n${HOST}\r\n`, "400 bad_method"],
    ["RFC 9112 §3", "two spaces after the method", `GET  / HTTP/1.1\r\n${HOST}\r\n`, "400 bad_request_target"],
    ["RFC 9112 §3", "tab after the method", `GET\t/ HTTP/1.1\r\n${HOST}\r\n`, "400 bad_method"],
    ["RFC 9112 §3", "two spaces before the version", `GET /  HTTP/1.1\r\n${HOST}\r\n`, "400 bad_http_version"],
    ["RFC 9112 §3", "space after the version", `GET / HTTP/1.1 \r\n${HOST}\r\n`, "400 bad_http_version"],
    ["RFC 9112 §3", "method only", "GET\r\n\r\n", "400 bad_method"],
    ["RFC 9110 §9.1", "method with a separator", `GE(T / HTTP/1.1\r\n${HOST}\r\n`, "400 bad_method"],
    ["RFC 9110 §9.1", "method with obs-text", `G\xc9T / HTTP/1.1\r\n${HOST}\r\n`, "400 bad_method"],
    ["RFC 9110 §9.1", "method of 65 characters", `${"A".repeat(65)} / HTTP/1.1\r\n${HOST}\r\n`, "501 method_too_long"],
    ["RFC 9112 §3.2", "space in the target", `GET /a b HTTP/1.1\r\n${HOST}\r\n`, "400 bad_http_version"],
    ["RFC 9112 §3.2", "tab in the target", `GET /a\tb HTTP/1.1\r\n${HOST}\r\n`, "400 bad_request_target"],
    ["RFC 9112 §3.2", "NUL in the target", `GET /a\0b HTTP/1.1\r\n${HOST}\r\n`, "400 bad_request_target"],
    ["RFC 9112 §3.2", "DEL in the target", `GET /a\x7fb HTTP/1.1\r\n${HOST}\r\n`, "400 bad_request_target"],
    ["RFC 9112 §2.3", "HTTP/0.9", "GET /\r\n\r\n", "400 http09_request"],
    ["RFC 9112 §2.3", "HTTP/2.0", `GET / HTTP/2.0\r\n${HOST}\r\n`, "505 bad_http_version"],
    ["RFC 9112 §2.3", "HTTP/1.2", `GET / HTTP/1.2\r\n${HOST}\r\n`, "505 bad_http_version"],
    ["RFC 9112 §2.3", "HTTP/0.9 by name", `GET / HTTP/0.9\r\n${HOST}\r\n`, "505 bad_http_version"],
    ["RFC 9112 §2.3", "HTTP/1.10", `GET / HTTP/1.10\r\n${HOST}\r\n`, "400 bad_http_version"],
    ["RFC 9112 §2.3", "HTTP/1", `GET / HTTP/1\r\n${HOST}\r\n`, "505 bad_http_version"],
    ["RFC 9112 §2.3", "HTTP/1.x", `GET / HTTP/1.x\r\n${HOST}\r\n`, "505 bad_http_version"],
    ["RFC 9112 §2.3", "lower case", `GET / http/1.1\r\n${HOST}\r\n`, "400 bad_http_version"],
    ["RFC 9112 §2.2", "bare LF behind the request line", `GET / HTTP/1.1\n${HOST}\r\n`, "400 bad_http_version"],
    ["RFC 9112 §2.2", "bare CR behind the request line", `GET / HTTP/1.1\r${HOST}\r\n`, "400 bad_http_version"],
    [
      "RFC 9112 §2.2",
      "bare LF behind a field",
      `GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n`,
      "400 bad_octet_in_header_value",
    ],
    [
      "RFC 9112 §2.2",
      "bare CR in a value",
      `GET / HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`,
      "400 bad_octet_in_header_value",
    ],
    ["RFC 9112 §2.2", "CR CR LF", `GET / HTTP/1.1\r\n${HOST}X: a\r\r\n\r\n`, "400 bad_octet_in_header_value"],
    ["RFC 9110 §5.5", "NUL in a value", `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, "400 bad_octet_in_header_value"],
    [
      "RFC 9110 §5.5",
      "control character in a value",
      `GET / HTTP/1.1\r\n${HOST}X: \x01\r\n\r\n`,
      "400 bad_octet_in_header_value",
    ],
    ["RFC 9110 §5.5", "DEL in a value", `GET / HTTP/1.1\r\n${HOST}X: \x7f\r\n\r\n`, "400 bad_octet_in_header_value"],
    ["RFC 9112 §5.1", "space before the colon", `GET / HTTP/1.1\r\n${HOST}X : 1\r\n\r\n`, "400 space_in_header_name"],
    ["RFC 9112 §5.1", "tab before the colon", `GET / HTTP/1.1\r\n${HOST}X\t: 1\r\n\r\n`, "400 space_in_header_name"],
    ["RFC 9112 §5.1", "space in a name", `GET / HTTP/1.1\r\n${HOST}X Y: 1\r\n\r\n`, "400 space_in_header_name"],
    ["RFC 9110 §5.1", "empty name", `GET / HTTP/1.1\r\n${HOST}: 1\r\n\r\n`, "400 empty_header_name"],
    ["RFC 9110 §5.1", "no colon", `GET / HTTP/1.1\r\n${HOST}X\r\n\r\n`, "400 bad_header_name"],
    ["RFC 9110 §5.1", "obs-text in a name", `GET / HTTP/1.1\r\n${HOST}X\xe9: 1\r\n\r\n`, "400 bad_header_name"],
    ["RFC 9110 §5.1", "NUL in a name", `GET / HTTP/1.1\r\n${HOST}X\0: 1\r\n\r\n`, "400 bad_header_name"],
    ["RFC 9110 §5.1", "quotes in a name", `GET / HTTP/1.1\r\n${HOST}"X": 1\r\n\r\n`, "400 bad_header_name"],
    [
      "RFC 9112 §5.2",
      "obs-fold with a space",
      `GET / HTTP/1.1\r\n${HOST}X: 1\r\n 2\r\n\r\n`,
      "400 obsolete_line_folding",
    ],
    [
      "RFC 9112 §5.2",
      "obs-fold with a tab",
      `GET / HTTP/1.1\r\n${HOST}X: 1\r\n\t2\r\n\r\n`,
      "400 obsolete_line_folding",
    ],
    [
      "RFC 9112 §2.2",
      "white space before the first field",
      `GET / HTTP/1.1\r\n ${HOST}\r\n`,
      "400 obsolete_line_folding",
    ],
    ["RFC 9112 §3.2", "no Host in HTTP/1.1", "GET / HTTP/1.1\r\nX: 1\r\n\r\n", "400 missing_host"],
    ["RFC 9112 §3.2", "Host twice", `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`, "400 repeated_host"],
    ["RFC 9112 §3.2", "Host twice in other cases", `GET / HTTP/1.1\r\nHOST: a\r\nhost: b\r\n\r\n`, "400 repeated_host"],
    ["RFC 9112 §3.2", "a list in Host", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400 bad_host"],
    ["RFC 9112 §3.2", "a space in Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 bad_host"],
    ["RFC 9112 §3.2", "user information in Host", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 bad_host"],
    ["RFC 9112 §3.2", "a path in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 bad_host"],
    ["RFC 9112 §3.2", "a query in Host", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", "400 bad_host"],
    ["RFC 9112 §3.2", "a bad Host in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", "400 bad_host"],
    [
      "RFC 9110 §8.6",
      "differing Content-Length",
      `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\ncontent-length: 6\r\n\r\n`,
      "400 differing_content_lengths",
    ],
    [
      "RFC 9110 §8.6",
      "the same Content-Length written otherwise",
      `POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\nContent-Length: 05\r\n\r\n`,
      "400 differing_content_lengths",
    ],
  ])("%s: refuses %s", (_rfc, _name, wire, want) => {
    expect(refusal(() => request(wire))).toBe(want);
  });

  test("RFC 6585 §5: refuses more fields than the limit, and takes as many as it", () => {
    const limits = { ...LIMITS, maxHeaderFields: 3 };
    expect(request(`GET / HTTP/1.1\r\n${HOST}A: 1\r\nB: 2\r\n\r\n`, limits).headers.count).toBe(3);
    expect(refusal(() => request(`GET / HTTP/1.1\r\n${HOST}A: 1\r\nB: 2\r\nC: 3\r\n\r\n`, limits))).toBe(
      "431 too_many_headers",
    );
  });
});

describe("response head", () => {
  test.each([
    ["with a reason", "HTTP/1.1 200 OK\r\n\r\n", { status: 200, reason: "OK", minorVersion: 1 }],
    ["odd reason", "HTTP/1.1 299  \xe9 a\tb \r\n\r\n", { status: 299, reason: " \xe9 a\tb " }],
    ["empty reason", "HTTP/1.1 404 \r\n\r\n", { status: 404, reason: "" }],
    ["reason left out with its space", "HTTP/1.1 404\r\n\r\n", { status: 404, reason: "" }],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", { minorVersion: 0 }],
    ["unregistered status", "HTTP/1.1 999 ?\r\n\r\n", { status: 999 }],
  ])("%s", (_name, wire, want) => {
    expect(response(wire)).toMatchObject(want);
  });

  test("Host is a field like any other", () => {
    expect(response("HTTP/1.1 200 OK\r\nHost: a\r\nHost: b/c\r\n\r\n").headers.count).toBe(2);
  });

  test("parses in the middle of a buffer", () => {
    const text = "HTTP/1.1 200 Fine\r\nA: 1\r\n\r\n";
    const bytes = latin1(`xyz${text}HTTP/1.1 500 No\r\n\r\n`);
    const head = parseResponseHead(bytes, 3, 3 + text.length, LIMITS);
    expect(head).toMatchObject({ status: 200, reason: "Fine" });
    expect(head.headers.flat).toEqual(["A", "1"]);
  });

  test.each([
    ["RFC 9112 §4", "no version", "200 OK\r\n\r\n"],
    ["RFC 9112 §4", "another protocol", "ICY 200 OK\r\n\r\n"],
    ["RFC 9112 §4", "HTTP/2", "HTTP/2 200\r\n\r\n"],
    ["RFC 9112 §4", "HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n"],
    ["RFC 9112 §4", "two digits", "HTTP/1.1 20 OK\r\n\r\n"],
    ["RFC 9112 §4", "four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
    ["RFC 9112 §4", "status 099", "HTTP/1.1 099 OK\r\n\r\n"],
    ["RFC 9112 §4", "status with a sign", "HTTP/1.1 +20 OK\r\n\r\n"],
    ["RFC 9112 §4", "two spaces", "HTTP/1.1  200 OK\r\n\r\n"],
    ["RFC 9112 §4", "no status", "HTTP/1.1 \r\n\r\n"],
    ["RFC 9112 §4", "NUL in the reason", "HTTP/1.1 200 O\0K\r\n\r\n"],
    ["RFC 9112 §2.2", "bare LF behind the status line", "HTTP/1.1 200 OK\nA: 1\r\n\r\n"],
    ["RFC 9112 §2.2", "bare CR in the reason", "HTTP/1.1 200 O\rK\r\n\r\n"],
    ["RFC 9112 §5.1", "space before the colon", "HTTP/1.1 200 OK\r\nA : 1\r\n\r\n"],
    ["RFC 9112 §5.2", "obs-fold", "HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\n\r\n"],
    ["RFC 9110 §5.5", "control character in a value", "HTTP/1.1 200 OK\r\nA: \x1b\r\n\r\n"],
    ["RFC 9110 §8.6", "differing Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"],
  ])("%s: refuses %s", (_rfc, _name, wire) => {
    expect(() => response(wire)).toThrow(ProtocolError);
  });
});

describe("trailers", () => {
  test("are fields without a start line", () => {
    expect(parseTrailers(latin1("A: 1\r\nServer-Timing: \r\na: 2\r\n\r\n"), LIMITS).flat).toEqual([
      ...["A", "1", "Server-Timing", "", "a", "2"],
    ]);
  });
});

describe("the end of a head", () => {
  const wire = `GET /abc HTTP/1.1\r\n${HOST}X: 1\r\n\r\n`;

  test.each([
    ["at the end", wire, wire.length],
    ["before a body", `${wire}body\r\n\r\n`, wire.length],
    ["not yet", wire.slice(0, -1), -1],
    ["never with bare LFs", "GET / HTTP/1.1\n\n", -1],
  ])("is found %s", (_name, text, want) => {
    expect(findHeadEnd(latin1(text), 0)).toBe(want);
  });

  test.each([
    ["no LF", "GET / HTT", 0, false],
    ["CRLF", "GET / HTTP/1.1\r\nA: 1\r\n", 0, false],
    ["LF first", "\nGET", 0, true],
    ["LF behind a line", "GET / HTTP/1.1\r\nA: 1\nB", 0, true],
    ["LF of a CRLF that was cut", "A: 1\r\n", 5, false],
    ["LF in the piece looked at", "A: 1\n", 4, true],
    ["LF in a piece looked at before", "\nA: 1", 1, false],
  ])("a bare LF is seen: %s", (_name, text, from, want) => {
    expect(hasBareLf(latin1(text), from)).toBe(want);
  });

  test("a head that arrives in two pieces, cut anywhere, is the same head", () => {
    const bytes = latin1(`${wire}rest`);
    for (let cut = 1; cut < bytes.length; cut++) {
      const buffer = new HeadBuffer();
      const first = buffer.append(bytes.subarray(0, cut), 0);
      const end = first >= 0 ? first : buffer.append(bytes.subarray(cut), 0);
      expect(end).toBe(wire.length);
      expect(parseRequestHead(buffer.bytes, 0, end, LIMITS)).toMatchObject({ target: "/abc", host: "a" });
    }
  });

  test("a head that arrives byte by byte is the same head", () => {
    const buffer = new HeadBuffer();
    const bytes = latin1(wire);
    for (let at = 0; at < bytes.length; at++) {
      expect(buffer.append(bytes.subarray(at, at + 1), 0)).toBe(at === bytes.length - 1 ? wire.length : -1);
    }
    buffer.clear();
    expect(buffer.length).toBe(0);
    expect(buffer.append(latin1("xxGET"), 2)).toBe(-1);
    expect(buffer.bytes.latin1Slice()).toBe("GET");
  });
});

describe("properties", () => {
  const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,12}$/);
  const value = fc.stringMatching(/^([\x21-\x7e\x80-\xff]([\x20-\x7e\x80-\xff\t]{0,10}[\x21-\x7e\x80-\xff])?)?$/);
  const noted = new Set(["host", "content-length", "transfer-encoding", "connection"]);
  const fields = fc.array(
    fc.tuple(
      token.filter((name) => !noted.has(name.toLowerCase())),
      value,
    ),
    { maxLength: 20 },
  );
  const emit = (start: string, lines: [string, string][]) =>
    `${start}\r\n${lines.map(([name, text]) => `${name}: ${text}\r\n`).join("")}\r\n`;

  test("parse(emit(request)) is the request", () => {
    const target = fc.stringMatching(/^[\x21-\x7e\x80-\xff]{1,40}$/);
    fc.assert(
      fc.property(token, target, fc.constantFrom(0, 1), fields, (method, text, minor, lines) => {
        const all: [string, string][] = [["Host", "h"], ...lines];
        const head = request(emit(`${method} ${text} HTTP/1.${minor}`, all));
        expect([head.method, head.target, head.minorVersion]).toEqual([method, text, minor]);
        expect(head.headers.flat).toEqual(all.flat());
      }),
    );
  });

  test("parse(emit(response)) is the response", () => {
    const reason = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,20}$/);
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 999 }), reason, fields, (status, text, lines) => {
        const head = response(emit(`HTTP/1.1 ${status} ${text}`, lines));
        expect([head.status, head.reason]).toEqual([status, text]);
        expect(head.headers.flat).toEqual(lines.flat());
      }),
    );
  });

  test("nothing but ProtocolError is thrown, whatever the bytes", () => {
    const piece = fc.constantFrom(
      ...[
        "GET ",
        "HTTP/1.1",
        " /",
        "\r\n",
        "\r",
        "\n",
        " ",
        ":",
        "\t",
        "Host: a",
        "Content-Length: 1",
        "HTTP/1.1 200 OK",
      ],
      ...["\0", "\xff", "Transfer-Encoding:", "chunked", "x"],
    );
    const soup = fc.oneof(
      fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join("")),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).latin1Slice()),
    );
    fc.assert(
      fc.property(soup, (text) => {
        const wire = `${text}\r\n\r\n`;
        const end = findHeadEnd(latin1(wire), 0);
        refusal(() => parseRequestHead(latin1(wire), 0, end, LIMITS));
        refusal(() => parseResponseHead(latin1(wire), 0, end, LIMITS));
        refusal(() => parseTrailers(latin1(wire).subarray(0, end), LIMITS));
      }),
      { numRuns: 1000 },
    );
  });

  test("a head that is accepted has no line end or NUL anywhere in it", () => {
    const piece = fc.constantFrom(
      "GET /",
      " HTTP/1.1\r\n",
      "Host: a\r\n",
      "X",
      ": ",
      "\r\n",
      "\r",
      "\n",
      "\0",
      " ",
      "y",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const wire = latin1(`${pieces.join("")}\r\n\r\n`);
        const head = refusal(() => parseRequestHead(wire, 0, findHeadEnd(wire, 0), LIMITS));
        if (typeof head === "string") return;
        const { method, target, headers } = head as RequestHead;
        expect([method, target, ...headers.flat].join("")).not.toMatch(/[\r\n\0]/);
      }),
      { numRuns: 2000 },
    );
  });
});
