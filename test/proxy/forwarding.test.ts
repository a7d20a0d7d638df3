// The heads that go on, as tables: which fields stay, go, change and come.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Framing, responseFraming } from "../../src/codec/framing.ts";
import { parseRequestHead, parseResponseHead, parseTrailers } from "../../src/codec/head.ts";
import {
  forwardRequestHead,
  forwardResponseHead,
  forwardTrailers,
  keepsAlive,
  nominatedFields,
  type RequestAdditions,
  type ResponseChanges,
} from "../../src/proxy/forwarding.ts";
import { LIMITS, latin1 } from "../codec/limits.ts";
import { crlf } from "./world.ts";

const NONE: RequestAdditions = { requestId: "new", clientAddress: undefined, fallbackHost: "10.0.0.2:80" };
const ID = "x-request-id: 1\n";

function forwardedRequest(text: string, additions: Partial<RequestAdditions> = {}) {
  const bytes = latin1(crlf(text));
  const head = parseRequestHead(bytes, 0, bytes.length, LIMITS);
  return forwardRequestHead(head, { ...NONE, ...additions });
}

function forwardedResponse(text: string, changes: Partial<ResponseChanges> = {}): string {
  const bytes = latin1(crlf(text));
  const head = parseResponseHead(bytes, 0, bytes.length, LIMITS);
  const framing = head.status < 200 ? Framing.None : responseFraming(head, "GET").framing;
  return forwardResponseHead(head, { serverHeader: undefined, connection: "", framing, ...changes });
}

