// Connection on real sockets: what is written arrives once, whole and in order, however slow or rude the peer.
import { afterEach, describe, expect, spyOn, test } from "bun:test";
import { talk } from "../../src/commands/talk.ts";
import type { Connection } from "../../src/net/connection.ts";
import { PauseReason } from "../../src/proxy/wire.ts";
import { accepted, Host, type Pair, pattern, until } from "./loopback.ts";

const pairs: Pair[] = [];
afterEach(() => {
  for (const pair of pairs.splice(0)) pair.stop();
});

async function pairOf(host?: Host): Promise<Pair> {
  const pair = await accepted(host);
  pairs.push(pair);
  return pair;
}

/** Runs `act` inside an event of the connection, as the state machines do. */
async function within(pair: Pair, act: (connection: Connection) => void): Promise<void> {
  let isDone = false;
  pair.handler.react = (event) => {
    if (event !== "data" || isDone) return;
    isDone = true;
    act(pair.connection);
  };
  pair.peer.send("!");
  await until(() => isDone);
}

const write = (connection: Connection, bytes: Buffer) => connection.write(bytes, 0, bytes.length);

describe("writing", () => {
  test("everything of one event is one call of the kernel", async () => {
    const pair = await pairOf();
    await within(pair, (connection) => {
      connection.writeText("HTTP/1.1 200 \xe9\r\n");
      connection.writeText("\r\n");
      for (let round = 0; round < 10; round++) write(connection, Buffer.from("body"));
    });
    await until(() => pair.peer.bytes === 18 + 40);
    expect(pair.peer.text).toBe(`HTTP/1.1 200 \xe9\r\n\r\n${"body".repeat(10)}`);
    expect(pair.writes()).toBe(1);
  });

  test("outside of an event, what is written in one go goes out together", async () => {
    const pair = await pairOf();
    pair.connection.writeText("a");
    pair.connection.writeText("b");
    await until(() => pair.peer.text === "ab");
    expect(pair.writes()).toBe(1);
  });

  test("two connections written in turns within one event keep their own bytes and order", async () => {
    const host = new Host();
    const [one, two] = [await pairOf(host), await pairOf(host)];
    await within(one, (connection) => {
      for (let round = 0; round < 100; round++) {
        connection.writeText(`a${round};`);
        two.connection.writeText(`b${round};`);
      }
    });
    const want = (letter: string) => Array.from({ length: 100 }, (_, round) => `${letter}${round};`).join("");
    await until(() => one.peer.bytes === want("a").length && two.peer.bytes === want("b").length);
    expect([one.peer.text, two.peer.text]).toEqual([want("a"), want("b")]);
  });

  test("more than the shared buffer, in pieces of every size", async () => {
    const pair = await pairOf();
    const sizes = [1, 100, 16 * 1024, 16 * 1024 + 1, 63 * 1024, 64 * 1024, 64 * 1024 + 1, 200_000, 7];
    const want: Buffer[] = [];
    await within(pair, (connection) => {
      for (let round = 0; round < 5; round++) {
        for (const [index, size] of sizes.entries()) {
          const bytes = pattern(size + 4).subarray(4);
          want.push(bytes);
          if (index % 2 === 0) write(connection, bytes);
          else connection.writeText(bytes.latin1Slice());
        }
      }
    });
    const whole = Buffer.concat(want);
    await until(() => pair.peer.bytes >= whole.length);
    expect(Buffer.concat(pair.peer.chunks).equals(whole)).toBe(true);
  });

  test("a slow peer: it is congested, keeps the order, and tells once when all is out", async () => {
    const pair = await pairOf();
    pair.peer.socket.pause();
    const big = pattern(6 * 1024 * 1024);
    await within(pair, (connection) => {
      write(connection, big);
      expect(connection.isCongested).toBe(true);
      connection.writeText("small");
      write(connection, big);
      connection.writeText("end");
    });
    expect(pair.host.unsent).toBe(1);
    await Bun.sleep(20);
    expect(pair.handler.events).toEqual([]);
    pair.peer.socket.resume();
    await until(() => pair.peer.bytes === 2 * big.length + 8);
    await until(() => pair.handler.events.length > 0);
    expect(
      Buffer.concat(pair.peer.chunks).equals(Buffer.concat([big, Buffer.from("small"), big, Buffer.from("end")])),
    ).toBe(true);
    expect(pair.handler.events).toEqual(["writable"]);
    expect([pair.connection.isCongested, pair.host.unsent]).toEqual([false, 0]);
  });

  test("an empty write is none", async () => {
    const pair = await pairOf();
    pair.connection.write(Buffer.alloc(0), 0, 0);
    expect([pair.writes(), pair.connection.isCongested]).toEqual([0, false]);
  });
});

