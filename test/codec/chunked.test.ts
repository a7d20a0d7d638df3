import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ChunkedDecoder } from "../../src/codec/chunked.ts";
import type { HeaderList } from "../../src/codec/header-list.ts";
import { ProtocolError } from "../../src/codec/protocol-error.ts";
import { LIMITS, latin1 } from "./limits.ts";

interface Decoded {
  body: string;
  ended: boolean;
  trailers: string[] | undefined;
  /** Bytes behind the body, which the decoder left alone. */
  rest: string;
}

function decode(pieces: readonly (string | Buffer)[], limits = LIMITS): Decoded {
  const decoded: Decoded = { body: "", ended: false, trailers: undefined, rest: "" };
  const decoder = new ChunkedDecoder(
    {
      onChunkData: (bytes: Buffer, from: number, to: number) => {
        expect(to).toBeGreaterThan(from);
        decoded.body += bytes.latin1Slice(from, to);
      },
      onChunksEnd: (trailers: HeaderList | undefined) => {
        expect(decoded.ended).toBe(false);
        decoded.ended = true;
        decoded.trailers = trailers?.flat;
      },
    },
    limits,
  );
  for (const piece of pieces) {
    const bytes = typeof piece === "string" ? latin1(piece) : piece;
    decoded.rest += bytes.latin1Slice(decoder.feed(bytes, 0));
  }
  return decoded;
}

function refusal(wire: string, limits = LIMITS): string {
  try {
    decode([wire], limits);
  } catch (error) {
    if (error instanceof ProtocolError) return `${error.status} ${error.detail}`;
    throw error;
  }
  return "accepted";
}