describe("request fields", () => {
  test.each([
    ["nothing to do", "A: 1\na: 2\nCookie: x\n", "A: 1\na: 2\nCookie: x\n"],
    [
      "RFC 9110 §7.6.1: Connection and what it names",
      "X-Hop: 1\nConnection: x-HOP, keep-alive\nx-hop: 2\nB: 3\n",
      "B: 3\n",
    ],
    ["several Connection lines", "Connection: a\nA: 1\nB: 2\nConnection: b\n", ""],
    ["a nominated name that is no field here", "Connection: nobody\nA: 1\n", "A: 1\n"],
    ["Keep-Alive and Proxy-Connection", "Keep-Alive: timeout=5\nProxy-Connection: keep-alive\nA: 1\n", "A: 1\n"],
    ["Upgrade that nobody announced", "Upgrade: h2c\nA: 1\n", "A: 1\n"],
    [
      "Upgrade that is announced",
      "Upgrade: a\nConnection: keep-alive, Upgrade\nX: 1\n",
      "Upgrade: a\nConnection: Upgrade\nX: 1\n",
    ],
    [
      "h2c: HTTP2-Settings is named and goes",
      "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: x\n",
      "Connection: Upgrade\nUpgrade: h2c\n",
    ],
    [
      "RFC 9110 §10.1.4: TE: trailers that is announced",
      "TE: trailers\nConnection: TE\n",
      "TE: trailers\nConnection: TE\n",
    ],
    [
      "of other codings only trailers goes on",
      "TE: gzip;q=0.5, trailers\nConnection: te\n",
      "TE: trailers\nConnection: TE\n",
    ],
    ["TE without trailers", "TE: gzip\nConnection: te\n", ""],
    ["TE that is not announced", "TE: trailers\n", ""],
    ["TE that is not announced by a word that contains it", "TE: trailers\nConnection: x-latest\n", ""],
    [
      "TE and Upgrade",
      "TE: trailers\nUpgrade: a\nConnection: te, upgrade\n",
      "TE: trailers\nUpgrade: a\nConnection: Upgrade, TE\n",
    ],
    [
      "end-to-end fields cannot be named away",
      "Connection: host, authorization, cookie, x-request-id, x-forwarded-for, content-type\nAuthorization: a\nCookie: b\nContent-Type: c\nx-forwarded-for: d\n",
      "Authorization: a\nCookie: b\nContent-Type: c\nx-forwarded-for: d\n",
    ],
    ["Trailer stays", "Trailer: X-T\n", "Trailer: X-T\n"],
    ["Via and Forwarded stay", "Via: 1.1 a\nForwarded: for=b\n", "Via: 1.1 a\nForwarded: for=b\n"],
    ["JavaScript's own names", "__proto__: 1\nconstructor: 2\nConnection: constructor\n", "__proto__: 1\n"],
    ["a no-break space does not name a field", "Connection: a\xa0\nA: 1\n", "A: 1\n"],
  ])("%s", (_name, fields, want) => {
    expect(forwardedRequest(`GET / HTTP/1.1\nHost: h\n${fields}${ID}\n`).text).toBe(
      crlf(`GET / HTTP/1.1\nHost: h\n${want}${ID}\n`),
    );
  });

  test.each([
    ["one length", "Content-Length: 5\n", "Content-Length: 5\n"],
    ["repeated lengths become one", "content-length: 5\nA: 1\nContent-Length: 5\n", "content-length: 5\nA: 1\n"],
    ["a length that Connection names", "Connection: content-length\nContent-Length: 5\n", "Content-Length: 5\n"],
    [
      "chunked that Connection names",
      "Connection: transfer-encoding\nTransfer-Encoding: chunked\n",
      "Transfer-Encoding: chunked\n",
    ],
    ["chunked in another case", "transfer-encoding: CHUNKED\n", "transfer-encoding: chunked\n"],
  ])("framing: %s", (_name, fields, want) => {
    expect(forwardedRequest(`POST / HTTP/1.1\nHost: h\n${fields}${ID}\n`).text).toBe(
      crlf(`POST / HTTP/1.1\nHost: h\n${want}${ID}\n`),
    );
  });

  test.each([
    ["added at the end", "A: 1\n", "A: 1\nx-request-id: new\n", "new"],
    ["kept in any case", "X-Request-ID: mine\nA: 1\n", "X-Request-ID: mine\nA: 1\n", "mine"],
    ["an empty one is filled in its place", "x-request-id:\nA: 1\n", "x-request-id: new\nA: 1\n", "new"],
    ["of two, the first counts", "x-request-id: a\nx-request-id: b\n", "x-request-id: a\nx-request-id: b\n", "a"],
  ])("x-request-id: %s", (_name, fields, want, id) => {
    const { text, requestId } = forwardedRequest(`GET / HTTP/1.1\nHost: h\n${fields}\n`);
    expect(text).toBe(crlf(`GET / HTTP/1.1\nHost: h\n${want}\n`));
    expect(requestId).toBe(id);
  });

  test.each([
    ["added when there is none", "A: 1\n", "A: 1\nx-forwarded-for: 10.9.9.9\n", "10.9.9.9"],
    [
      "appended to what is there",
      "X-Forwarded-For: 1.1.1.1\n",
      "X-Forwarded-For: 1.1.1.1, 10.9.9.9\n",
      "1.1.1.1, 10.9.9.9",
    ],
    [
      "of several, to the last",
      "x-forwarded-for: a\nB: 1\nX-Forwarded-For: b\n",
      "x-forwarded-for: a\nB: 1\nX-Forwarded-For: b, 10.9.9.9\n",
      "a, b, 10.9.9.9",
    ],
    ["an empty one is filled", "x-forwarded-for:\n", "x-forwarded-for: 10.9.9.9\n", "10.9.9.9"],
  ])("x-forwarded-for: %s", (_name, fields, want, forwardedFor) => {
    const forwarded = forwardedRequest(`GET / HTTP/1.1\nHost: h\nx-request-id: 1\n${fields}\n`, {
      clientAddress: "10.9.9.9",
    });
    expect(forwarded.text).toBe(crlf(`GET / HTTP/1.1\nHost: h\nx-request-id: 1\n${want}\n`));
    expect(forwarded.forwardedFor).toBe(forwardedFor);
  });

  test("x-forwarded-for is left alone without a client address", () => {
    const forwarded = forwardedRequest(`GET / HTTP/1.1\nHost: h\nx-forwarded-for: a\nx-forwarded-for: b\n${ID}\n`);
    expect(forwarded.text).toContain("x-forwarded-for: a\r\nx-forwarded-for: b\r\n");
    expect(forwarded.forwardedFor).toBe("a, b");
  });

  test.each([
    ["HTTP/1.1 goes on as HTTP/1.1", "GET /%20 HTTP/1.1\nHost: h\n", "GET /%20 HTTP/1.1\nHost: h\n"],
    ["HTTP/1.0 becomes HTTP/1.1", "GET / HTTP/1.0\nHost: h\n", "GET / HTTP/1.1\nHost: h\n"],
    ["HTTP/1.0 without a Host gets one", "GET / HTTP/1.0\n", "GET / HTTP/1.1\n"],
    ["an empty Host stays", "GET / HTTP/1.1\nHost:\n", "GET / HTTP/1.1\nHost: \n"],
    ["absolute-form stays", "GET http://x/y HTTP/1.1\nHost: h\n", "GET http://x/y HTTP/1.1\nHost: h\n"],
  ])("%s", (_name, start, want) => {
    const host = start.includes("Host") ? "" : "Host: 10.0.0.2:80\n";
    expect(forwardedRequest(`${start}${ID}\n`).text).toBe(crlf(`${want}${ID}${host}\n`));
  });
});

