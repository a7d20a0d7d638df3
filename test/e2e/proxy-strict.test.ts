// Requests whose framing two servers could read in two ways: answered and closed, and not a byte of them reaches the upstream.
// The upstream writes down all that it gets. The table of every refusal is the codec's own test.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Lanes, PLACES } from "./lanes.ts";

let lanes: Lanes;
beforeAll(async () => {
  lanes = await Lanes.create(["--request-header-timeout", "300ms"]);
}, 30_000);
afterAll(() => lanes?.[Symbol.asyncDispose]());

const ID = "x-request-id: 1b4e28ba-2fa1-41d2-883f-0016d3cca427\r\n";

const AMBIGUOUS: readonly (readonly [name: string, request: string, status: number])[] = [
  [
    "Transfer-Encoding beside Content-Length",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    400,
  ],
  [
    "two Content-Lengths that differ",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
    400,
  ],
  ["a list of Content-Lengths that differ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n123456", 400],
  ["a Content-Length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n12345", 400],
  ["a coding that is not chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400],
  ["chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", 400],
  ["Transfer-Encoding of HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
  ["a bare LF", "GET / HTTP/1.1\r\nHost: a\nX-B: c\r\n\r\n", 400],
  ["bare LFs only", "GET / HTTP/1.1\nHost: a\n\n", 400],
  ["a bare CR", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", 400],
  ["a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n", 400],
  ["a space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n12345", 400],
  ["no Host", "GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", 400],
  ["two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
  ["a control character in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400],
  ["too long a head", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(70_000)}\r\n\r\n`, 431],
  ["too many fields", `GET / HTTP/1.1\r\nHost: a\r\n${"X: a\r\n".repeat(101)}\r\n`, 431],
  ["HTTP/2.0 in an HTTP/1 request line", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
];

describe.each(PLACES)("$name", (place) => {
  test.each(AMBIGUOUS)("%s is refused, and nothing reaches the upstream", (_name, request, status) =>
    lanes.play(place, async (scene) => {
      const server = scene.serve();
      const client = (await scene.connect(server)).send(request);
      await client.until((received) => received.startsWith(`HTTP/1.1 ${status} `));
      expect(["fin", "reset"]).toContain(await client.untilEnd());
      expect(client.received.match(/HTTP\/1\.1 /g)).toHaveLength(1);
      expect(client.received.toLowerCase()).toContain("\r\nconnection: close\r\n");
      expect(server.connections.map(({ received }) => received)).toEqual([]);
    }),
  );

  test.each([
    ["a chunk size that is none", "xyz\r\nhello\r\n0\r\n\r\n"],
    ["a chunk size with a sign", "+5\r\nhello\r\n0\r\n\r\n"],
    ["a chunk longer than its size", "4\r\nhello\r\n0\r\n\r\n"],
    ["a bare LF behind a chunk size", "5\nhello\r\n0\r\n\r\n"],
    ["a chunk size of 17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n"],
  ])("%s ends the request before the upstream has a complete one", (_name, body) =>
    lanes.play(place, async (scene) => {
      const server = scene.serve();
      const client = await scene.connect(server);
      client.send(`POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${ID}\r\n${body}`);
      await client.until("HTTP/1.1 400 Bad Request\r\n");
      await client.untilEnd();
      for (const upstream of server.connections) {
        expect(await upstream.untilEnd()).toBe("reset");
        expect(upstream.received).not.toContain("0\r\n\r\n");
      }
    }),
  );

  test("what follows a refused request is not read", () =>
    lanes.play(place, async (scene) => {
      const server = scene.serve();
      const client = await scene.connect(server);
      client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\nGET /second HTTP/1.1\r\nHost: a\r\n\r\n");
      await client.until("HTTP/1.1 400 ");
      await client.untilEnd();
      expect(client.received.match(/HTTP\/1\.1 /g)).toHaveLength(1);
      expect(server.connections).toHaveLength(0);
    }));

  test("a good request before a bad one is answered first", () =>
    lanes.play(place, async (scene) => {
      const server = scene.serve();
      const client = await scene.connect(server);
      client.send(`GET /good HTTP/1.1\r\nHost: a\r\n${ID}\r\nGET /bad HTTP/1.1\r\nHost : a\r\n\r\n`);
      const upstream = await server.accept();
      await upstream.until("\r\n\r\n");
      upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      await client.untilEnd();
      expect(client.received.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 400"]);
      expect(upstream.received).not.toContain("bad");
    }));

  test("a head that does not come to its end in time is answered 408", () =>
    lanes.play(place, async (scene) => {
      const server = scene.serve();
      const client = (await scene.connect(server)).send("GET / HTTP/1.1\r\nHost: a\r\n");
      await client.until("HTTP/1.1 408 Request Timeout\r\n");
      await client.untilEnd();
      expect(server.connections).toHaveLength(0);
    }));
});
