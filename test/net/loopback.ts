// Real connections of the data path against raw peers, on loopback. Not a test.
import type { Socket } from "bun";
import { Connection, type ConnectionHost, type RawSocket, SOCKET_HANDLERS } from "../../src/net/connection.ts";
import { Timers } from "../../src/net/timers.ts";
import type { WireError, WireHandler } from "../../src/proxy/wire.ts";

/** Waits for what must happen soon. */
export async function until(holds: () => boolean, withinMs = 3_000): Promise<void> {
  for (const deadline = performance.now() + withinMs; !holds(); await Bun.sleep(1)) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${withinMs} ms`);
  }
}

/** Notes what a Wire tells its handler; `react` may act within the event. */
export class Recorder implements WireHandler {
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];
  react: (event: string) => void = () => {};

  get text(): string {
    return Buffer.concat(this.chunks).latin1Slice();
  }

  #note(event: string): void {
    this.events.push(event);
    this.react(event);
  }

  onData(bytes: Buffer): void {
    this.chunks.push(bytes);
    this.react("data");
  }
  onEnd(): void {
    this.#note("end");
  }
  onWritable(): void {
    this.#note("writable");
  }
  onOpen(): void {
    this.#note("open");
  }
  onClosed(error: WireError | undefined): void {
    this.#note(`closed ${error?.code ?? "in order"}`);
  }
  onDeadline(): void {
    this.#note("deadline");
  }
}

/** A host that counts. */
export class Host implements ConnectionHost {
  readonly timers = new Timers(() => performance.now());
  established = 0;
  released = 0;
  unsent = 0;

  onEstablished(): void {
    this.established++;
  }
  onReleased(): void {
    this.released++;
  }
  onUnsent(): void {
    this.unsent++;
  }
  onSent(): void {
    this.unsent--;
  }
}

/** The other end: a plain socket that keeps what it gets. */
export class Peer {
  socket!: Socket<undefined>;
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];

  get bytes(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  get text(): string {
    return Buffer.concat(this.chunks).latin1Slice();
  }

  send(text: string): void {
    this.socket.write(Buffer.from(text, "latin1"), 0, text.length);
  }

  readonly handlers = {
    open: (socket: Socket<undefined>): void => {
      this.socket = socket;
    },
    data: (_socket: Socket<undefined>, bytes: Buffer): void => {
      this.chunks.push(bytes);
    },
    end: (): void => {
      this.events.push("end");
    },
    close: (_socket: Socket<undefined>, error?: Error & { code?: string }): void => {
      this.events.push(`closed ${error?.code ?? "in order"}`);
    },
    drain: (): void => {},
    error: (): void => {},
  };
}

export interface Pair {
  readonly connection: Connection;
  readonly handler: Recorder;
  readonly peer: Peer;
  readonly host: Host;
  /** How often the kernel was called to write. */
  writes(): number;
  stop(): void;
}

/** An accepted Connection and its peer. */
export async function accepted(host = new Host()): Promise<Pair> {
  const peer = new Peer();
  const handler = new Recorder();
  let connection: Connection | undefined;
  let writes = 0;
  const listener = Bun.listen<Connection>({
    hostname: "127.0.0.1",
    port: 0,
    allowHalfOpen: true,
    socket: {
      ...SOCKET_HANDLERS,
      open: (socket) => {
        const write = socket.write.bind(socket);
        socket.write = ((bytes: Buffer, from: number, length: number) => {
          writes++;
          return write(bytes, from, length);
        }) as typeof socket.write;
        connection = new Connection(host, socket as RawSocket, undefined);
        connection.handler = handler;
        socket.data = connection;
      },
    },
  });
  await Bun.connect({ hostname: "127.0.0.1", port: listener.port, allowHalfOpen: true, socket: peer.handlers });
  await until(() => connection !== undefined);
  return {
    connection: connection!,
    handler,
    peer,
    host,
    writes: () => writes,
    stop: () => {
      peer.socket.terminate();
      listener.stop(true);
    },
  };
}

/** Bytes that tell where they stand. */
export function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at += 4) bytes.writeUInt32BE(at & 0x7fffffff, Math.min(at, length - 4));
  return bytes;
}
