// The interface between the state machines and the sockets: what the pure side may ask of a connection. Types only,
// and the reasons for a pause. net/connection.ts implements Wire; tests implement it in memory.

/** Why reading was stopped. Who paused for a reason is the one who resumes it; reading goes on when no reason is left. */
export const enum PauseReason {
  /** The other side does not take what we have for it. */
  Backpressure = 1,
  /** Bytes arrived that nobody can handle yet: a pipelined request, a body before its upstream. */
  Held = 2,
}

/** A handler of one connection's events. It hears nothing more once it has called `close`, `linger` or `reset`. */
export interface WireHandler {
  /** Bytes arrived; the buffer is fresh and may be kept. */
  onData(bytes: Buffer): void;
  /** The peer has sent its FIN: nothing more will come, it may still read. */
  onEnd(): void;
  /** Everything that was queued has been handed to the kernel. */
  onWritable(): void;
  /** An outgoing connection is established. */
  onOpen(): void;
  /** The connection is gone; called once, and last. `error` is undefined after an orderly end. */
  onClosed(error: WireError | undefined): void;
  /** The deadline set with `setDeadline` has passed. */
  onDeadline(): void;
}

/** Why a connection failed: `code` is the kernel's (`ECONNREFUSED`) or `ETIMEDOUT` for our own connect timeout. */
export interface WireError {
  readonly code: string;
  readonly message: string;
}

/** One connection, accepted or dialled. A dialled one takes writes at once and sends them when it is established. */
export interface Wire {
  handler: WireHandler;
  /** True while something written has not been taken by the kernel: stop producing until `onWritable`. */
  readonly isCongested: boolean;
  /** True from the first moment that nothing can be written any more. */
  readonly isClosed: boolean;
  /** Our end, `ip:port`; empty while connecting. */
  readonly localAddress: string;
  /** The peer's end, `ip:port`. */
  readonly remoteAddress: string;
  /** Writes `bytes[from, to)`; the buffer may be kept until it is sent. */
  write(bytes: Buffer, from: number, to: number): void;
  /** Writes latin1 text. */
  writeText(text: string): void;
  pause(reason: PauseReason): void;
  resume(reason: PauseReason): void;
  /** Sends FIN behind everything written; reading goes on. */
  shutdown(): void;
  /** Sends FIN behind everything written, then closes. */
  close(): void;
  /** Sends FIN behind everything written and discards input for a short time, so that a peer that still sends can read our answer. */
  linger(): void;
  /** Ends the connection at once, with RST. */
  reset(): void;
  /** `onDeadline` is called once, `timeoutMs` from now, replacing an earlier deadline; 0 means never. Coarse: up to 50 ms late. */
  setDeadline(timeoutMs: number): void;
}

/** For a connection that nobody is interested in any more. */
export const IGNORE: WireHandler = {
  onData() {},
  onEnd() {},
  onWritable() {},
  onOpen() {},
  onClosed() {},
  onDeadline() {},
};