describe("reading", () => {
  test("pause for two reasons needs both resumed", async () => {
    const pair = await pairOf();
    pair.connection.pause(PauseReason.Backpressure);
    pair.connection.pause(PauseReason.Held);
    pair.connection.pause(PauseReason.Held);
    pair.peer.send("abc");
    pair.connection.resume(PauseReason.Backpressure);
    await Bun.sleep(30);
    expect(pair.handler.text).toBe("");
    pair.connection.resume(PauseReason.Held);
    await until(() => pair.handler.text === "abc");
  });
});

describe("ending", () => {
  test("shutdown sends FIN behind a slow peer's queue; reading goes on", async () => {
    const pair = await pairOf();
    pair.peer.socket.pause();
    const big = pattern(6 * 1024 * 1024);
    write(pair.connection, big);
    pair.connection.shutdown();
    pair.connection.writeText("never sent");
    pair.peer.send("still talking");
    await until(() => pair.handler.text === "still talking");
    pair.peer.socket.resume();
    await until(() => pair.peer.events.includes("end"));
    expect(pair.peer.bytes).toBe(big.length);
    pair.peer.send(", bye");
    await until(() => pair.handler.text === "still talking, bye");
    pair.peer.socket.shutdown();
    await until(() => pair.handler.events.includes("closed in order"));
    expect(pair.handler.events.filter((event) => event !== "writable")).toEqual(["end", "closed in order"]);
    expect(pair.host.released).toBe(1);
  });

  test("the peer's FIN is an end, and writing goes on", async () => {
    const pair = await pairOf();
    pair.peer.socket.shutdown();
    await until(() => pair.handler.events.includes("end"));
    pair.connection.writeText("answer");
    pair.connection.close();
    await until(() => pair.peer.events.length > 0);
    expect([pair.peer.text, ...pair.peer.events]).toEqual(["answer", "closed in order"]);
    expect(pair.handler.events).toEqual(["end"]);
  });

  test("close lets a slow reader have everything first", async () => {
    const pair = await pairOf();
    pair.peer.socket.pause();
    const big = pattern(6 * 1024 * 1024);
    write(pair.connection, big);
    pair.connection.close();
    expect(pair.connection.isClosed).toBe(true);
    await Bun.sleep(300);
    pair.peer.socket.resume();
    await until(() => pair.peer.events.length > 0);
    expect([pair.peer.bytes, ...pair.peer.events]).toEqual([big.length, "end"]);
    await until(() => pair.host.released === 1);
    expect([pair.host.unsent, ...pair.handler.events]).toEqual([0]);
  });

  test("linger: a peer that still sends reads the whole answer, and no reset", async () => {
    const pair = await pairOf();
    pair.connection.writeText("413 too large");
    pair.connection.linger();
    for (let round = 0; round < 20; round++) {
      pair.peer.send("x".repeat(10_000));
      await Bun.sleep(5);
    }
    expect([pair.peer.text, ...pair.peer.events]).toEqual(["413 too large", "end"]);
    pair.peer.socket.shutdown();
    await until(() => pair.host.released === 1);
    expect(pair.handler.events).toEqual([]);
    expect(pair.handler.text).toBe("");
  });

  test("linger ends after its time, whatever the peer does", async () => {
    const pair = await pairOf();
    pair.connection.linger();
    await until(() => pair.host.released === 1, 2_000);
  });

  test("linger does not cut the answer of a peer that reads slowly", async () => {
    const pair = await pairOf();
    pair.peer.socket.pause();
    const big = pattern(6 * 1024 * 1024);
    write(pair.connection, big);
    pair.connection.linger();
    await Bun.sleep(1_300);
    pair.peer.socket.resume();
    await until(() => pair.peer.events.length > 0);
    expect([pair.peer.bytes, ...pair.peer.events]).toEqual([big.length, "end"]);
  });

  test("reset: the peer sees a reset at once, the handler hears nothing", async () => {
    const pair = await pairOf();
    pair.peer.socket.pause();
    write(pair.connection, pattern(6 * 1024 * 1024));
    pair.connection.reset();
    await until(() => pair.peer.events.length > 0);
    expect(pair.peer.events).toEqual(["closed ECONNRESET"]);
    expect(pair.handler.events).toEqual([]);
    expect([pair.host.released, pair.host.unsent]).toEqual([1, 0]);
  });

  test("a reset of the peer is told once, also while paused", async () => {
    const pair = await pairOf();
    pair.connection.pause(PauseReason.Held);
    pair.peer.socket.terminate();
    await until(() => pair.handler.events.length > 0);
    expect(pair.handler.events).toEqual(["closed ECONNRESET"]);
    expect(pair.connection.isClosed).toBe(true);
    expect(pair.host.released).toBe(1);
  });

  test("nothing is written, and no deadline kept, once it is closed", async () => {
    const pair = await pairOf();
    pair.connection.reset();
    pair.connection.writeText("x");
    pair.connection.shutdown();
    pair.connection.close();
    pair.connection.linger();
    pair.connection.reset();
    pair.connection.setDeadline(30);
    await Bun.sleep(120);
    expect(pair.handler.events).toEqual([]);
    expect(pair.writes()).toBe(0);
    expect(pair.host.released).toBe(1);
  });
});

