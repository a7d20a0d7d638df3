// What the data path relies on and Bun does not promise: one test each, so that an upgrade of Bun that changes one of
// them is seen here and not in production. Real sockets, loopback only.

import { dlopen, ptr } from "bun:ffi";
import { afterEach, describe, expect, test } from "bun:test";
import type { Socket, TCPSocketListener } from "bun";
import { originalDestination } from "../../src/net/original-dst.ts";

type RawSocket = Socket<undefined> & { readonly fd: number };

/** One end of a loopback connection, and what happened to it. */
class End {
  socket!: RawSocket;
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }
}

const opened: { stop(): void }[] = [];
afterEach(() => {
  for (const resource of opened.splice(0)) resource.stop();
});

function handlersOf(end: End) {
  return {
    open: (socket: Socket<undefined>) => {
      end.socket = socket as RawSocket;
    },
    data: (_socket: Socket<undefined>, bytes: Buffer) => {
      end.chunks.push(bytes);
    },
    end: () => {
      end.events.push("end");
    },
    drain: () => {
      end.events.push("drain");
    },
    close: (_socket: Socket<undefined>, error?: Error & { code?: string }) => {
      end.events.push(`close ${error?.code ?? "in order"}`);
    },
    connectError: (_socket: Socket<undefined>, error: Error & { code?: string }) => {
      end.events.push(`connectError ${error.code}`);
    },
    error: () => {},
  };
}

async function connected(options: object = {}): Promise<{ client: End; server: End; listener: TCPSocketListener }> {
  const server = new End();
  const client = new End();
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, allowHalfOpen: true, socket: handlersOf(server) });
  await Bun.connect({
    hostname: "127.0.0.1",
    port: listener.port,
    allowHalfOpen: true,
    socket: handlersOf(client),
    ...options,
  });
  opened.push({
    stop: () => {
      client.socket.terminate();
      listener.stop(true);
    },
  });
  await until(() => server.socket !== undefined);
  return { client, server, listener };
}

async function until(holds: () => boolean): Promise<void> {
  for (const deadline = performance.now() + 3_000; !holds(); await Bun.sleep(1)) {
    if (performance.now() > deadline) throw new Error("it did not happen within 3 s");
  }
}

function write(end: End, text: string): number {
  return end.socket.write(Buffer.from(text), 0, text.length);
}

const silent = (events: readonly string[]) => events.filter((event) => event !== "drain");

describe("descriptors and addresses", () => {
  test("sockets and listeners have an fd", async () => {
    const { client, server, listener } = await connected();
    for (const { fd } of [client.socket, server.socket, listener as unknown as RawSocket]) {
      expect(Number.isInteger(fd)).toBe(true);
      expect(fd).toBeGreaterThan(2);
    }
  });

  test("Bun.connect takes localAddress", async () => {
    const { client, server } = await connected({ localAddress: "127.0.0.6" });
    expect(client.socket.localAddress).toBe("127.0.0.6");
    expect(server.socket.remoteAddress).toBe("127.0.0.6");
    expect(server.socket.remotePort).toBe(client.socket.localPort);
  });

  test("a localAddress that is not ours is a connectError with its code", async () => {
    const end = new End();
    const options = { hostname: "127.0.0.1", port: 9, localAddress: "203.0.113.9", socket: handlersOf(end) };
    await Bun.connect(options).catch(() => {});
    expect(end.events).toEqual(["connectError EADDRNOTAVAIL"]);
  });

  test("a refused connection is a connectError with its code, and nothing else", async () => {
    const end = new End();
    await Bun.connect({ hostname: "127.0.0.1", port: 1, socket: handlersOf(end) }).catch(() => {});
    await Bun.sleep(20);
    expect(end.events).toEqual(["connectError ECONNREFUSED"]);
  });

  test("a system call through FFI fills a buffer of an explicit ArrayBuffer in all of 300,000 calls", async () => {
    // As in original-dst.ts, with a call whose answer is known without any rules: getsockname.
    const libc = dlopen("libc.so.6", { getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" } });
    const address = new Uint8Array(new ArrayBuffer(28));
    const length = new Uint32Array(new ArrayBuffer(4));
    const [addressPointer, lengthPointer] = [ptr(address), ptr(length)];
    const { client, server } = await connected();
    const ends = [client.socket, server.socket];
    let wrong = 0;
    for (let call = 0; call < 300_000; call++) {
      const { fd, localPort } = ends[call & 1]!;
      length[0] = 28;
      const result = libc.symbols.getsockname(fd, addressPointer, lengthPointer);
      if (result !== 0 || ((address[2]! << 8) | address[3]!) !== localPort) wrong++;
      if (call % 30_000 === 0) Bun.gc(true);
    }
    expect(wrong).toBe(0);
  });

  test("a socket that nothing redirected has no original destination, or its own address", async () => {
    const { server } = await connected();
    const own = { address: "127.0.0.1", port: server.socket.localPort };
    expect([undefined, own]).toContainEqual(originalDestination(server.socket.fd, false));
  });
});

describe("writing", () => {
  test("write(bytes, from, length) takes a part, and returns how much it took", async () => {
    const { client, server } = await connected();
    expect(client.socket.write(Buffer.from("abcdef"), 2, 3)).toBe(3);
    await until(() => server.bytes === 3);
    expect(Buffer.concat(server.chunks).toString()).toBe("cde");
  });

  test("it takes what fits, then 0; nothing is queued behind it; drain tells when there is room", async () => {
    const { client, server } = await connected();
    server.socket.pause();
    const block = Buffer.alloc(1024 * 1024);
    let taken = 0;
    let last = 1;
    while (last > 0) {
      last = client.socket.write(block, 0, block.length);
      taken += last;
    }
    expect(last).toBe(0);
    expect(client.events).toEqual([]);
    server.socket.resume();
    await until(() => client.events.includes("drain") && server.bytes >= taken);
    expect(server.bytes).toBe(taken);
  });

  test("it returns -1 once the connection cannot be written any more", async () => {
    const { client } = await connected();
    client.socket.shutdown();
    expect(write(client, "x")).toBe(-1);
    const { client: other } = await connected();
    other.socket.end();
    expect(write(other, "x")).toBe(-1);
  });

  test("TCP_NODELAY is on at both ends: small writes wait for no acknowledgement", async () => {
    const { client, server } = await connected();
    const libc = dlopen("libc.so.6", {
      getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
    });
    const [value, length] = [new Int32Array(new ArrayBuffer(4)), new Uint32Array(new ArrayBuffer(4))];
    for (const { socket } of [client, server]) {
      [value[0], length[0]] = [0, 4];
      // IPPROTO_TCP is 6, TCP_NODELAY is 1.
      expect(libc.symbols.getsockopt(socket.fd, 6, 1, ptr(value), ptr(length))).toBe(0);
      expect(value[0]).toBe(1);
    }
  });

  test("latin1Slice and latin1Write are each other's inverse", () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, octet) => octet));
    const text = bytes.latin1Slice(0, 256);
    expect([...text].map((character) => character.charCodeAt(0))).toEqual([...bytes]);
    const copy = Buffer.alloc(260);
    expect(copy.latin1Write(text, 2, 256)).toBe(256);
    expect(copy.subarray(2, 258).equals(bytes)).toBe(true);
    expect(bytes.latin1Slice(65, 68)).toBe("ABC");
  });
});

