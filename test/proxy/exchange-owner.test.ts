// An exchange whose owner decides late, as middleware may: what arrives meanwhile waits, and nothing is lost or misread.
import { describe, expect, test } from "bun:test";
import { HeaderList } from "../../src/codec/header-list.ts";
import type { Exchange } from "../../src/proxy/exchange.ts";
import { crlf, World, type WorldOptions } from "./world.ts";

const GET = crlf("GET /a HTTP/1.1\nHost: h\nx-request-id: 1\n\n");
const GET_2 = crlf("GET /b HTTP/1.1\nHost: h\nx-request-id: 2\n\n");
const OK = crlf("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");
const EVIL = crlf("HTTP/1.1 200 OK\nContent-Length: 4\n\nevil");

/** A world whose every exchange waits until the test lets it go on. */
class OwnedWorld extends World {
  readonly exchanges: Exchange[] = [];
  responses = 0;
  overs = 0;

  constructor(options?: WorldOptions) {
    super("straight", options);
    this.pipeline.intercept = (exchange) => {
      this.exchanges.push(exchange);
      exchange.owner = { onResponse: () => this.responses++, onOver: () => this.overs++ };
      return true;
    };
  }

  async forward(): Promise<void> {
    this.exchanges.at(-1)!.forward();
    await this.settle();
  }

  async respond(): Promise<void> {
    this.exchanges.at(-1)!.respond();
    await this.settle();
  }
}

describe("before the request goes on", () => {
  test("nothing is dialled, and the body waits", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    const head = crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 5\nx-request-id: 1\n\n");
    await world.deliver(client, `${head}he`);
    await world.deliver(client, "llo");
    expect(world.upstreams).toHaveLength(0);
    expect(client.isPaused).toBe(true);
    await world.forward();
    expect(world.upstream.written).toBe(`${head}hello`);
    expect(client.isPaused).toBe(false);
    await world.deliver(world.upstream, OK);
    await world.respond();
    expect(client.written).toBe(OK);
    await world.verify();
  });

  test("a chunked body with trailers waits too", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    const request = crlf("POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nx-request-id: 1\n\n2\nhi\n0\nT: 1\n\n");
    await world.deliver(client, request);
    await world.forward();
    expect(world.upstream.written).toBe(request);
  });

  test("a client that goes away ends it without a connection upstream", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    await world.break(client, "ECONNRESET");
    expect([world.overs, world.inFlight, world.lastRecord.responseFlag]).toEqual([1, 0, "DC"]);
    await world.forward();
    expect(world.upstreams).toHaveLength(0);
    await world.verify();
  });

  test("a client that ends with its body still incomplete in hand ends it once that is known", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 5\n\nhe"));
    client.handler.onEnd();
    await world.forward();
    expect(world.lastRecord).toMatchObject({ responseFlag: "DC", bytesReceived: 2 });
    expect(world.upstream.ending).toBe("reset");
    await world.verify();
  });

  test("a client that half-closed behind its whole body gets its answer", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 2\n\nhi"));
    client.handler.onEnd();
    await world.forward();
    await world.deliver(world.upstream, OK);
    await world.respond();
    expect(client.written).toBe(OK);
    expect(client.ending).toBe("closed");
    await world.verify();
  });

  test("a client that ends behind half a pipelined request is closed after its answer", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET + GET_2.slice(0, 8));
    client.handler.onEnd();
    await world.forward();
    await world.deliver(world.upstream, OK);
    await world.respond();
    expect(client.written).toBe(OK);
    expect(client.ending).toBe("closed");
    await world.verify();
  });

  test("an owner may answer by itself; the connection goes on", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET + GET_2);
    world.exchanges[0]!.answerWith(200, new HeaderList(["X-A", "1"]), Buffer.from("mine"));
    await world.settle();
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nX-A: 1\ncontent-length: 4\nServer: pilotfish\n\nmine"));
    expect(world.upstreams).toHaveLength(0);
    expect(world.exchanges).toHaveLength(2);
    await world.verify();
  });

  test("an own answer to an upload that was not read closes the connection", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 5\n\nhe"));
    world.exchanges[0]!.answerWith(403, new HeaderList(), Buffer.from("no"));
    await world.settle();
    expect(client.written).toContain("\r\nConnection: close\r\n");
    expect(client.ending).toBe("lingering");
    await world.verify();
  });

  test.each([
    [204, "HTTP/1.1 204 No Content\nServer: pilotfish\n\n"],
    [304, "HTTP/1.1 304 Not Modified\nServer: pilotfish\n\n"],
  ])("an own %i says nothing of a body", async (status, want) => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    world.exchanges[0]!.answerWith(status, new HeaderList(), Buffer.alloc(0));
    expect(client.written).toBe(crlf(want));
    await world.verify();
  });
});