describe("ChunkedDecoder", () => {
  test.each([
    ["one chunk", "5\r\nhello\r\n0\r\n\r\n", { body: "hello", ended: true, rest: "" }],
    ["several chunks", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", { body: "abc", ended: true }],
    ["no chunk", "0\r\n\r\n", { body: "", ended: true }],
    [
      "sizes in both cases, with zeros in front",
      "00a\r\n0123456789\r\nA\r\nabcdefghij\r\n000\r\n\r\n",
      { body: "0123456789abcdefghij", ended: true },
    ],
    ["extensions are dropped", '1;q=1;x="a;b"\r\nx\r\n0;last\r\n\r\n', { body: "x", ended: true }],
    ["white space before an extension", "1 \t;q=1\r\nx\r\n0 \r\n\r\n", { body: "x", ended: true }],
    ["trailers", "0\r\nA: 1\r\nServer-Timing: b\r\n\r\n", { ended: true, trailers: ["A", "1", "Server-Timing", "b"] }],
    [
      "what follows is not body",
      "1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n",
      { body: "x", ended: true, rest: "GET / HTTP/1.1\r\n" },
    ],
    ["line ends in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", { body: "\r\n\r\n", ended: true }],
    ["unfinished data", "5\r\nhel", { body: "hel", ended: false }],
    ["unfinished end", "0\r\n", { body: "", ended: false }],
    ["unfinished trailers", "0\r\nA: 1\r\n", { body: "", ended: false }],
  ])("%s, cut anywhere", (_name, wire, want) => {
    expect(decode([wire])).toMatchObject(want);
    for (let cut = 1; cut < wire.length; cut++) {
      expect(decode([wire.slice(0, cut), wire.slice(cut)])).toMatchObject(want);
    }
    expect(decode([...wire])).toMatchObject(want);
  });

  test("no trailers are undefined, not an empty list", () => {
    expect(decode(["0\r\n\r\n"]).trailers).toBeUndefined();
  });

  test("the pieces of data are views into what was fed, never copies", () => {
    const bytes = latin1("5\r\nhello\r\n0\r\n\r\n");
    const seen: Buffer[] = [];
    const decoder = new ChunkedDecoder({ onChunkData: (of) => seen.push(of), onChunksEnd: () => {} }, LIMITS);
    decoder.feed(bytes, 0);
    expect(seen).toHaveLength(1);
    expect(seen[0]).toBe(bytes);
  });

  test("reset makes it ready for the next body, also in the middle of one", () => {
    let body = "";
    let ends = 0;
    const decoder = new ChunkedDecoder(
      { onChunkData: (bytes, from, to) => (body += bytes.latin1Slice(from, to)), onChunksEnd: () => ends++ },
      LIMITS,
    );
    decoder.feed(latin1("0\r\n\r\n"), 0);
    decoder.reset();
    decoder.feed(latin1("a\r\n01"), 0);
    decoder.reset();
    const bytes = latin1("xx2\r\nok\r\n0\r\n\r\n");
    expect(decoder.feed(bytes, 2)).toBe(bytes.length);
    expect([body, ends]).toEqual(["01ok", 2]);
  });

  test.each([
    ["RFC 9112 §7.1", "no size", "\r\n", "400 bad_chunk_size"],
    ["RFC 9112 §7.1", "not hexadecimal", "g\r\n", "400 bad_chunk_size"],
    ["RFC 9112 §7.1", "a sign", "+5\r\nhello\r\n", "400 bad_chunk_size"],
    ["RFC 9112 §7.1", "a minus", "-1\r\n", "400 bad_chunk_size"],
    ["RFC 9112 §7.1", "0x", "0x5\r\nhello\r\n", "400 bad_chunk_size"],
    ["RFC 9112 §7.1", "an underscore", "1_0\r\n", "400 bad_chunk_size"],
    ["RFC 9112 §7.1", "white space before the size", " 5\r\nhello\r\n", "400 bad_chunk_size"],
    ["RFC 9112 §7.1", "white space within the size", "1 0\r\n", "400 bad_chunk_size"],
    ["RFC 9112 §7.1", "a size over 2^53", "fffffffffffffff\r\n", "400 chunk_size_overflow"],
    ["RFC 9112 §7.1", "2^64 + 5", "10000000000000005\r\nhello\r\n", "400 chunk_size_overflow"],
    ["RFC 9112 §7.1", "zeros without end", "0".repeat(20), "400 chunk_size_overflow"],
    ["RFC 9112 §2.2", "bare LF behind the size", "5\nhello\r\n", "400 bad_chunk_size"],
    ["RFC 9112 §2.2", "bare CR behind the size", "5\rhello\r\n", "400 bad_chunk_line_end"],
    ["RFC 9112 §7.1.1", "bare LF in an extension", "1;a\nb\r\n", "400 bad_chunk_extension"],
    ["RFC 9112 §7.1.1", "bare CR in an extension", "1;a\rb\r\n", "400 bad_chunk_line_end"],
    ["RFC 9112 §7.1.1", "NUL in an extension", "1;a\0b\r\n", "400 bad_chunk_extension"],
    ["RFC 9112 §7.1", "data longer than its size", "5\r\nhelloX", "400 bad_chunk_data_end"],
    ["RFC 9112 §7.1", "bare LF behind the data", "5\r\nhello\n0\r\n", "400 bad_chunk_data_end"],
    ["RFC 9112 §7.1", "bare CR behind the data", "5\r\nhello\r0\r\n", "400 bad_chunk_data_end"],
    ["RFC 9112 §7.1", "no CRLF behind the data", "1\r\nx0\r\n\r\n", "400 bad_chunk_data_end"],
    ["RFC 9112 §7.1.2", "bare LF in a trailer", "0\r\nA: 1\nB: 2\r\n\r\n", "400 bad_trailer"],
    ["RFC 9112 §7.1.2", "LF for the last line", "0\r\n\n", "400 bad_trailer"],
    ["RFC 9112 §7.1.2", "a CR without its LF at the end", "0\r\n\rX", "400 bad_trailer"],
    ["RFC 9112 §7.1.2", "a trailer without a colon", "0\r\nA\r\n\r\n", "400 bad_header_name"],
    ["RFC 9112 §7.1.2", "a folded trailer", "0\r\nA: 1\r\n b\r\n\r\n", "400 obsolete_line_folding"],
    ["RFC 9112 §7.1.2", "a space before the colon of a trailer", "0\r\nA : 1\r\n\r\n", "400 space_in_header_name"],
    ["RFC 9112 §7.1.2", "a NUL in a trailer", "0\r\nA: \0\r\n\r\n", "400 bad_octet_in_header_value"],
  ])("%s: refuses %s", (_rfc, _name, wire, want) => {
    expect(refusal(wire)).toBe(want);
  });

  test.each([
    ["one long extension", `1;${"x".repeat(16 * 1024 + 1)}`, "400 chunk_extensions_too_long"],
    ["white space as one", `1${" ".repeat(16 * 1024 + 1)}`, "400 chunk_extensions_too_long"],
    ["many short ones", `1;${"y".repeat(15)}\r\nx\r\n`.repeat(1200), "400 chunk_extensions_too_long"],
  ])("RFC 9112 §7.1.1: bounds %s", (_name, wire, want) => {
    expect(refusal(wire)).toBe(want);
  });

  test("the bound of extensions is each body's own", () => {
    const decoder = new ChunkedDecoder({ onChunkData: () => {}, onChunksEnd: () => {} }, LIMITS);
    for (let body = 0; body < 3; body++) {
      decoder.reset();
      const wire = latin1(`1;${"x".repeat(10 * 1024)}\r\nx\r\n0\r\n\r\n`);
      expect(decoder.feed(wire, 0)).toBe(wire.length);
    }
  });

  test("RFC 9112 §7.1.2: bounds trailers in bytes and in number", () => {
    expect(refusal("0\r\nA: 123456789", { ...LIMITS, maxHeaderBytes: 8 })).toBe("431 trailers_too_long");
    expect(refusal("0\r\nA: 1\r\nB: 2\r\n\r\n", { ...LIMITS, maxHeaderFields: 1 })).toBe("431 too_many_headers");
  });
});

describe("properties", () => {
  const chunk = fc.uint8Array({ minLength: 1, maxLength: 300 });

  function cutAt(wire: Buffer, cuts: readonly number[]): Buffer[] {
    const at = [...new Set(cuts.map((cut) => cut % (wire.length + 1)))].sort((a, b) => a - b);
    return [0, ...at].map((from, index) => wire.subarray(from, at[index] ?? wire.length));
  }

  test("decode(encode(body)) is the body over arbitrary cuts", () => {
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 8 }), fc.array(fc.nat(), { maxLength: 12 }), (chunks, cuts) => {
        const encoded = chunks.map((data) => `${data.length.toString(16)}\r\n${Buffer.from(data).latin1Slice()}\r\n`);
        const wire = latin1(`${encoded.join("")}0\r\nT: 1\r\n\r\nREST`);
        expect(decode(cutAt(wire, cuts))).toEqual({
          body: chunks.map((data) => Buffer.from(data).latin1Slice()).join(""),
          ended: true,
          trailers: ["T", "1"],
          rest: "REST",
        });
      }),
    );
  });

  test("throws nothing but ProtocolError, and the same for every cut", () => {
    const piece = fc.constantFrom(
      ...["0", "5", "\r\n", "\r", "\n", ";", "hello", "A: 1", " ", "f", "\0", "0\r\n\r\n", "1\r\nx\r\n"],
    );
    const outcome = (pieces: readonly Buffer[]): string => {
      try {
        const { body, ended, rest } = decode(pieces);
        return JSON.stringify([body, ended, rest]);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
        return (error as ProtocolError).detail;
      }
    };
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 5 }), (pieces, cuts) => {
        const wire = latin1(pieces.join(""));
        expect(outcome(cutAt(wire, cuts))).toBe(outcome([wire]));
      }),
      { numRuns: 1000 },
    );
  });
});
