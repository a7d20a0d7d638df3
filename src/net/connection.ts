// hot path
// One TCP connection on a Bun socket, as the Wire that the state machines use. Shell: moves bytes, decides nothing.
// What is written during one event is collected in a shared scratch buffer and handed to the kernel in one call.
import type { Socket } from "bun";
import { talk } from "../commands/talk.ts";
import { type Endpoint, formatEndpoint, unmapAddress } from "../proxy/endpoint.ts";
import { IGNORE, type PauseReason, type Wire, type WireError, type WireHandler } from "../proxy/wire.ts";
import { Deadline, type Timers } from "./timers.ts";

const SCRATCH_BYTES = 64 * 1024;
/** Smaller writes are copied together, larger ones cost less as a call of their own. */
const COPY_LIMIT_BYTES = 16 * 1024;
/** How long a peer may keep sending after our last answer before we stop listening. */
const LINGER_MS = 1_000;
/** How long the last bytes may take to be read by a slow peer after `close`. */
const CLOSE_FLUSH_MS = 60_000;

const scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
let scratchOwner: Connection | undefined;
let scratchUsed = 0;
let eventDepth = 0;
let eventStartedAt = 0;
let isFlushScheduled = false;

/** A Bun socket with its undocumented descriptor. */
export type RawSocket = Socket<Connection> & { readonly fd: number };

/** What all connections of a proxy share. */
export interface ConnectionHost {
  readonly timers: Timers;
  /** An outgoing connection stands: its own end is `localAddress`. */
  onEstablished(connection: Connection): void;
  /** The socket is gone. */
  onReleased(connection: Connection): void;
  /** A connection has bytes that the kernel does not take yet; each time answered by one `onSent`. */
  onUnsent(): void;
  /** It has handed them over, or will never. */
  onSent(): void;
}

const enum Phase {
  Connecting,
  Open,
  /** FIN goes out behind the queue. */
  ShuttingDown,
  /** Closes behind the queue. */
  Closing,
  /** FIN is out or goes out behind the queue; input is discarded. */
  Lingering,
  Closed,
}

interface Chunk {
  readonly bytes: Buffer;
  from: number;
  readonly to: number;
}

export class Connection implements Wire {
  handler: WireHandler = IGNORE;
  /** Dialled by us, not accepted. */
  readonly isOutgoing: boolean;
  #socket: RawSocket | undefined;
  #phase: Phase;
  #queue: Chunk[] = [];
  #pauseReasons = 0;
  #finSent = false;
  #isReleased = false;
  #local = "";
  #remote = "";
  readonly #deadline: Deadline;

  constructor(
    private readonly host: ConnectionHost,
    socket: RawSocket | undefined,
    remote: Endpoint | undefined,
  ) {
    this.#socket = socket;
    this.isOutgoing = socket === undefined;
    this.#phase = socket === undefined ? Phase.Connecting : Phase.Open;
    if (remote !== undefined) this.#remote = formatEndpoint(remote);
    this.#deadline = new Deadline(() => guard(this, () => this.#onDeadline()));
  }

  get isCongested(): boolean {
    return this.#queue.length > 0;
  }

  get isClosed(): boolean {
    return this.#phase >= Phase.Closing;
  }

  get localAddress(): string {
    const socket = this.#socket;
    if (this.#local === "" && socket !== undefined && this.#phase !== Phase.Closed) {
      this.#local = formatEndpoint({ address: unmapAddress(socket.localAddress), port: socket.localPort });
    }
    return this.#local;
  }

  get remoteAddress(): string {
    const socket = this.#socket;
    if (this.#remote === "" && socket !== undefined && this.#phase !== Phase.Closed) {
      this.#remote = formatEndpoint({ address: unmapAddress(socket.remoteAddress), port: socket.remotePort });
    }
    return this.#remote;
  }

