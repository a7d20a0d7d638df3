// Listeners and the dialler on loopback, up to whole requests through real sockets. Redirected connections need rules,
// and are tested in test/e2e.

import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { talk } from "../../src/commands/talk.ts";
import { CommandError } from "../../src/config/errors.ts";
import { eventTime } from "../../src/net/connection.ts";
import { Pool } from "../../src/net/pool.ts";
import { Timers } from "../../src/net/timers.ts";
import { Traffic, type TrafficCounters } from "../../src/net/traffic.ts";
import { ForwardingPipeline } from "../../src/pipeline/forwarding-pipeline.ts";
import type { Endpoint } from "../../src/proxy/endpoint.ts";
import { RequestRecord } from "../../src/proxy/record.ts";
import type { Services } from "../../src/proxy/services.ts";
import { PauseReason } from "../../src/proxy/wire.ts";
import { crlf, SETTINGS } from "../proxy/world.ts";
import { Peer, pattern, Recorder, until } from "./loopback.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

interface Proxy {
  readonly traffic: Traffic;
  readonly counters: TrafficCounters;
  readonly services: Services;
  readonly records: RequestRecord[];
}

function proxy(options: { maxConnections?: number; connectTimeoutMs?: number } = {}): Proxy {
  const counters: TrafficCounters = {
    connectionsActive: 0,
    loopsDetected: 0,
    directConnectionsRefused: 0,
    ownPortConnectionsRefused: 0,
    connectionsOverLimit: 0,
  };
  const traffic = new Traffic({
    timers: new Timers(() => performance.now()),
    counters,
    ownPorts: { readable: new Set(), closed: new Set() },
    maxConnections: options.maxConnections ?? 100,
    connectTimeoutMs: options.connectTimeoutMs ?? 1_000,
  });
  const pool = new Pool(traffic);
  const records: RequestRecord[] = [];
  const services: Services = {
    settings: { ...SETTINGS, protocolDetectionTimeoutMs: 50 },
    pool,
    dialer: traffic,
    pipeline: new ForwardingPipeline(
      { inbound: [], outbound: [] },
      { sleep: (ms) => Bun.sleep(ms), onMiddlewareError: () => {} },
    ),
    sinks: [
      {
        record: (record) => records.push(Object.assign(new RequestRecord(record.direction), record)),
        tcpOpened: () => {},
      },
    ],
    now: () => performance.now(),
    eventTime,
    wallClock: () => Date.now(),
    requestId: () => "id",
    inFlight: 0,
    isDraining: false,
    onIdle: () => {},
  };
  traffic.services = services;
  pool.services = services;
  cleanups.push(() => {
    traffic.stopListening();
    pool.closeIdle();
  });
  return { traffic, counters, services, records };
}

/** A free port: one that the kernel gave and nobody has any more. */
function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** A raw server whose connections are peers. */
function serve(react: (peer: Peer) => void = () => {}): { port: number; peers: Peer[] } {
  const peers: Peer[] = [];
  const listener = Bun.listen<Peer>({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      open: (socket) => {
        const peer = new Peer();
        peer.socket = socket as unknown as Peer["socket"];
        socket.data = peer;
        peers.push(peer);
      },
      data: (socket, bytes) => {
        socket.data.chunks.push(bytes);
        react(socket.data);
      },
      end: (socket) => {
        socket.data.events.push("end");
      },
      close: (socket, error) => {
        socket.data.events.push(`closed ${(error as { code?: string } | undefined)?.code ?? "in order"}`);
      },
      error: () => {},
    },
  });
  cleanups.push(() => listener.stop(true));
  return { port: listener.port, peers };
}

async function connect(port: number): Promise<Peer> {
  const peer = new Peer();
  await Bun.connect({ hostname: "127.0.0.1", port, allowHalfOpen: true, socket: peer.handlers });
  cleanups.push(() => peer.socket.terminate());
  return peer;
}

/** A proxy that listens, in front of `target`. */
function reverseProxy(target: Endpoint, options = {}): Proxy & { port: number } {
  const made = proxy(options);
  const port = freePort();
  made.traffic.listen({ direction: "listen", host: "127.0.0.1", port, target });
  return { ...made, port };
}

const local = (port: number): Endpoint => ({ address: "127.0.0.1", port });

