// Bytes both ways between two wires: what ends, breaks or stops on one side must on the other.
import { describe, expect, test } from "bun:test";
import { RequestRecord } from "../../src/proxy/record.ts";
import { startTunnel } from "../../src/proxy/tunnel.ts";
import { MemoryWire } from "./memory-wire.ts";

class TunnelWorld {
  readonly down = new MemoryWire("10.0.0.9:5000", "10.0.0.1:15001");
  readonly up: MemoryWire;
  readonly record = new RequestRecord("outbound");
  overs = 0;

  constructor(start: { early?: string; rest?: string; isConnected?: boolean } = {}) {
    this.up = new MemoryWire("10.0.0.2:80", start.isConnected === false ? "" : "10.0.0.1:40000");
    if (start.isConnected === false) this.up.setDeadline(10_000);
    startTunnel(this.down, this.up, this.record, {
      early: start.early === undefined ? undefined : Buffer.from(start.early, "latin1"),
      rest: start.rest === undefined ? undefined : Buffer.from(start.rest, "latin1"),
      streamIdleTimeoutMs: 300,
      onOver: () => this.overs++,
    });
  }

  run(): void {
    while (this.down.pump() || this.up.pump());
  }
}

const endings = ({ down, up }: TunnelWorld) => [down.ending, up.ending];

describe("bytes", () => {
  test("pass both ways, and are counted", () => {
    const world = new TunnelWorld({ early: "e", rest: "r" });
    world.down.receive("\0abc\xff");
    world.up.receive("xy");
    world.run();
    expect([world.up.written, world.down.written]).toEqual(["e\0abc\xff", "rxy"]);
    expect(world.record).toMatchObject({ bytesReceived: 6, bytesSent: 3, responseFlag: "" });
    expect(world.overs).toBe(0);
  });

  test("wait for the upstream to be connected", () => {
    const world = new TunnelWorld({ early: "hello", isConnected: false });
    expect(world.down.isPaused).toBe(true);
    world.down.receive("more");
    world.run();
    expect(world.up.written).toBe("hello");
    world.up.open();
    world.run();
    expect(world.up.written).toBe("hellomore");
    expect(world.up.deadlineMs).toBe(0);
  });
});

describe("backpressure", () => {
  test.each(["down", "up"] as const)(
    "who reads from %s pauses it while the other side is full, and resumes it",
    (side) => {
      const world = new TunnelWorld();
      const [from, to] = side === "down" ? [world.down, world.up] : [world.up, world.down];
      to.congest();
      from.receive("a");
      from.receive("b");
      world.run();
      expect(to.written).toBe("a");
      expect([from.isPaused, to.isPaused]).toEqual([true, false]);
      to.drain();
      world.run();
      expect(to.written).toBe("ab");
      expect(from.isPaused).toBe(false);
      expect(from.pauses).toEqual(["pause backpressure", "resume backpressure"]);
    },
  );

  test("both ways at once", () => {
    const world = new TunnelWorld();
    world.down.congest();
    world.up.congest();
    world.down.receive("a");
    world.up.receive("b");
    world.run();
    expect([world.down.isPaused, world.up.isPaused]).toEqual([true, true]);
    world.up.drain();
    expect([world.down.isPaused, world.up.isPaused]).toEqual([false, true]);
    world.down.drain();
    expect(world.up.isPaused).toBe(false);
  });
});

describe("ends", () => {
  test("the client's half-close is the upstream's, and the other direction goes on", () => {
    const world = new TunnelWorld();
    world.down.receive("question");
    world.down.end();
    world.run();
    expect(endings(world)).toEqual(["open", "fin"]);
    world.up.receive("answer");
    world.run();
    expect(world.down.written).toBe("answer");
    expect(world.overs).toBe(0);
    world.up.end();
    world.run();
    expect(world.down.isClosed && world.up.isClosed).toBe(true);
    expect(endings(world)).not.toContain("reset");
    expect([world.overs, world.record.responseFlag]).toEqual([1, ""]);
  });

  test("the upstream's half-close is the client's, and the other direction goes on", () => {
    const world = new TunnelWorld();
    world.up.receive("banner");
    world.up.end();
    world.run();
    expect(endings(world)).toEqual(["fin", "open"]);
    world.down.receive("still here");
    world.run();
    expect(world.up.written).toBe("still here");
    world.down.end();
    world.run();
    expect(endings(world)).not.toContain("reset");
    expect([world.overs, world.record.bytesReceived, world.record.bytesSent]).toEqual([1, 10, 6]);
  });

  test("a half-close before the upstream is connected reaches it behind the bytes", () => {
    const world = new TunnelWorld({ early: "bye", isConnected: false });
    world.down.end();
    world.run();
    expect(world.up.ending).toBe("open");
    world.up.open();
    world.run();
    expect([world.up.written, world.up.ending]).toEqual(["bye", "fin"]);
  });
});

describe("breaks", () => {
  test.each([
    ["down", "DC"],
    ["up", "UC"],
  ] as const)("a reset of %s is a reset of the other side: %s", (side, flag) => {
    const world = new TunnelWorld();
    world[side].break("ECONNRESET");
    expect(world[side === "down" ? "up" : "down"].ending).toBe("reset");
    expect([world.overs, world.record.responseFlag]).toEqual([1, flag]);
  });

  test("a reset behind a half-close is a reset", () => {
    const world = new TunnelWorld();
    world.down.end();
    world.run();
    world.down.break("ECONNRESET");
    expect(world.up.ending).toBe("reset");
    expect(world.record.responseFlag).toBe("DC");
  });

  test("a connection that is gone without having ended is a reset", () => {
    const world = new TunnelWorld();
    world.up.break();
    expect(world.down.ending).toBe("reset");
    expect(world.overs).toBe(1);
  });

  test("an upstream that refuses is UF, and the client's connection is reset", () => {
    const world = new TunnelWorld({ early: "a", isConnected: false });
    world.up.break("ECONNREFUSED");
    expect(world.down.ending).toBe("reset");
    expect(world.record).toMatchObject({ responseFlag: "UF", upstreamTransportFailureReason: "econnrefused" });
  });

  test("an upstream that cannot be reached in time is UF", () => {
    const world = new TunnelWorld({ early: "a", isConnected: false });
    world.up.passDeadline();
    expect(endings(world)).toEqual(["reset", "reset"]);
    expect(world.record).toMatchObject({ responseFlag: "UF", upstreamTransportFailureReason: "connect timeout" });
    expect(world.overs).toBe(1);
  });
});

describe("silence", () => {
  test.each(["down", "up"] as const)("bytes of %s move the deadline, and it resets both when it passes", (side) => {
    const world = new TunnelWorld();
    expect(world.down.deadlineMs).toBe(300);
    world.down.setDeadline(1);
    world[side].receive("a");
    world.run();
    expect(world.down.deadlineMs).toBe(300);
    world.down.passDeadline();
    expect(endings(world)).toEqual(["reset", "reset"]);
    expect([world.overs, world.record.responseFlag]).toEqual([1, "SI"]);
  });
});