  write(bytes: Buffer, from: number, to: number): void {
    if (this.#phase > Phase.Open) return;
    const length = to - from;
    if (length === 0) return;
    if (length <= COPY_LIMIT_BYTES && this.#reserve(length)) {
      bytes.copy(scratch, scratchUsed, from, to);
      this.#keep(length);
      return;
    }
    if (scratchOwner === this) flushScratch();
    this.#send(bytes, from, to);
  }

  writeText(text: string): void {
    if (this.#phase > Phase.Open) return;
    if (this.#reserve(text.length)) {
      scratch.latin1Write(text, scratchUsed, text.length);
      this.#keep(text.length);
      return;
    }
    if (scratchOwner === this) flushScratch();
    this.#send(Buffer.from(text, "latin1"), 0, text.length);
  }

  /** Makes room for `length` bytes of this connection in the scratch buffer; false when they must go another way. */
  #reserve(length: number): boolean {
    if (this.#phase === Phase.Connecting || this.#queue.length > 0) return false;
    if (scratchOwner !== this) {
      flushScratch();
      scratchOwner = this;
    } else if (scratchUsed + length > SCRATCH_BYTES) {
      flushScratch();
      if (this.#queue.length > 0) return false;
      scratchOwner = this;
    }
    return length <= SCRATCH_BYTES;
  }

  #keep(length: number): void {
    scratchUsed += length;
    if (eventDepth === 0 && !isFlushScheduled) {
      // Written outside a socket's event, by a promise of the pipeline: what it writes next goes along.
      isFlushScheduled = true;
      queueMicrotask(flushScheduled);
    }
  }

  /** Hands the collected bytes of this connection to the kernel. */
  sendScratch(length: number): void {
    if (this.#phase === Phase.Closed) return;
    const written = this.#socket!.write(scratch, 0, length);
    if (written < 0) return;
    if (written < length)
      this.#enqueue({ bytes: Buffer.from(scratch.subarray(written, length)), from: 0, to: length - written });
  }

  #enqueue(chunk: Chunk): void {
    if (this.#queue.length === 0) this.host.onUnsent();
    this.#queue.push(chunk);
  }

  #dropQueue(): void {
    if (this.#queue.length > 0) this.host.onSent();
    this.#queue = [];
  }

  #send(bytes: Buffer, from: number, to: number): void {
    let at = from;
    if (this.#queue.length === 0 && this.#phase !== Phase.Connecting) {
      const written = this.#socket!.write(bytes, from, to - from);
      if (written < 0) return;
      at += written;
    }
    if (at < to) this.#enqueue({ bytes, from: at, to });
  }

  pause(reason: PauseReason): void {
    if (this.#pauseReasons === 0 && (this.#phase === Phase.Open || this.#phase === Phase.ShuttingDown))
      this.#socket!.pause();
    this.#pauseReasons |= reason;
  }

  resume(reason: PauseReason): void {
    if (this.#pauseReasons === 0) return;
    this.#pauseReasons &= ~reason;
    if (this.#pauseReasons === 0 && this.#socket !== undefined && this.#phase !== Phase.Closed) this.#socket.resume();
  }

  #resumeAll(): void {
    if (this.#pauseReasons !== 0) this.#socket?.resume();
    this.#pauseReasons = 0;
  }

  shutdown(): void {
    if (this.#phase > Phase.Open || this.#finSent) return;
    if (scratchOwner === this) flushScratch();
    if (this.#phase === Phase.Open) this.#phase = Phase.ShuttingDown;
    else this.#shutdownWhenOpen = true;
    this.#afterFlush();
  }
  #shutdownWhenOpen = false;

  close(): void {
    if (this.isClosed) return;
    this.handler = IGNORE;
    if (this.#phase === Phase.Connecting) {
      this.#phase = Phase.Closed;
      this.#dropQueue();
      this.#release();
      return;
    }
    if (scratchOwner === this) flushScratch();
    this.#phase = Phase.Closing;
    if (this.#queue.length > 0) {
      this.#resumeAll();
      this.setDeadline(CLOSE_FLUSH_MS);
    }
    this.#afterFlush();
  }

  linger(): void {
    if (this.isClosed) return;
    this.handler = IGNORE;
    if (scratchOwner === this) flushScratch();
    this.#phase = Phase.Lingering;
    this.#resumeAll();
    if (this.#queue.length > 0) this.setDeadline(CLOSE_FLUSH_MS);
    this.#afterFlush();
  }

  reset(): void {
    if (this.#phase === Phase.Closed) return;
    if (scratchOwner === this) dropScratch();
    this.handler = IGNORE;
    this.#dropQueue();
    const wasConnecting = this.#phase === Phase.Connecting;
    this.#phase = Phase.Closed;
    if (wasConnecting) this.#release();
    else this.#socket!.terminate();
  }

  setDeadline(timeoutMs: number): void {
    if (this.#phase !== Phase.Closed) this.host.timers.set(this.#deadline, timeoutMs);
  }

  /** What `shutdown`, `close` and `linger` owe once nothing is queued any more. */
  #afterFlush(): void {
    if (this.#queue.length > 0) return;
    const socket = this.#socket;
    if (socket === undefined) return;
    if (this.#phase === Phase.Closing) {
      this.#phase = Phase.Closed;
      socket.end();
    } else if ((this.#phase === Phase.ShuttingDown || this.#phase === Phase.Lingering) && !this.#finSent) {
      this.#finSent = true;
      socket.shutdown();
      if (this.#phase === Phase.Lingering) this.setDeadline(LINGER_MS);
    }
  }

  #onDeadline(): void {
    if (this.#phase < Phase.Closing) this.handler.onDeadline();
    // All is with the kernel, which goes on sending after the close.
    else if (this.#phase === Phase.Lingering && this.#queue.length === 0) this.#endNow();
    else this.reset();
  }

  /** Ends a connection whose handler made a mistake; the handler hears of it, so that nothing is left in flight. */
  abort(error: unknown): void {
    talk.error("bug in the data path, connection reset:", error instanceof Error ? error.stack : error);
    const { handler } = this;
    this.reset();
    handler.onClosed({ code: "EBUG", message: "internal error" });
  }

  /** The dialled socket is established. */
  onSocketOpen(socket: RawSocket): void {
    if (this.#phase === Phase.Closed) {
      socket.terminate();
      return;
    }
    this.#socket = socket;
    this.#phase = Phase.Open;
    this.#local = formatEndpoint({ address: unmapAddress(socket.localAddress), port: socket.localPort });
    this.#remote = formatEndpoint({ address: unmapAddress(socket.remoteAddress), port: socket.remotePort });
    this.host.onEstablished(this);
    if (this.#pauseReasons !== 0) socket.pause();
    this.handler.onOpen();
    this.onSocketDrain();
    if (this.#shutdownWhenOpen) this.shutdown();
  }

  onSocketData(bytes: Buffer): void {
    if (this.#phase < Phase.Closing) this.handler.onData(bytes);
  }

  onSocketEnd(): void {
    if (this.#phase < Phase.Closing) this.handler.onEnd();
    else this.#endNow();
  }

  #endNow(): void {
    if (this.#phase === Phase.Lingering && this.#queue.length === 0) {
      this.#phase = Phase.Closed;
      this.#socket!.end();
    } else if (this.#phase === Phase.Lingering) this.#phase = Phase.Closing;
  }

  onSocketDrain(): void {
    const queue = this.#queue;
    if (queue.length === 0 || this.#phase === Phase.Closed) return;
    let done = 0;
    while (done < queue.length) {
      const chunk = queue[done]!;
      const written = this.#socket!.write(chunk.bytes, chunk.from, chunk.to - chunk.from);
      if (written < 0) return;
      chunk.from += written;
      if (chunk.from < chunk.to) break;
      done++;
    }
    queue.splice(0, done);
    if (queue.length > 0) return;
    this.host.onSent();
    this.#afterFlush();
    if (this.#phase <= Phase.ShuttingDown) this.handler.onWritable();
  }

  onSocketClose(error: WireError | undefined): void {
    if (scratchOwner === this) dropScratch();
    const { handler } = this;
    this.handler = IGNORE;
    this.#phase = Phase.Closed;
    this.#dropQueue();
    this.#release();
    // Behind our own FIN, Bun reports the peer's as a close without an end.
    if (error === undefined && this.#finSent) handler.onEnd();
    handler.onClosed(error);
  }

  #release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.host.timers.remove(this.#deadline);
    this.host.onReleased(this);
  }
}

function flushScratch(): void {
  const owner = scratchOwner;
  const length = scratchUsed;
  scratchOwner = undefined;
  scratchUsed = 0;
  if (owner !== undefined && length > 0) owner.sendScratch(length);
}

function flushScheduled(): void {
  isFlushScheduled = false;
  flushScratch();
}

function dropScratch(): void {
  scratchOwner = undefined;
  scratchUsed = 0;
}

/**
 * Monotonic milliseconds: when the current socket event began, or now outside of one. One reading of the clock serves
 * everything that an event causes.
 */
export function eventTime(): number {
  return eventDepth > 0 ? eventStartedAt : performance.now();
}

/** Writes until the matching `leaveEvent` go out together. */
function enterEvent(): void {
  if (eventDepth++ === 0) eventStartedAt = performance.now();
}

function leaveEvent(): void {
  if (--eventDepth === 0) flushScratch();
}

function toWireError(error: unknown): WireError | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code } = error as Error & { code?: string };
  return { code: code ?? "UNKNOWN", message: describe(code, error.message) };
}

function describe(code: string | undefined, fallback: string): string {
  switch (code) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ECONNRESET":
      return "connection reset by peer";
    case "ETIMEDOUT":
      return "connection timed out";
    case "EHOSTUNREACH":
      return "no route to host";
    case "ENETUNREACH":
      return "network is unreachable";
    case "ENOTFOUND":
      return "its name cannot be resolved";
    default:
      return fallback;
  }
}

/** A mistake of ours in one connection must not take the others with it. */
function guard(connection: Connection, action: () => void): void {
  enterEvent();
  try {
    action();
  } catch (error) {
    connection.abort(error);
  } finally {
    leaveEvent();
  }
}

/** Handlers for every socket; the connection is the socket's `data`. */
export const SOCKET_HANDLERS = {
  data(socket: Socket<Connection>, bytes: Buffer): void {
    const connection = socket.data;
    enterEvent();
    try {
      connection.onSocketData(bytes);
    } catch (error) {
      connection.abort(error);
    } finally {
      leaveEvent();
    }
  },
  drain(socket: Socket<Connection>): void {
    guard(socket.data, () => socket.data.onSocketDrain());
  },
  end(socket: Socket<Connection>): void {
    guard(socket.data, () => socket.data.onSocketEnd());
  },
  close(socket: Socket<Connection>, error?: Error): void {
    guard(socket.data, () => socket.data.onSocketClose(toWireError(error)));
  },
  error(socket: Socket<Connection>, error: Error): void {
    talk.debug("socket error", error.message, socket.data?.remoteAddress);
  },
};

/** The connection could not be made: its handler hears of it as of any other end. */
export function failDial(connection: Connection, error: unknown): void {
  guard(connection, () => connection.onSocketClose(toWireError(error)));
}

/** The same for a dialled socket. */
export const DIALLED_HANDLERS = {
  ...SOCKET_HANDLERS,
  open(socket: Socket<Connection>): void {
    guard(socket.data, () => socket.data.onSocketOpen(socket as RawSocket));
  },
  connectError(socket: Socket<Connection>, error: Error): void {
    failDial(socket.data, error);
  },
};

/** For one of several addresses of a name: whether its failure is the connection's is for the dialler to say. */
export const ATTEMPT_HANDLERS = { ...DIALLED_HANDLERS, connectError(): void {} };