describe("dial", () => {
  test("what was written before it stood arrives, FIN included", async () => {
    const { traffic } = proxy();
    const { port, peers } = serve();
    const handler = new Recorder();
    const wire = traffic.dial(local(port), undefined, handler);
    wire.writeText("hello ");
    wire.write(Buffer.from("xworldx"), 1, 6);
    wire.shutdown();
    expect([wire.localAddress, wire.isCongested]).toEqual(["", true]);
    await until(() => peers[0]?.events.includes("end") === true);
    expect(peers[0]!.text).toBe("hello world");
    expect(handler.events).toEqual(["open", "writable"]);
    expect(wire.localAddress).toStartWith("127.0.0.1:");
    expect(wire.remoteAddress).toBe(`127.0.0.1:${port}`);
    peers[0]!.send("answer");
    await until(() => handler.text === "answer");
    wire.close();
  });

  test("the source address is taken", async () => {
    const { traffic } = proxy();
    const { port, peers } = serve();
    const handler = new Recorder();
    const wire = traffic.dial(local(port), "127.0.0.6", handler);
    await until(() => handler.events.includes("open") && peers.length === 1);
    expect(wire.localAddress).toStartWith("127.0.0.6:");
    wire.reset();
  });

  test("a pause before it stood holds", async () => {
    const { traffic } = proxy();
    const { port, peers } = serve();
    const handler = new Recorder();
    const wire = traffic.dial(local(port), undefined, handler);
    wire.pause(PauseReason.Held);
    await until(() => peers.length === 1);
    peers[0]!.send("early");
    await Bun.sleep(40);
    expect(handler.text).toBe("");
    wire.resume(PauseReason.Held);
    await until(() => handler.text === "early");
    wire.reset();
  });

  test.each([
    ["refused", local(1), undefined, "ECONNREFUSED"],
    ["from an address that is not ours", local(9), "203.0.113.9", "EADDRNOTAVAIL"],
    ["to a name that is none", { address: "no.such.invalid", port: 80 }, undefined, "ENOTFOUND"],
  ])("%s is told once, and counts no client connection", async (_name, endpoint, source, code) => {
    const { traffic, counters } = proxy();
    const handler = new Recorder();
    const wire = traffic.dial(endpoint, source, handler);
    wire.writeText("never");
    await until(() => handler.events.length > 0);
    await Bun.sleep(20);
    expect(handler.events).toEqual([`closed ${code}`]);
    expect(wire.isClosed).toBe(true);
    expect([counters.connectionsActive, traffic.unsent]).toEqual([0, 0]);
  });

  test.each(["close", "reset"] as const)("%s before it stands: nobody hears of it again", async (how) => {
    const { traffic, counters } = proxy();
    const { port, peers } = serve();
    const handler = new Recorder();
    const wire = traffic.dial(local(port), undefined, handler);
    wire.writeText("never");
    wire[how]();
    await Bun.sleep(50);
    expect(handler.events).toEqual([]);
    expect(peers.map((peer) => peer.text).join("")).toBe("");
    expect([counters.connectionsActive, traffic.unsent]).toEqual([0, 0]);
  });
});

describe("listen", () => {
  test("a port in use is an error that says so", () => {
    const { port } = serve();
    expect(() => proxy().traffic.listen({ direction: "listen", host: "127.0.0.1", port, target: local(1) })).toThrow(
      CommandError,
    );
  });

  test("connections over the limit are reset, and counted", async () => {
    const complaint = spyOn(talk, "warn").mockImplementation((() => {}) as unknown as typeof talk.warn);
    try {
      // Silent clients have their upstream connected, so it must be there.
      const { port, counters } = reverseProxy(local(serve().port), { maxConnections: 2 });
      const peers = [await connect(port), await connect(port), await connect(port)];
      await until(() => peers[2]!.events.length > 0);
      expect(peers.map((peer) => peer.events.length)).toEqual([0, 0, 1]);
      expect([counters.connectionsActive, counters.connectionsOverLimit]).toEqual([2, 1]);
      peers[0]!.socket.terminate();
      await until(() => counters.connectionsActive === 1);
      const next = await connect(port);
      await Bun.sleep(20);
      expect(next.events).toEqual([]);
    } finally {
      complaint.mockRestore();
    }
  });

  test("a connection that nothing redirected is reset on a redirected listener", async () => {
    const complaint = spyOn(talk, "warn").mockImplementation((() => {}) as unknown as typeof talk.warn);
    try {
      const { traffic, counters } = proxy();
      const port = freePort();
      traffic.listen({ direction: "outbound", port });
      const peer = await connect(port);
      await until(() => peer.events.length > 0);
      expect(peer.events).toEqual(["closed ECONNRESET"]);
      await until(() => counters.connectionsActive === 0);
      expect(counters.directConnectionsRefused).toBe(1);
      expect(complaint.mock.calls[0]?.[0]).toContain("no rule redirected it");
    } finally {
      complaint.mockRestore();
    }
  });
});