describe("response fields", () => {
  test.each([
    [
      "status, reason, case, order and duplicates stay",
      "HTTP/1.1 200 F\xefn\nB: 1\nset-cookie: a\nSet-Cookie: b\nContent-Length: 0\n\n",
    ],
    ["Server stays unless replaced", "HTTP/1.1 200 OK\nServer: s\nContent-Length: 0\n\n"],
    ["Trailer, Via and Alt-Svc stay", "HTTP/1.1 200 OK\nTrailer: a\nVia: 1.1 b\nAlt-Svc: c\nContent-Length: 0\n\n"],
    ["chunked stays", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"],
    ["an interim response stays", "HTTP/1.1 103 Early Hints\nLink: a\nlink: b\n\n"],
    ["a switch of protocols stays", "HTTP/1.1 101 Switching Protocols\nUpgrade: a\nConnection: Upgrade\n\n"],
  ])("%s", (_name, text) => {
    expect(forwardedResponse(text)).toBe(crlf(text));
  });

  test.each([
    ["HTTP/1.0 becomes HTTP/1.1", "HTTP/1.0 200 OK\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    [
      "Connection and what it names",
      "HTTP/1.1 200 OK\nConnection: close, X-A\nX-A: 1\nx-a: 2\nContent-Length: 0\n\n",
      "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ],
    [
      "Keep-Alive and Proxy-Connection",
      "HTTP/1.1 200 OK\nKeep-Alive: a\nProxy-Connection: b\nContent-Length: 0\n\n",
      "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ],
    [
      "Upgrade that is no answer",
      "HTTP/1.1 200 OK\nUpgrade: h2c\nContent-Length: 0\n\n",
      "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    ],
    [
      "set-cookie cannot be named away",
      "HTTP/1.1 200 OK\nConnection: set-cookie\nSet-Cookie: a\nContent-Length: 0\n\n",
      "HTTP/1.1 200 OK\nSet-Cookie: a\nContent-Length: 0\n\n",
    ],
    [
      "repeated lengths become one",
      "HTTP/1.1 200 OK\nContent-Length: 5\ncontent-length: 5\n\n",
      "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
    ],
    ["RFC 9110 §8.6: no length in 204", "HTTP/1.1 204 No\nContent-Length: 0\n\n", "HTTP/1.1 204 No\n\n"],
    ["RFC 9112 §6.1: no coding in 204", "HTTP/1.1 204 No\nTransfer-Encoding: chunked\n\n", "HTTP/1.1 204 No\n\n"],
    [
      "RFC 9110 §8.6: no length in 1xx",
      "HTTP/1.1 103 E\nContent-Length: 5\nTransfer-Encoding: chunked\nA: 1\n\n",
      "HTTP/1.1 103 E\nA: 1\n\n",
    ],
  ])("%s", (_name, text, want) => {
    expect(forwardedResponse(text)).toBe(crlf(want));
  });

  test.each([
    ["replaced in its place", "SERVER: s\nA: 1\n", "SERVER: pilotfish\nA: 1\n"],
    ["repeated ones become one", "Server: s\nA: 1\nserver: t\n", "Server: pilotfish\nA: 1\n"],
    ["added when there is none", "A: 1\n", "A: 1\nServer: pilotfish\n"],
  ])("Server is %s", (_name, fields, want) => {
    expect(forwardedResponse(`HTTP/1.1 304 No\n${fields}\n`, { serverHeader: "pilotfish" })).toBe(
      crlf(`HTTP/1.1 304 No\n${want}\n`),
    );
  });

  test("Server is not added to interim responses", () => {
    expect(forwardedResponse("HTTP/1.1 103 E\n\n", { serverHeader: "pilotfish" })).toBe(crlf("HTTP/1.1 103 E\n\n"));
  });

  test("our own Connection field comes last", () => {
    expect(forwardedResponse("HTTP/1.1 304 No\nA: 1\n\n", { connection: "close", serverHeader: "p" })).toBe(
      crlf("HTTP/1.1 304 No\nA: 1\nServer: p\nConnection: close\n\n"),
    );
  });
});

test("RFC 9110 §6.5.1: trailers that would frame or route are dropped", () => {
  const fields =
    "A: 1\nContent-Length: 5\nTRANSFER-encoding: chunked\nHost: x\nConnection: close\nTE: a\nUpgrade: b\nTrailer: c\na: 2\n";
  expect(forwardTrailers(parseTrailers(latin1(crlf(`${fields}\n`)), LIMITS))).toBe(crlf("0\nA: 1\na: 2\n\n"));
  expect(forwardTrailers(undefined)).toBe("0\r\n\r\n");
});

describe("Connection", () => {
  test.each([
    [1, "", true],
    [1, "close", false],
    [1, "keep-alive", true],
    [1, "keep-alive, close", false],
    [1, "x-close", true],
    [1, "foo,\tclose , bar", false],
    [1, "close\xa0", true],
    [0, "", false],
    [0, "keep-alive", true],
    [0, "x, keep-alive", true],
    [0, "keep-alive,close", false],
    [0, "not-keep-alive", false],
  ])("RFC 9112 §9.3: HTTP/1.%i with %j keeps the connection: %p", (minor, connection, want) => {
    expect(keepsAlive(minor, connection)).toBe(want);
  });

  test.each<[string, string[] | undefined]>([
    ["", undefined],
    ["keep-alive", undefined],
    ["close, upgrade, te,,", undefined],
    ["x-a, x-b", ["x-a", "x-b"]],
    ["host, server, cookie", undefined],
  ])("%j names %j", (connection, want) => {
    expect(nominatedFields(connection)).toEqual(want === undefined ? undefined : new Set(want));
  });
});

describe("against a plain rendering of the rules", () => {
  const name = fc.constantFrom(
    ...["A", "x-b", "TE", "Te", "Upgrade", "Connection", "connection", "Keep-Alive", "Proxy-Connection", "Server"],
    ...["X-Request-Id", "x-request-id", "X-Forwarded-For", "x-forwarded-for", "Via", "__proto__", "Content-Type"],
  );
  const value = fc.constantFrom(
    "",
    "1",
    "a, b",
    "close",
    "keep-alive, x-b",
    "upgrade",
    "TE, a",
    "trailers",
    "gzip, trailers",
    "\xe9",
  );
  const space = fc.constantFrom("", " ", "  ", "\t");
  const fields = fc.array(fc.tuple(name, space, value, space), { maxLength: 12 });
  const wireOf = (lines: [string, string, string, string][]) =>
    lines.map(([text, before, of, after]) => `${text}:${before}${of}${after}\n`).join("");
  const listOf = (lines: [string, string, string, string][], wanted: string) =>
    lines
      .filter(([text]) => text.toLowerCase() === wanted)
      .flatMap(([, , of]) => of.toLowerCase().split(","))
      .map((option) => option.trim());
  const KEPT = new Set([
    "x-request-id",
    "x-forwarded-for",
    "server",
    "content-type",
    "te",
    "close",
    "keep-alive",
    "upgrade",
    "",
  ]);

  test("requests", () => {
    fc.assert(
      fc.property(fields, (lines) => {
        const options = listOf(lines, "connection");
        const has = (wanted: string) => lines.some(([text]) => text.toLowerCase() === wanted);
        const isUpgrade = has("upgrade") && options.includes("upgrade");
        const trailers = options.includes("te") && listOf(lines, "te").includes("trailers");
        let [id, connections, forwardedFor, last] = ["", 0, "", -1];
        for (const [at, [text]] of lines.entries()) if (text.toLowerCase() === "x-forwarded-for") last = at;
        let want = "GET / HTTP/1.1\nHost: h\n";
        for (const [at, [text, , of]] of lines.entries()) {
          const lower = text.toLowerCase();
          let line: string | undefined = of;
          if (lower === "keep-alive" || lower === "proxy-connection") line = undefined;
          else if (lower === "connection") {
            const ours = [...(isUpgrade ? ["Upgrade"] : []), ...(trailers ? ["TE"] : [])];
            line = ours.length > 0 && connections++ === 0 ? ours.join(", ") : undefined;
          } else if (lower === "upgrade") line = isUpgrade ? of : undefined;
          else if (lower === "te") line = trailers ? "trailers" : undefined;
          else if (options.includes(lower) && !KEPT.has(lower)) line = undefined;
          else if (lower === "x-request-id") {
            if (of === "" && id === "") line = "new";
            id ||= of || "new";
          } else if (lower === "x-forwarded-for") {
            if (at === last) line = of === "" ? "10.9.9.9" : `${of}, 10.9.9.9`;
            forwardedFor = forwardedFor === "" ? line : `${forwardedFor}, ${line}`;
          }
          if (line !== undefined) want += `${text}: ${line}\n`;
        }
        if (last < 0) {
          forwardedFor = "10.9.9.9";
          want += "x-forwarded-for: 10.9.9.9\n";
        }
        if (id === "") {
          id = "new";
          want += "x-request-id: new\n";
        }
        const got = forwardedRequest(`GET / HTTP/1.1\nHost: h\n${wireOf(lines)}\n`, { clientAddress: "10.9.9.9" });
        expect(got).toEqual({ text: crlf(`${want}\n`), requestId: id, forwardedFor });
      }),
      { numRuns: 1_000 },
    );
  });

  test("responses", () => {
    const server = fc.constantFrom(undefined, "pilotfish");
    fc.assert(
      fc.property(fields, server, fc.constantFrom("", "close"), (lines, serverHeader, connection) => {
        const options = listOf(lines, "connection");
        let servers = 0;
        let want = "HTTP/1.1 200 OK\n";
        for (const [text, , of] of lines) {
          const lower = text.toLowerCase();
          if (["keep-alive", "proxy-connection", "connection", "upgrade"].includes(lower)) continue;
          if (lower !== "te" && options.includes(lower) && !KEPT.has(lower)) continue;
          if (lower === "server" && serverHeader !== undefined) {
            if (servers++ === 0) want += `${text}: ${serverHeader}\n`;
          } else want += `${text}: ${of}\n`;
        }
        want += "Transfer-Encoding: chunked\n";
        if (serverHeader !== undefined && servers === 0) want += `Server: ${serverHeader}\n`;
        if (connection !== "") want += `Connection: ${connection}\n`;
        const got = forwardedResponse(`HTTP/1.1 200 OK\n${wireOf(lines)}\n`, {
          ...{ serverHeader, connection, framing: Framing.Chunked },
        });
        expect(got).toBe(crlf(`${want}\n`));
      }),
      { numRuns: 1_000 },
    );
  });
});
