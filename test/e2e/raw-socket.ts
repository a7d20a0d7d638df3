// TCP peers that a test drives byte by byte: what was received so far, when the other side ended, and how. They live in the
// test process, in a namespace of the lab. Not an HTTP client: nothing is parsed, nothing is sent that the test did not write.
import type { Socket, TCPSocketListener } from "bun";
import type { Namespace } from "./lab.ts";
import { within } from "./within.ts";

const WAIT_TIMEOUT_MS = 5_000;

/** How the other side ended: `fin` in order, `reset` not. */
export type Ending = "fin" | "reset";

export class RawConnection {
  /** All that came in, a character a byte. */
  received = "";
  receivedBytes = 0;
  /** The other end's address, without the form of an IPv4 peer of an IPv6 socket. */
  remoteAddress = "";
  ending: Ending | undefined;
  /** False: incoming bytes are counted and hashed only. */
  keepsBytes = true;
  readonly #hasher = new Bun.CryptoHasher("sha1");
  #socket: Socket<RawConnection> | undefined;
  #queue: Buffer[] = [];
  #finishes = false;
  #changed: (() => void)[] = [];

  /** Sends what the kernel takes now, the rest as there is room. */
  send(data: string | Buffer): this {
    this.#queue.push(typeof data === "string" ? Buffer.from(data, "latin1") : data);
    this.#flush();
    return this;
  }

  /** Half-closes behind what was sent. */
  finish(): this {
    this.#finishes = true;
    this.#flush();
    return this;
  }

  /** Breaks the connection with RST. */
  reset(): void {
    this.#socket?.terminate();
  }

  pause(): void {
    this.#socket?.pause();
  }

  resume(): void {
    this.#socket?.resume();
  }

  /** SHA-1 of all that came in, as hexadecimal digits. */
  get digest(): string {
    return this.#hasher.copy().digest("hex");
  }

  /** Waits until what was received contains the text or satisfies the claim. */
  async until(wanted: string | ((received: string) => boolean), timeoutMs = WAIT_TIMEOUT_MS): Promise<string> {
    const holds = typeof wanted === "string" ? () => this.received.includes(wanted) : () => wanted(this.received);
    await this.#wait(holds, typeof wanted === "string" ? JSON.stringify(wanted) : String(wanted), timeoutMs);
    return this.received;
  }

  /** Waits for the other side's end. */
  async untilEnd(timeoutMs = WAIT_TIMEOUT_MS): Promise<Ending> {
    await this.#wait(() => this.ending !== undefined, "the end of the connection", timeoutMs);
    return this.ending!;
  }

  async #wait(holds: () => boolean, what: string, timeoutMs: number): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!holds()) {
      const left = deadline - performance.now();
      if (left <= 0 || this.ending !== undefined) {
        const reason = this.ending === undefined ? `${timeoutMs} ms passed` : `the connection ended (${this.ending})`;
        throw new Error(`${reason} without ${what}; received ${JSON.stringify(this.received)}`);
      }
      await Promise.race([new Promise<void>((resolve) => this.#changed.push(resolve)), Bun.sleep(left)]);
    }
  }

  #flush(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    while (this.#queue.length > 0) {
      const bytes = this.#queue[0]!;
      const written = socket.write(bytes, 0, bytes.length);
      if (written < 0) return;
      if (written < bytes.length) {
        this.#queue[0] = bytes.subarray(written);
        return;
      }
      this.#queue.shift();
    }
    if (this.#finishes) socket.shutdown();
    this.#finishes = false;
  }

  /** Event handlers of the socket whose `data` this is. */
  static readonly handlers = {
    open(socket: Socket<RawConnection>): void {
      socket.data.#socket = socket;
      // Undefined when the other side has reset it by now, whatever the type says.
      socket.data.remoteAddress = (socket.remoteAddress as string | undefined)?.replace(/^::ffff:/, "") ?? "";
      socket.data.#flush();
      socket.data.#notify();
    },
    data(socket: Socket<RawConnection>, bytes: Buffer): void {
      const self = socket.data;
      self.receivedBytes += bytes.length;
      self.#hasher.update(bytes);
      if (self.keepsBytes) self.received += bytes.toString("latin1");
      self.#notify();
    },
    drain(socket: Socket<RawConnection>): void {
      socket.data.#flush();
    },
    end(socket: Socket<RawConnection>): void {
      socket.data.ending ??= "fin";
      socket.data.#notify();
    },
    close(socket: Socket<RawConnection>, error?: Error): void {
      socket.data.ending ??= error === undefined ? "fin" : "reset";
      socket.data.#notify();
    },
  };

  #notify(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }
}

/** Connects from the namespace; rejects when the connection is refused. */
export async function connectFrom(namespace: Namespace, address: string, port: number): Promise<RawConnection> {
  const connection = new RawConnection();
  const options = {
    hostname: address,
    port,
    allowHalfOpen: true,
    data: connection,
    socket: { ...RawConnection.handlers, connectError: () => {} },
  };
  await within(namespace, () => Bun.connect<RawConnection>(options));
  return connection;
}

/** A listener in the namespace, at every address of both families. */
export class RawServer implements Disposable {
  /** Every connection that ever came. */
  readonly connections: RawConnection[] = [];
  readonly #listener: TCPSocketListener<RawConnection>;
  #taken = 0;
  #waiting: (() => void)[] = [];

  /** `onConnection` is called for each connection, before any byte of it was read. Port 0 takes a free one. */
  constructor(namespace: Namespace, port = 0, onConnection: (connection: RawConnection) => void = () => {}) {
    const open = (socket: Socket<RawConnection>): void => {
      const connection = new RawConnection();
      socket.data = connection;
      RawConnection.handlers.open(socket);
      this.connections.push(connection);
      onConnection(connection);
      for (const wake of this.#waiting.splice(0)) wake();
    };
    this.#listener = within(namespace, () =>
      Bun.listen<RawConnection>({
        hostname: "::",
        port,
        allowHalfOpen: true,
        socket: { ...RawConnection.handlers, open },
      }),
    );
  }

  get port(): number {
    return this.#listener.port;
  }

  /** The next connection that was not taken yet. */
  async accept(timeoutMs = WAIT_TIMEOUT_MS): Promise<RawConnection> {
    const deadline = performance.now() + timeoutMs;
    while (this.connections.length <= this.#taken) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`no connection came in ${timeoutMs} ms`);
      await Promise.race([new Promise<void>((resolve) => this.#waiting.push(resolve)), Bun.sleep(left)]);
    }
    return this.connections[this.#taken++]!;
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
  }
}

/** Answers each bodiless request on the connection, in order. `index` counts them from 0. */
export async function answerEach(
  connection: RawConnection,
  answer: (head: string, index: number) => string,
): Promise<void> {
  for (let index = 0, from = 0; ; index++) {
    const isThere = (received: string): boolean => received.includes("\r\n\r\n", from);
    try {
      await connection.until(isThere, 60_000);
    } catch {
      return;
    }
    const to = connection.received.indexOf("\r\n\r\n", from) + 4;
    connection.send(answer(connection.received.slice(from, to), index));
    from = to;
  }
}