describe("whole requests", () => {
  const OK = crlf("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");
  const SEEN = crlf("HTTP/1.1 200 OK\nContent-Length: 2\nServer: pilotfish\n\nok");

  test("keep-alive on both sides", async () => {
    const { port: target, peers } = serve((peer) => {
      if (peer.text.endsWith("\r\n\r\n")) peer.send(OK);
    });
    const { port, records, services, counters } = reverseProxy(local(target));
    const client = await connect(port);
    for (let round = 1; round <= 3; round++) {
      client.send(crlf("GET / HTTP/1.1\nHost: h\n\n"));
      await until(() => client.text === SEEN.repeat(round));
    }
    expect(peers).toHaveLength(1);
    expect(peers[0]!.text).toBe(
      crlf("GET / HTTP/1.1\nHost: h\nx-forwarded-for: 127.0.0.1\nx-request-id: id\n\n").repeat(3),
    );
    expect(records).toHaveLength(3);
    expect(records[0]).toMatchObject({ upstreamHost: `127.0.0.1:${target}`, direction: "listen", responseCode: 200 });
    client.socket.end();
    await until(() => counters.connectionsActive === 0);
    expect(services.inFlight).toBe(0);
  });

  test("a response that its client reads slowly leaves a pooled connection that serves the next client", async () => {
    const body = pattern(5 * 1024 * 1024);
    const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`;
    const { port: target, peers } = serve((peer) => {
      if (!peer.text.endsWith("\r\n\r\n")) return;
      const whole =
        peer.text.includes("/big") && !peer.text.includes("/small")
          ? Buffer.concat([Buffer.from(head), body])
          : Buffer.from(OK);
      let at = 0;
      const push = (): void => {
        at += Math.max(0, peer.socket.write(whole, at, whole.length - at));
        if (at < whole.length) setTimeout(push, 1);
      };
      push();
    });
    const { port, traffic } = reverseProxy(local(target));
    const slow = await connect(port);
    slow.send(crlf("GET /big HTTP/1.1\nHost: h\n\n"));
    slow.socket.pause();
    await until(() => traffic.unsent > 0);
    await Bun.sleep(100);
    slow.socket.resume();
    await until(() => slow.bytes >= body.length);
    await until(() => slow.bytes === body.length + head.length + "Server: pilotfish\r\n".length);
    expect(Buffer.concat(slow.chunks).subarray(-body.length).equals(body)).toBe(true);
    const next = await connect(port);
    next.send(crlf("GET /small HTTP/1.1\nHost: h\n\n"));
    await until(() => next.text === SEEN);
    expect(peers).toHaveLength(1);
    expect(traffic.unsent).toBe(0);
  });

  test("an upload that the upstream refuses early: the client reads the answer, not a reset", async () => {
    const refusal = crlf("HTTP/1.1 413 Too Large\nConnection: close\nContent-Length: 3\n\nbig");
    const { port: target } = serve((peer) => {
      if (peer.events.includes("answered")) return;
      peer.events.push("answered");
      peer.send(refusal);
      peer.socket.end();
    });
    const { port, services } = reverseProxy(local(target));
    const client = await connect(port);
    client.send(crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 50000000\n\n"));
    for (let round = 0; round < 40 && !client.text.includes("big"); round++) {
      client.send("x".repeat(50_000));
      await Bun.sleep(5);
    }
    await until(() => client.events.length > 0);
    expect(client.text).toBe(crlf("HTTP/1.1 413 Too Large\nContent-Length: 3\nServer: pilotfish\n\nbig"));
    expect(client.events[0]).toBe("end");
    await until(() => services.inFlight === 0);
  });

  test("an upstream that resets in the middle of its response resets the client", async () => {
    const { port: target } = serve((peer) => {
      peer.send(crlf("HTTP/1.1 200 OK\nContent-Length: 100\n\npart"));
      setTimeout(() => peer.socket.terminate(), 30);
    });
    const { port, records } = reverseProxy(local(target));
    const client = await connect(port);
    client.send(crlf("GET / HTTP/1.1\nHost: h\n\n"));
    await until(() => client.events.length > 0);
    expect(client.events).toEqual(["closed ECONNRESET"]);
    expect(records[0]).toMatchObject({ responseFlag: "UC", responseCode: 200 });
  });

  test("Connection: close with another request behind it: the answer arrives whole", async () => {
    const { port: target } = serve((peer) => peer.send(OK));
    const { port } = reverseProxy(local(target));
    const client = await connect(port);
    client.send(crlf("GET / HTTP/1.1\nHost: h\nConnection: close\n\nGET /2 HTTP/1.1\nHost: h\n\n"));
    await until(() => client.events.length > 0);
    expect(client.events[0]).toBe("end");
    expect(client.text).toBe(crlf("HTTP/1.1 200 OK\nContent-Length: 2\nServer: pilotfish\nConnection: close\n\nok"));
  });

  test("a server-first protocol through a silent client's connection", async () => {
    const { port: target, peers } = serve((peer) => peer.send("250 hello\r\n"));
    const { port, records } = reverseProxy(local(target));
    const client = await connect(port);
    await until(() => peers.length === 1);
    peers[0]!.send("220 ready\r\n");
    await until(() => client.text === "220 ready\r\n");
    client.send("EHLO me\r\n");
    await until(() => client.text === "220 ready\r\n250 hello\r\n");
    client.socket.shutdown();
    await until(() => peers[0]!.events.includes("end"));
    peers[0]!.socket.end();
    await until(() => records.length === 1);
    expect(records[0]).toMatchObject({ protocol: "tcp", bytesReceived: 9, bytesSent: 22, responseFlag: "" });
  });

  test("a big tunnel both ways at once arrives whole", async () => {
    const big = pattern(4 * 1024 * 1024);
    const { port: target, peers } = serve();
    const { port, records } = reverseProxy(local(target));
    const client = await connect(port);
    const pump = async (socket: Peer["socket"]): Promise<void> => {
      for (let at = 0; at < big.length; ) {
        const taken = socket.write(big, at, big.length - at);
        if (taken < 0) throw new Error("the connection is gone");
        at += taken;
        if (taken === 0) await Bun.sleep(1);
      }
      socket.shutdown();
    };
    const magic = "\0binary";
    client.send(magic);
    await until(() => peers[0]?.text === magic);
    await Promise.all([pump(client.socket), pump(peers[0]!.socket)]);
    await until(() => records.length === 1, 10_000);
    expect(Buffer.concat(client.chunks).equals(big)).toBe(true);
    expect(Buffer.concat(peers[0]!.chunks).subarray(magic.length).equals(big)).toBe(true);
    expect(records[0]).toMatchObject({ bytesReceived: big.length + magic.length, bytesSent: big.length });
  });
});

describe("a target that is a name", () => {
  const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

  test("gets one connection, whatever the number of its addresses", async () => {
    const { port, peers } = serve((peer) => {
      if (peer.text.endsWith("\r\n\r\n")) peer.socket.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    const made = reverseProxy({ address: "localhost", port });
    const client = await connect(made.port);
    client.socket.write(GET);
    await until(() => client.text.includes("204"));
    await Bun.sleep(50);
    expect(peers).toHaveLength(1);
    expect(made.records[0]!.upstreamHost).toBe(`127.0.0.1:${port}`);
  });

  test.each([
    ["cannot be resolved", "a..b", "its name cannot be resolved"],
    ["is refused at every address", "localhost", "connection refused"],
  ])("that %s is answered 503", async (_name, address, reason) => {
    const made = reverseProxy({ address, port: freePort() });
    const client = await connect(made.port);
    client.socket.write(GET);
    await until(() => client.text.includes(reason));
    expect(client.text).toStartWith("HTTP/1.1 503 ");
    expect(made.records[0]!.responseFlag).toBe("UF");
    expect(made.services.inFlight).toBe(0);
  });
});
