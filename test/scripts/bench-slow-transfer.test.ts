// The peers of the memory measurement, without a proxy between them: they must sleep, count, and notice a damaged byte.
import { expect, test } from "bun:test";
import { Origin, type TransferPlan, transfer } from "../../scripts/bench/slow-transfer.ts";

const PLAN: TransferPlan = { totalBytes: 20_000_000, sleepEveryBytes: 5_000_000, sleepMs: 50, timeoutMs: 5000 };

test.each(["upload", "download"] as const)(
  "%s arrives whole, with a pause after each portion but the last",
  async (direction) => {
    using origin = new Origin(PLAN);
    const result = await transfer(origin.port, direction, PLAN);
    expect(result).toMatchObject({ bytes: 20_000_000, intact: true, sleeps: 3 });
    expect(result.seconds).toBeGreaterThan(0.15);
  },
);

test.each(["upload", "download"] as const)("%s with one changed byte on the way is not intact", async (direction) => {
  using origin = new Origin(PLAN);
  using relay = damagingRelay(origin.port, 10_000_000);
  expect(await transfer(relay.port, direction, PLAN)).toMatchObject({ bytes: 20_000_000, intact: false });
});

test("a transfer that stalls fails by its timeout", async () => {
  using silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  await expect(transfer(silent.port, "download", { ...PLAN, timeoutMs: 50 })).rejects.toThrow(
    "did not end within 50 ms",
  );
});

test("an error answer is an error, not a short body", async () => {
  using refusing = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (socket) => void socket.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n") },
  });
  await expect(transfer(refusing.port, "upload", PLAN)).rejects.toThrow("upload was answered HTTP/1.1 503");
});

/** Forwards both ways without backpressure, and changes the byte at the offset in either direction. */
function damagingRelay(target: number, offset: number) {
  return Bun.listen<{ pipe: (chunk: Buffer) => void }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open(client) {
        const toOrigin = damagingPipe(offset);
        const toClient = damagingPipe(offset);
        const origin = Bun.connect({
          hostname: "127.0.0.1",
          port: target,
          socket: {
            data: (_socket, chunk) => toClient(client, chunk),
            drain: (socket) => toOrigin(socket, Buffer.alloc(0)),
          },
        });
        client.data = { pipe: (chunk) => void origin.then((socket) => toOrigin(socket, chunk)) };
        drains.set(client, () => toClient(client, Buffer.alloc(0)));
      },
      data: (client, chunk) => client.data.pipe(chunk),
      drain: (client) => drains.get(client)?.(),
    },
  });
}

const drains = new WeakMap<object, () => void>();

function damagingPipe(offset: number) {
  let seen = 0;
  let waiting = Buffer.alloc(0);
  return (to: { write(data: Buffer): number }, chunk: Buffer): void => {
    if (offset >= seen && offset < seen + chunk.length) chunk[offset - seen]! ^= 1;
    seen += chunk.length;
    waiting = Buffer.concat([waiting, chunk]);
    const written = to.write(waiting);
    waiting = waiting.subarray(Math.max(0, written));
  };
}
