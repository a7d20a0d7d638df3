// A Wire without a socket: what was written is text, what arrives is told by the test, and so are time and congestion.
// It behaves as net/connection.ts does: a paused wire keeps what arrives, a handler hears nothing after it closed.
import { IGNORE, PauseReason, type Wire, type WireHandler } from "../../src/proxy/wire.ts";

/** How a wire stands: `fin` is half-closed by us, `closed` and `lingering` by us in full, `gone` by the peer or the network. */
export type Ending = "open" | "fin" | "closed" | "lingering" | "reset" | "gone";

export class MemoryWire implements Wire {
  handler: WireHandler = IGNORE;
  /** Everything written, as latin1 text. */
  written = "";
  ending: Ending = "open";
  /** The deadline set last: milliseconds, 0 for none. */
  deadlineMs = 0;
  /** `pause n` and `resume n` in their order, for whoever wants to know who paused for what. */
  readonly pauses: string[] = [];
  localAddress: string;
  readonly remoteAddress: string;
  #isConnecting: boolean;
  #isFull = false;
  #reasons = 0;
  #peerEnded = false;
  #inbox: (Buffer | "end")[] = [];

  /** A dialled wire has no local address until it is opened. */
  constructor(remoteAddress: string, localAddress = "") {
    this.remoteAddress = remoteAddress;
    this.localAddress = localAddress;
    this.#isConnecting = localAddress === "";
  }

  get isCongested(): boolean {
    return this.#isFull || (this.#isConnecting && this.written !== "");
  }

  get isClosed(): boolean {
    return this.ending !== "open" && this.ending !== "fin";
  }

  get isPaused(): boolean {
    return this.#reasons !== 0;
  }

  write(bytes: Buffer, from: number, to: number): void {
    if (this.ending === "open") this.written += bytes.latin1Slice(from, to);
  }

  writeText(text: string): void {
    if (this.ending === "open") this.written += text;
  }

  pause(reason: PauseReason): void {
    this.#reasons |= reason;
    this.pauses.push(`pause ${NAMES[reason]}`);
  }

  resume(reason: PauseReason): void {
    if ((this.#reasons & reason) !== 0) this.pauses.push(`resume ${NAMES[reason]}`);
    this.#reasons &= ~reason;
  }

  shutdown(): void {
    if (this.ending !== "open") return;
    this.ending = "fin";
  }

  close(): void {
    this.#leave("closed");
  }

  linger(): void {
    this.#leave("lingering");
  }

  reset(): void {
    if (this.ending === "gone" || this.ending === "reset") return;
    this.#leave("reset", true);
  }

  #leave(ending: Ending, evenClosed = false): void {
    if (this.isClosed && !evenClosed) return;
    this.handler = IGNORE;
    this.ending = ending;
    this.deadlineMs = 0;
    this.#inbox = [];
  }

  setDeadline(timeoutMs: number): void {
    this.deadlineMs = timeoutMs;
  }

  /** What was written since the last call. */
  takeWritten(): string {
    const { written } = this;
    this.written = "";
    return written;
  }

  /** The dialled connection is established. */
  open(): void {
    const hadQueued = this.isCongested;
    this.#isConnecting = false;
    this.localAddress = "10.0.0.1:40000";
    this.handler.onOpen();
    if (hadQueued && !this.#isFull) this.handler.onWritable();
  }

  /** The kernel takes no more bytes, or takes them again. */
  congest(): void {
    this.#isFull = true;
  }

  drain(): void {
    this.#isFull = false;
    this.handler.onWritable();
  }

  /** Bytes of the peer arrive: delivered by `pump` once nobody keeps the wire paused. */
  receive(text: string): void {
    if (!this.isClosed) this.#inbox.push(Buffer.from(text, "latin1"));
  }

  /** The peer's FIN arrives behind its bytes. */
  end(): void {
    if (!this.isClosed) this.#inbox.push("end");
  }

  /** The connection breaks, at once even while paused: with `code` the kernel's error, without one in order. */
  break(code?: string): void {
    const { handler } = this;
    this.#leave("gone", true);
    handler.onClosed(code === undefined ? undefined : { code, message: code.toLowerCase() });
  }

  /** Passes the deadline that is set. */
  passDeadline(): void {
    if (this.deadlineMs === 0) throw new Error("no deadline is set");
    this.deadlineMs = 0;
    this.handler.onDeadline();
  }

  /** Delivers one thing that has arrived; false when there is none or reading is paused. */
  pump(): boolean {
    if (this.isPaused || this.isClosed) return false;
    const next = this.#inbox.shift();
    if (next === undefined) {
      // Both FINs are out: the kernel is done with the connection.
      if (!this.#peerEnded || this.ending !== "fin") return false;
      this.break();
    } else if (next === "end") {
      this.#peerEnded = true;
      this.handler.onEnd();
    } else this.handler.onData(next);
    return true;
  }
}

const NAMES: Readonly<Record<PauseReason, string>> = {
  [PauseReason.Backpressure]: "backpressure",
  [PauseReason.Held]: "held",
};