describe("reading", () => {
  test("data buffers are fresh: keeping one is safe", async () => {
    const { client, server } = await connected();
    for (let round = 0; round < 50; round++) {
      write(client, String.fromCharCode(65 + (round % 26)).repeat(100));
      await until(() => server.bytes === (round + 1) * 100);
    }
    const text = Buffer.concat(server.chunks).toString();
    for (let round = 0; round < 50; round++) expect(text[round * 100]).toBe(String.fromCharCode(65 + (round % 26)));
    expect(new Set(server.chunks.map((chunk) => chunk.buffer)).size).toBe(server.chunks.length);
  });

  test("no more than 512 KiB come at once", async () => {
    const { client, server } = await connected();
    server.socket.pause();
    const block = Buffer.alloc(1024 * 1024);
    while (client.socket.write(block, 0, block.length) > 0);
    server.socket.resume();
    await until(() => server.bytes > 1024 * 1024);
    expect(Math.max(...server.chunks.map((chunk) => chunk.length))).toBeLessThanOrEqual(512 * 1024);
  });

  test("a paused socket reads nothing, not even a FIN, until it is resumed", async () => {
    const { client, server } = await connected();
    server.socket.pause();
    write(client, "abc");
    client.socket.shutdown();
    await Bun.sleep(50);
    expect([server.bytes, ...silent(server.events)]).toEqual([0]);
    server.socket.resume();
    await until(() => server.events.includes("end"));
    expect(server.bytes).toBe(3);
  });

  test("a socket paused by its own data handler is paused at once", async () => {
    const { client, server } = await connected();
    const events: string[] = [];
    server.chunks.push = (bytes: Buffer) => {
      events.push(bytes.toString());
      server.socket.pause();
      return 0;
    };
    write(client, "a");
    await until(() => events.length === 1);
    write(client, "b");
    client.socket.shutdown();
    await Bun.sleep(50);
    expect([...events, ...silent(server.events)]).toEqual(["a"]);
  });

  test("a paused socket hears of a reset", async () => {
    const { client, server } = await connected();
    server.socket.pause();
    client.socket.terminate();
    await until(() => server.events.length > 0);
    expect(server.events).toEqual(["close ECONNRESET"]);
  });
});

describe("ending", () => {
  test("with allowHalfOpen a FIN is an end, and writing goes on", async () => {
    const { client, server } = await connected();
    client.socket.shutdown();
    await until(() => server.events.includes("end"));
    expect(write(server, "still here")).toBe(10);
    await until(() => client.bytes === 10);
    expect(silent(client.events)).toEqual([]);
    expect(silent(server.events)).toEqual(["end"]);
  });

  test("behind our own FIN the peer's is a close without an end", async () => {
    const { client, server } = await connected();
    client.socket.shutdown();
    await until(() => server.events.includes("end"));
    server.socket.shutdown();
    await until(() => client.events.length > 0 && server.events.includes("close in order"));
    expect(silent(client.events)).toEqual(["close in order"]);
  });

  test("shutdown sends its FIN behind what was written", async () => {
    const { client, server } = await connected();
    write(client, "last words");
    client.socket.shutdown();
    await until(() => server.events.includes("end"));
    expect(server.bytes).toBe(10);
  });

  test("end sends FIN behind what was written, and closes at once", async () => {
    const { client, server } = await connected();
    write(client, "bye");
    client.socket.end();
    expect(client.events).toEqual(["close in order"]);
    await until(() => server.events.includes("end"));
    expect(server.bytes).toBe(3);
  });

  test("end with unread bytes is a reset for the peer", async () => {
    const { client, server } = await connected();
    client.socket.pause();
    write(server, "unread");
    await Bun.sleep(20);
    client.socket.end();
    await until(() => server.events.some((event) => event.startsWith("close")));
    expect(silent(server.events)).toEqual(["close ECONNRESET"]);
  });

  test("terminate sends a reset, and closes at once", async () => {
    const { client, server } = await connected();
    client.socket.terminate();
    expect(client.events).toEqual(["close in order"]);
    await until(() => server.events.length > 0);
    expect(server.events).toEqual(["close ECONNRESET"]);
  });
});
