// Any number of requests on one connection, their bytes and those of the answers cut and interleaved anyhow: both lanes
// must write what they write when everything arrives in one piece.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { MemoryWire } from "./memory-wire.ts";
import { crlf, type Lane, World } from "./world.ts";

/** The request goes on as it came: it has an x-request-id, and nothing else is added outbound. */
interface Turn {
  readonly request: string;
  readonly response: string;
}

function turn(method: string, body: string, response: string): Turn {
  const request = `${crlf(`${method} /%20 HTTP/1.1\nHost: h\nx-request-id: 1\n`)}${body}`;
  return { request, response };
}

const NO_BODY = "\r\n";
const LENGTH = crlf("Content-Length: 12\n\nGET / HTTP\n");
const CHUNKED = crlf("Transfer-Encoding: chunked\n\n5\nzzzzz\n6\nzzzzzz\n0\nX-T: 1\n\n");

const TURNS: readonly Turn[] = [
  turn("GET", NO_BODY, crlf("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello")),
  turn("GET", NO_BODY, crlf("HTTP/1.1 200 OK\nContent-Length: 0\n\n")),
  turn("GET", NO_BODY, crlf("HTTP/1.1 304 Not Modified\nContent-Length: 9\n\n")),
  turn("GET", NO_BODY, crlf("HTTP/1.1 103 Early Hints\nLink: a\n\nHTTP/1.1 204 No Content\n\n")),
  turn("HEAD", NO_BODY, crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n")),
  turn("POST", LENGTH, crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nzzz\n0\n\n")),
  turn(
    "PUT",
    CHUNKED,
    crlf("HTTP/1.1 201 Created\nTransfer-Encoding: chunked\n\nb\nzzzzzzzzzzz\n2\nzz\n0\nX-U: 2\n\n"),
  ),
  turn("BREW", CHUNKED, crlf("HTTP/1.1 418 I'm a teapot\nContent-Length: 4\n\n\n\n")),
];

/** Pieces of `text` that end at the cuts. */
function pieces(text: string, cuts: readonly number[]): string[] {
  const at = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].filter((cut) => cut > 0).sort((a, b) => a - b);
  return [0, ...at].map((from, index) => text.slice(from, at[index] ?? text.length)).filter((piece) => piece !== "");
}

/** Chunk sizes checked and taken out: a chunk that was cut goes on in two. Chunked bodies here are all `z`. */
function joinedChunks(wire: string): string {
  return wire.replace(/([0-9a-f]+)\r\n(z+)\r\n/g, (_chunk, size: string, data: string) => {
    expect(Number.parseInt(size, 16)).toBe(data.length);
    return data;
  });
}

async function play(lane: Lane, turns: readonly Turn[], clientCuts: number[], upstreamCuts: number[]): Promise<World> {
  const world = new World(lane);
  const client = world.client();
  const incoming = pieces(turns.map(({ request }) => request).join(""), clientCuts);
  let answered = 0;
  while (answered < turns.length) {
    const piece = incoming.shift();
    if (piece !== undefined) await world.deliver(client, piece);
    // The upstream answers each request once it has it in full.
    while (answered < turns.length && world.upstreams.length > 0) {
      const asked = turns.slice(0, answered + 1).map(({ request }) => request);
      if (joinedChunks(world.upstream.written) !== joinedChunks(asked.join(""))) break;
      for (const part of pieces(turns[answered]!.response, upstreamCuts)) await world.deliver(world.upstream, part);
      answered++;
    }
    if (piece === undefined && answered < turns.length) throw new Error(`request ${answered} never went upstream`);
  }
  return world;
}

test("however the bytes are cut, both sides get the same messages", async () => {
  const cuts = fc.array(fc.nat(2_000), { maxLength: 12 });
  const turns = fc.array(fc.constantFrom(...TURNS), { minLength: 1, maxLength: 5 });
  await fc.assert(
    fc.asyncProperty(turns, cuts, cuts, async (played, clientCuts, upstreamCuts) => {
      for (const lane of ["straight", "pipeline"] as const) {
        const world = await play(lane, played, clientCuts, upstreamCuts);
        expect(world.upstreams).toHaveLength(1);
        expect(joinedChunks(world.upstream.written)).toBe(joinedChunks(played.map((one) => one.request).join("")));
        expect(joinedChunks(world.clients[0]!.written)).toBe(joinedChunks(played.map((one) => one.response).join("")));
        expect(world.records).toHaveLength(played.length);
        await world.verify();
      }
    }),
    { numRuns: 60 },
  );
});

describe("whoever goes away after any byte leaves nothing in flight, and nothing that looks whole", () => {
  const endings = [
    ["ends", (world: World, wire: MemoryWire) => world.end(wire)],
    ["resets", (world: World, wire: MemoryWire) => world.break(wire, "ECONNRESET")],
  ] as const;

  test.each(endings)("an upstream that %s", async (_name, leave) => {
    for (const lane of ["straight", "pipeline"] as const) {
      for (const { request, response } of TURNS) {
        for (let length = 0; length < response.length; length++) {
          const world = new World(lane);
          const client = world.client();
          await world.deliver(client, request);
          if (length > 0) await world.deliver(world.upstream, response.slice(0, length));
          await leave(world, world.upstream);
          const final = client.written.replace(/^HTTP\/1\.1 1.*?\r\n\r\n/s, "");
          if (client.ending === "reset")
            expect(joinedChunks(client.written).length).toBeLessThan(joinedChunks(response).length);
          else expect(final).toStartWith("HTTP/1.1 503 ");
          expect(world.records).toHaveLength(1);
          expect(world.lastRecord.responseFlag).toBe("UC");
          await world.verify();
        }
      }
    }
  });

  test.each(endings)("a client that %s", async (_name, leave) => {
    for (const lane of ["straight", "pipeline"] as const) {
      for (const { request } of TURNS) {
        for (let length = 1; length < request.length; length++) {
          const world = new World(lane);
          const client = world.client();
          await world.deliver(client, request.slice(0, length));
          await leave(world, client);
          expect(client.isClosed).toBe(true);
          expect(world.inFlight).toBe(0);
          for (const upstream of world.upstreams) {
            expect(upstream.ending).toBe("reset");
            expect(upstream.written.length).toBeLessThan(request.length);
          }
          expect(world.records.map((record) => record.responseFlag)).toEqual(world.upstreams.map(() => "DC"));
        }
      }
    }
  });
});