describe("deadlines", () => {
  test("are told to the handler, and 0 takes one back", async () => {
    const pair = await pairOf();
    const start = performance.now();
    pair.connection.setDeadline(60);
    await until(() => pair.handler.events.includes("deadline"));
    // How late it may be at most is in timers.test.ts: here the machine may be busy.
    expect(performance.now() - start).toBeGreaterThanOrEqual(60);
    pair.connection.setDeadline(30);
    pair.connection.setDeadline(0);
    await Bun.sleep(120);
    expect(pair.handler.events).toEqual(["deadline"]);
  });
});

describe("a mistake of ours", () => {
  test.each(["data", "end", "deadline", "closed ECONNRESET"])(
    "in the handler of %s resets that connection, tells its handler, and leaves the others alone",
    async (event) => {
      const complaint = spyOn(talk, "error").mockImplementation((() => {}) as unknown as typeof talk.error);
      try {
        const [bad, good] = [await pairOf(), await pairOf()];
        bad.handler.react = (seen) => {
          if (seen === event) throw new Error("mistake");
        };
        if (event === "data") bad.peer.send("x");
        else if (event === "end") bad.peer.socket.shutdown();
        else if (event === "deadline") bad.connection.setDeadline(10);
        else bad.peer.socket.terminate();
        await until(() => bad.host.released === 1);
        await until(() => bad.handler.events.some((seen) => seen.startsWith("closed")));
        expect(complaint).toHaveBeenCalled();
        good.peer.send("hello");
        await until(() => good.handler.text === "hello");
      } finally {
        complaint.mockRestore();
      }
    },
  );
});
