// What becomes of a connection whose protocol nobody knows yet.
import { describe, expect, test } from "bun:test";
import { crlf, World } from "./world.ts";

const GET = crlf("GET /a HTTP/1.1\nHost: h\nx-request-id: 1\n\n");
const OK = crlf("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");
const HELLO = "\x16\x03\x01\x00\xffhello";

describe("the client speaks first", () => {
  test("HTTP is an exchange, cut anywhere", async () => {
    const world = new World();
    for (let cut = 1; cut < GET.length; cut++) {
      const client = world.arrival();
      await world.deliver(client, GET.slice(0, cut));
      await world.deliver(client, GET.slice(cut));
      await world.deliver(world.upstream, OK);
      expect(client.written).toBe(OK);
    }
    expect(world.upstreams).toHaveLength(1);
    expect(world.tcpOpenings).toBe(0);
    await world.verify();
  });

  test("anything else is a tunnel, whose record is TCP", async () => {
    const world = new World();
    const client = world.arrival();
    await world.deliver(client, HELLO);
    expect(world.upstream.written).toBe(HELLO);
    expect([world.tcpOpenings, world.inFlight]).toEqual([1, 1]);
    await world.deliver(world.upstream, "reply");
    await world.end(client);
    world.clockMs += 250;
    await world.end(world.upstream);
    expect(client.written).toBe("reply");
    expect(world.records).toHaveLength(1);
    expect(world.lastRecord).toMatchObject({
      ...{ protocol: "tcp", method: "", responseCode: 0, responseFlag: "", bytesReceived: 10, bytesSent: 5 },
      ...{ durationMs: 250, startTimeMs: 1_700_000_001_000, originalDestination: "10.0.0.2:80", originalPort: 80 },
      ...{ upstreamHost: "10.0.0.2:80", upstreamLocalAddress: "10.0.0.1:40000", upstreamCluster: "cluster" },
      ...{ downstreamRemoteAddress: "10.0.0.9:5000", downstreamLocalAddress: "10.0.0.1:15001" },
    });
    await world.verify();
  });

  test("an upstream that refuses a tunnel: the client is reset, the record says UF", async () => {
    const world = new World("straight", { opensAtOnce: false });
    const client = world.arrival();
    await world.deliver(client, HELLO);
    await world.break(world.upstream, "ECONNREFUSED");
    expect(client.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({ responseFlag: "UF", upstreamTransportFailureReason: "econnrefused" });
    await world.verify();
  });

  test("a part of a known method waits for the header timeout, and is answered 408", async () => {
    const world = new World();
    const client = world.arrival();
    expect(client.deadlineMs).toBe(30);
    await world.deliver(client, "GE");
    expect(client.deadlineMs).toBe(10_000);
    client.setDeadline(77);
    await world.deliver(client, "T");
    expect(client.deadlineMs).toBe(77);
    await world.passDeadline(client);
    expect(client.written).toStartWith("HTTP/1.1 408 Request Timeout\r\n");
    expect(client.isClosed).toBe(true);
    expect(world.upstreams).toHaveLength(0);
    expect(world.lastRecord).toMatchObject({ responseCode: 408, responseFlag: "DT" });
    await world.verify();
  });

  test("undecided bytes become a tunnel after the detection timeout", async () => {
    const world = new World();
    const client = world.arrival();
    await world.deliver(client, "hello, no line end");
    expect(world.upstreams).toHaveLength(0);
    await world.passDeadline(client);
    expect(world.upstream.written).toBe("hello, no line end");
    await world.deliver(client, " there");
    expect(world.upstream.written).toBe("hello, no line end there");
    await world.verify();
  });

  test("undecided bytes and an end are a tunnel that half-closed", async () => {
    const world = new World();
    const client = world.arrival();
    client.receive("ping");
    client.end();
    await world.settle();
    expect([world.upstream.written, world.upstream.ending]).toEqual(["ping", "fin"]);
    await world.deliver(world.upstream, "pong");
    expect(client.written).toBe("pong");
    await world.verify();
  });

  test("a client that ends without a byte is closed, and nothing is recorded", async () => {
    const world = new World();
    const client = world.arrival();
    await world.end(client);
    expect(client.ending).toBe("closed");
    expect([world.upstreams.length, world.records.length]).toEqual([0, 0]);
  });

  test("a client that resets without a byte leaves nothing", async () => {
    const world = new World();
    await world.break(world.arrival(), "ECONNRESET");
    expect([world.upstreams.length, world.records.length, world.inFlight]).toEqual([0, 0, 0]);
  });
});

describe("the client is silent", () => {
  async function silent(world = new World()) {
    const client = world.arrival();
    await world.passDeadline(client);
    return { world, client };
  }

  test("its upstream is connected, and nothing is recorded yet", async () => {
    const { world, client } = await silent();
    expect(world.upstreams).toHaveLength(1);
    expect(world.upstream.deadlineMs).toBe(0);
    expect(world.inFlight).toBe(0);
    expect(client.ending).toBe("open");
  });

  test("a banner of the upstream makes it a tunnel", async () => {
    const { world, client } = await silent();
    await world.deliver(world.upstream, "220 smtp ready\r\n");
    expect(client.written).toBe("220 smtp ready\r\n");
    expect([world.inFlight, world.tcpOpenings]).toEqual([1, 1]);
    await world.deliver(client, "GET / HTTP/1.1\r\n");
    expect(world.upstream.written).toBe("GET / HTTP/1.1\r\n");
    expect(world.upstreams).toHaveLength(1);
    await world.verify();
  });

  test("HTTP that comes late is HTTP: waiting is no way round the record", async () => {
    const { world, client } = await silent();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    expect(world.lastRecord.method).toBe("GET");
    await world.verify();
  });

  test("HTTP that comes late takes the connection that waits: the server sees no empty one", async () => {
    const { world, client } = await silent();
    await world.deliver(client, GET);
    expect(world.upstreams).toHaveLength(1);
    expect(world.upstream.deadlineMs).toBe(0);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    expect(world.upstream.deadlineMs).toBe(3_001);
    await world.verify();
  });

  test("half a request that comes late leaves the connection to the pool, which closes it when nobody takes it", async () => {
    const { world, client } = await silent();
    await world.deliver(client, GET.slice(0, -2));
    expect(world.upstream.deadlineMs).toBe(3_001);
    await world.passDeadline(world.upstream);
    expect(world.upstream.ending).toBe("closed");
    await world.deliver(client, GET.slice(-2));
    expect(world.upstreams).toHaveLength(2);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    await world.verify();
  });

  test("other bytes that come late go through the connection that waits", async () => {
    const { world, client } = await silent();
    await world.deliver(client, HELLO);
    expect(world.upstreams).toHaveLength(1);
    expect(world.upstream.written).toBe(HELLO);
    await world.verify();
  });

  test("undecided bytes that come late wait no longer than the detection timeout", async () => {
    const { world, client } = await silent();
    expect(client.deadlineMs).toBe(300_002);
    await world.deliver(client, "abc");
    expect(client.deadlineMs).toBe(30);
    await world.passDeadline(client);
    expect(world.upstream.written).toBe("abc");
    expect(world.upstreams).toHaveLength(1);
    await world.verify();
  });

  test("undecided bytes go first when the upstream's banner crosses them", async () => {
    const { world, client } = await silent();
    await world.deliver(client, "EHLO");
    await world.deliver(world.upstream, "220 hi\r\n");
    expect([world.upstream.written, client.written]).toEqual(["EHLO", "220 hi\r\n"]);
    await world.verify();
  });

  test("a late part of a known method is answered 408, and the connection that waited is let go", async () => {
    const { world, client } = await silent();
    await world.deliver(client, "GE");
    expect(client.deadlineMs).toBe(10_000);
    await world.passDeadline(client);
    expect(client.written).toStartWith("HTTP/1.1 408 ");
    expect(world.upstream.ending).toBe("closed");
    await world.deliver(world.upstream, "too late");
    expect(world.records).toHaveLength(1);
    await world.verify();
  });

  test("an upstream that closes without a word is a tunnel that half-closed", async () => {
    const { world, client } = await silent();
    await world.end(world.upstream);
    expect(client.ending).toBe("fin");
    await world.end(client);
    expect(world.lastRecord).toMatchObject({ protocol: "tcp", bytesSent: 0, responseFlag: "" });
    await world.verify();
  });

  test("a client that ends without a word is a tunnel that half-closed", async () => {
    const { world, client } = await silent();
    await world.end(client);
    expect(world.upstream.ending).toBe("fin");
    await world.deliver(world.upstream, "bye");
    expect(client.written).toBe("bye");
    await world.verify();
  });

  test("a client that resets takes the waiting connection with it", async () => {
    const { world, client } = await silent();
    await world.break(client, "ECONNRESET");
    expect(world.upstream.isClosed).toBe(true);
    expect(world.inFlight).toBe(0);
  });

  test("an upstream that refuses resets the client", async () => {
    const world = new World("straight", { opensAtOnce: false });
    const { client } = await silent(world);
    await world.break(world.upstream, "ECONNREFUSED");
    expect(client.ending).toBe("reset");
    expect(world.inFlight).toBe(0);
  });

  test("an upstream that cannot be reached in time resets the client", async () => {
    const world = new World("straight", { opensAtOnce: false });
    const { client } = await silent(world);
    await world.passDeadline(world.upstream);
    expect([client.ending, world.upstream.ending]).toEqual(["reset", "reset"]);
  });

  test("bytes that come while the upstream is still being connected reach it", async () => {
    const world = new World("straight", { opensAtOnce: false });
    const { client } = await silent(world);
    await world.deliver(client, HELLO);
    world.upstream.open();
    await world.settle();
    expect(world.upstream.written).toBe(HELLO);
    expect(client.isPaused).toBe(false);
    await world.verify();
  });

  test("silence on both sides ends after the stream idle timeout", async () => {
    const { world, client } = await silent();
    await world.passDeadline(client);
    expect([client.ending, world.upstream.ending]).toEqual(["closed", "closed"]);
    expect(world.inFlight).toBe(0);
  });
});

describe("who is not let in", () => {
  test("a loop is reset at its first byte", async () => {
    const world = new World();
    const client = world.arrival(false);
    await world.deliver(client, GET);
    expect(client.ending).toBe("reset");
    expect(world.upstreams).toHaveLength(0);
  });

  test("a silent loop is reset before anything is dialled for it", async () => {
    const world = new World();
    const client = world.arrival(false);
    await world.passDeadline(client);
    expect(client.ending).toBe("reset");
    expect(world.upstreams).toHaveLength(0);
  });

  test.each([
    ["bytes that are no HTTP", HELLO],
    ["bytes that end undecided", "abc"],
  ])("a port of our own takes no tunnel: %s", async (_name, bytes) => {
    const world = new World("straight", { direction: "inbound", isOwnPort: true });
    const client = world.arrival();
    client.receive(bytes);
    client.end();
    await world.settle();
    expect(client.ending).toBe("reset");
    expect([world.upstreams.length, world.records.length]).toEqual([0, 0]);
  });

  test("a port of our own is not connected for silence", async () => {
    const world = new World("straight", { direction: "inbound", isOwnPort: true });
    const client = world.arrival();
    await world.passDeadline(client);
    expect(client.ending).toBe("closed");
    expect(world.upstreams).toHaveLength(0);
  });
});