describe("before the response goes on", () => {
  test("its body waits, and the upstream is paused once 64 KiB wait", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    await world.forward();
    const head = crlf(`HTTP/1.1 200 OK\nContent-Length: ${96 * 1024}\n\n`);
    await world.deliver(world.upstream, head + "x".repeat(64 * 1024));
    expect(world.upstream.isPaused).toBe(false);
    await world.deliver(world.upstream, "y");
    expect(world.upstream.isPaused).toBe(true);
    expect(client.written).toBe("");
    await world.respond();
    expect(world.upstream.isPaused).toBe(false);
    await world.deliver(world.upstream, "z".repeat(32 * 1024 - 1));
    expect(client.written).toBe(`${head}${"x".repeat(64 * 1024)}y${"z".repeat(32 * 1024 - 1)}`);
    await world.verify();
  });

  test("a short body waits without a pause", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    await world.forward();
    await world.deliver(world.upstream, OK.slice(0, -1));
    await world.deliver(world.upstream, OK.slice(-1));
    expect(world.responses).toBe(1);
    expect(client.written).toBe("");
    expect(world.upstream.isPaused).toBe(false);
    await world.respond();
    expect(client.written).toBe(OK);
    expect(world.upstream.ending).toBe("open");
    await world.verify();
  });

  test("interim responses pass meanwhile", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    await world.forward();
    const interim = crlf("HTTP/1.1 103 Early Hints\nLink: a\n\n");
    await world.deliver(world.upstream, interim);
    expect(client.written).toBe(interim);
    await world.deliver(world.upstream, OK);
    await world.respond();
    expect(client.written).toBe(interim + OK);
    await world.verify();
  });

  test.each([
    ["no body", crlf("HTTP/1.1 204 No Content\n\n")],
    ["Content-Length", OK],
    ["chunked", crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n")],
  ])("surplus never answers the pipelined request (%s)", async (_name, response) => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET + GET_2);
    await world.forward();
    // In one packet with the body, else in a packet of its own.
    const bodyAt = response.indexOf("\r\n\r\n") + 4;
    await world.deliver(world.upstream, response.slice(0, bodyAt));
    await world.deliver(world.upstream, response.slice(bodyAt) + EVIL);
    // The next exchange is forwarded in the same breath in which this one ends.
    world.pipeline.intercept = () => false;
    await world.respond();
    expect(client.written).toBe(response);
    expect(world.upstreams).toHaveLength(2);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(response + OK);
    await world.verify();
  });

  test.each([
    ["Content-Length", OK, OK],
    ["no body", crlf("HTTP/1.1 204 No Content\n\n"), crlf("HTTP/1.1 204 No Content\n\n")],
    ["until close", crlf("HTTP/1.0 200 OK\n\nok"), crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n")],
    ["until close, empty", crlf("HTTP/1.0 200 OK\n\n"), crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n")],
  ])("an upstream that ended in order meanwhile has answered in full (%s)", async (_name, response, want) => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    await world.forward();
    world.upstream.receive(response);
    await world.settle();
    world.upstream.handler.onEnd();
    await world.respond();
    expect(client.written).toBe(want);
    expect(client.ending).toBe("open");
    expect(world.upstream.isClosed).toBe(true);
    await world.verify();
  });

  test("an upstream that ended too early breaks the client's connection", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    await world.forward();
    await world.deliver(world.upstream, OK.slice(0, -1));
    world.upstream.handler.onEnd();
    await world.respond();
    expect(client.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({ responseFlag: "UC", bytesSent: 1 });
    await world.verify();
  });

  test("an upstream that resets meanwhile is a 503, as nothing was sent yet", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    await world.forward();
    await world.deliver(world.upstream, OK.slice(0, -1));
    await world.break(world.upstream, "ECONNRESET");
    expect(client.written).toStartWith("HTTP/1.1 503 ");
    expect(world.overs).toBe(1);
    await world.respond();
    expect(world.records).toHaveLength(1);
    await world.verify();
  });

  test("a client that goes away ends it", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    await world.forward();
    await world.deliver(world.upstream, OK);
    await world.break(client, "ECONNRESET");
    expect([world.overs, world.inFlight, world.upstream.ending]).toEqual([1, 0, "reset"]);
    await world.respond();
    expect(world.records).toHaveLength(1);
    await world.verify();
  });

  test("an owner may answer in the upstream's place; the upstream is let go", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET);
    await world.forward();
    await world.deliver(world.upstream, OK);
    world.exchanges[0]!.answerWith(200, new HeaderList(), Buffer.from("mine"));
    await world.settle();
    expect(client.written).toEndWith("\r\n\r\nmine");
    expect(world.upstream.ending).toBe("reset");
    await world.verify();
  });

  test("a pipelined request of a client that half-closed keeps no connection open for ever", async () => {
    const world = new OwnedWorld();
    const client = world.client();
    await world.deliver(client, GET + GET_2);
    client.handler.onEnd();
    await world.forward();
    await world.deliver(world.upstream, OK);
    await world.respond();
    expect(world.exchanges).toHaveLength(2);
    expect(client.deadlineMs).toBeWithin(2_000, 4_001);
    await world.verify();
  });
});
