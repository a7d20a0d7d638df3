import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Sniffed, sniff } from "../../src/codec/sniff.ts";
import { latin1 } from "./limits.ts";

const UNDECIDED: readonly Sniffed[] = ["more", "http1-prefix"];
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** What a connection is taken for when its bytes arrive in pieces that end at `cuts`: the first decision is the last. */
function decide(wire: Buffer, cuts: readonly number[]): Sniffed {
  let last: Sniffed = "more";
  for (const end of [...cuts, wire.length]) {
    last = sniff(wire.subarray(0, end));
    if (!UNDECIDED.includes(last)) return last;
  }
  return last;
}

describe("sniff", () => {
  test.each<[string, string, Sniffed]>([
    ["GET", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "http1"],
    ["a known method with what is no HTTP behind it", "POST \0\r\n", "http1"],
    ["a known method and another version", "GET / HTTP/3.0\r\n", "http1"],
    ["PROPFIND, which begins like the HTTP/2 preface", "PROPFIND /dav HTTP/1.1\r\n", "http1"],
    ["an unknown method", "BREW /pot HTTP/1.1\r\n", "http1"],
    ["an unknown method in lower case", "brew /pot HTTP/1.0\r\n", "http1"],
    ["an unknown method with a bare LF", "BREW /pot HTTP/1.1\n", "http1"],
    ["an unknown method of 40 characters", `${"A".repeat(40)} /pot HTTP/1.1\r\n`, "http1"],
    ["leading line ends", "\r\n\r\nGET / HTTP/1.1\r\n", "http1"],
    ["leading bare LF", "\nGET / HTTP/1.1\r\n", "http1"],
    ["HTTP/2 with prior knowledge", `${PREFACE}\0\0\x12\x04`, "http2"],
    ["TLS client hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls"],
    ["SSH", "SSH-2.0-OpenSSH_9.2p1\r\n", "opaque"],
    ["SMTP", "EHLO client.example\r\n", "opaque"],
    ["SMTP with a known method's letters", "HELO a\r\n", "opaque"],
    ["Redis inline", "PING\r\n", "opaque"],
    ["Redis RESP", "*1\r\n$4\r\nPING\r\n", "opaque"],
    ["MySQL login", "\x54\x00\x00\x01\x85\xa6\xff\x01", "opaque"],
    ["PostgreSQL startup", "\x00\x00\x00\x08\x04\xd2\x16\x2f", "opaque"],
    ["MongoDB", "\x3f\x00\x00\x00\x01\x00\x00\x00", "opaque"],
    ["AMQP", "AMQP\0\0\x09\x01", "opaque"],
    ["MQTT", "\x10\x0c\x00\x04MQTT", "opaque"],
    ["RTSP", "OPTIONS rtsp://host/stream RTSP/1.0\r\nCSeq: 1\r\n", "opaque"],
    ["RTSP with its own method", "DESCRIBE rtsp://host/stream RTSP/1.0\r\n", "opaque"],
    ["SIP", "OPTIONS sip:bob@example.com SIP/2.0\r\n", "opaque"],
    ["SIP with its own method", "INVITE sip:bob@example.com SIP/2.0\r\n", "opaque"],
    ["HTTP's OPTIONS", "OPTIONS * HTTP/1.1\r\n", "http1"],
    ["garbage", "\xff\xfe\x00garbage", "opaque"],
    ["a space first", " GET / HTTP/1.1\r\n", "opaque"],
    ["a line that only ends like HTTP", "hello HTTP/1.1x\r\n", "opaque"],
    ["line ends without end", "\r\n".repeat(5 * 1024), "opaque"],
    ["text without an end, with a control character", "hello\x01", "opaque"],
    ["text without an end, too long", `hello ${"x".repeat(9 * 1024)}`, "opaque"],
  ])("%s, cut anywhere", (_name, text, want) => {
    const wire = latin1(text);
    expect(sniff(wire)).toBe(want);
    const cuts = Math.min(wire.length, 100);
    for (let cut = 1; cut < cuts; cut++) expect(decide(wire, [cut])).toBe(want);
    expect(
      decide(
        wire,
        Array.from({ length: wire.length - 1 }, (_, at) => at + 1).filter((at) => at < 200 || at % 512 === 0),
      ),
    ).toBe(want);
  });

  test.each<[string, Sniffed]>([
    ["", "more"],
    ["\r\n", "more"],
    ["G", "http1-prefix"],
    ["GE", "http1-prefix"],
    ["GET", "http1-prefix"],
    ["\r\nPO", "http1-prefix"],
    ["PRI", "more"],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r", "more"],
    ["BREW", "more"],
    ["BREW /pot HTTP/1.", "more"],
    ["SSH-2.0", "more"],
    ["*", "more"],
  ])("%j is undecided: %s", (text, want) => {
    expect(sniff(latin1(text))).toBe(want);
  });

  test("HTTP/2's preface is recognised in pieces, whatever they are", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: PREFACE.length - 1 })), (cuts) => {
        expect(
          decide(
            latin1(PREFACE),
            cuts.sort((a, b) => a - b),
          ),
        ).toBe("http2");
      }),
    );
  });

  test("any bytes get an answer", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(["http1", "http2", "tls", "opaque", ...UNDECIDED]).toContain(sniff(Buffer.from(bytes)));
      }),
      { numRuns: 1000 },
    );
  });
});
