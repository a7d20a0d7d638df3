// hot path
// The client side of one HTTP/1 connection: writes nothing itself, reads responses for the exchange it serves. Pure.
import { ChunkedDecoder } from "../codec/chunked.ts";
import { Framing, responseFraming } from "../codec/framing.ts";
import { findHeadEnd, parseResponseHead, type ResponseHead } from "../codec/head.ts";
import { HeadBuffer } from "../codec/head-buffer.ts";
import type { HeaderList } from "../codec/header-list.ts";
import { ProtocolError } from "../codec/protocol-error.ts";
import type { Exchange } from "./exchange.ts";
import { keepsAlive } from "./forwarding.ts";
import type { Services } from "./services.ts";
import { PauseReason, type Wire, type WireError, type WireHandler } from "./wire.ts";

const enum State {
  /** In the pool: whatever comes now is unsolicited. */
  Idle,
  Head,
  Body,
  /** The response is complete, the exchange is not. */
  Done,
  /** The connection belongs to nobody any more. */
  Gone,
}

/** So many interim responses may precede a final one; an upstream that sends more is broken. */
const MAX_INTERIM_RESPONSES = 16;

/**
 * A response body waits for its owner, usually for less than a turn of the event loop: reading stops only when this
 * much waits, because stopping and starting again costs two system calls.
 */
const MAX_HELD_BYTES = 64 * 1024;

export class HttpUpstream implements WireHandler {
  wire!: Wire;
  isEstablished = false;
  readonly #headBuffer = new HeadBuffer();
  readonly #chunks: ChunkedDecoder;
  #state: State = State.Idle;
  #exchange: Exchange | undefined = undefined;
  #held: Buffer | undefined = undefined;
  #framing: Framing = Framing.None;
  #remaining = 0;
  #isReusable = true;
  #wasReused = false;
  #sawResponse = false;
  #interimResponses = 0;
  #isProcessing = false;
  #hasEnded = false;
  #chunksEnded = false;
  #trailers: HeaderList | undefined = undefined;

  constructor(
    /** Where the pool keeps it. */
    readonly poolKey: string,
    private readonly services: Services,
  ) {
    this.#chunks = new ChunkedDecoder(this, services.settings);
  }

  /** An exchange takes the connection. */
  begin(exchange: Exchange): void {
    this.#exchange = exchange;
    this.#state = State.Head;
    this.#sawResponse = false;
    this.#interimResponses = 0;
    if (this.isEstablished) this.wire.setDeadline(0);
  }

  /** The exchange ended in order. */
  finish(): void {
    this.#exchange = undefined;
    // The client may be slow with the last bytes; the next one is not to wait for it.
    this.wire.resume(PauseReason.Backpressure);
    if (this.#state === State.Done && this.#isReusable && !this.wire.isClosed && !this.wire.isCongested) {
      this.#state = State.Idle;
      this.#wasReused = true;
      this.services.pool.release(this);
    } else {
      this.#state = State.Gone;
      this.wire.close();
    }
  }

  /** The exchange is over before its time; what the upstream still sends is nobody's. */
  abandon(): void {
    this.#exchange = undefined;
    this.#state = State.Gone;
    this.#held = undefined;
    this.wire.reset();
  }

  /** A tunnel takes the connection. */
  detach(): void {
    this.#exchange = undefined;
    this.#state = State.Gone;
  }

  /** Takes over a connection that was opened while its client was silent; the server may close it as any idle one. */
  adopt(wire: Wire): void {
    this.wire = wire;
    this.isEstablished = wire.localAddress !== "";
    this.#wasReused = true;
    wire.handler = this;
  }

  onOpen(): void {
    this.isEstablished = true;
    this.wire.setDeadline(this.#state === State.Idle ? this.services.settings.upstreamIdleTimeoutMs : 0);
  }

  onData(bytes: Buffer): void {
    if (this.#held !== undefined) this.#hold(Buffer.concat([this.#held, bytes]));
    else this.#process(bytes);
  }

  #hold(bytes: Buffer): void {
    this.#held = bytes;
    if (bytes.length > MAX_HELD_BYTES) this.wire.pause(PauseReason.Held);
  }

  #process(bytes: Buffer): void {
    let at = 0;
    this.#isProcessing = true;
    try {
      while (at < bytes.length) {
        if (this.#state === State.Body && !this.#exchange!.takesResponseBody) {
          this.#hold(bytes.subarray(at));
          return;
        }
        if (this.#state === State.Body) at = this.#readBody(bytes, at);
        else if (this.#state === State.Head) at = this.#readHead(bytes, at);
        else {
          this.#onSurplus();
          return;
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      const exchange = this.#exchange;
      if (exchange === undefined) this.abandon();
      else if (exchange.takesResponseBody) exchange.fail("upstream_closed_midway", error.message);
      else exchange.fail("upstream_protocol_error", error.message);
    } finally {
      this.#isProcessing = false;
    }
  }

  /** Bytes after a response, or without a request: they must never answer another request. */
  #onSurplus(): void {
    this.#isReusable = false;
    if (this.#state === State.Idle) {
      this.#state = State.Gone;
      this.services.pool.forget(this);
      this.wire.reset();
    }
  }

  #readHead(bytes: Buffer, from: number): number {
    const { settings } = this.services;
    this.#sawResponse = true;
    if (this.#headBuffer.length === 0) {
      const end = findHeadEnd(bytes, from);
      if (end >= 0) {
        if (end - from > settings.maxHeaderBytes) throw new ProtocolError(431, "header_too_long");
        return this.#onHead(parseResponseHead(bytes, from, end, settings), bytes, end);
      }
    }
    const before = this.#headBuffer.length;
    const end = this.#headBuffer.collect(bytes, from, settings.maxHeaderBytes);
    if (end < 0) return bytes.length;
    const head = parseResponseHead(this.#headBuffer.bytes, 0, end, settings);
    this.#headBuffer.clear();
    return this.#onHead(head, bytes, from + end - before);
  }

  /** Returns the offset where reading goes on. */
  #onHead(head: ResponseHead, bytes: Buffer, end: number): number {
    const exchange = this.#exchange!;
    const { status } = head;
    const { method } = exchange.head;
    if (status === 101 || (method === "CONNECT" && status >= 200 && status < 300)) {
      if (!exchange.maySwitch(status)) throw new ProtocolError(400, "uninvited_switch_of_protocols");
      exchange.onTunnel(head, bytes.subarray(end));
      return bytes.length;
    }
    if (status < 200) {
      if (++this.#interimResponses > MAX_INTERIM_RESPONSES) throw new ProtocolError(400, "too_many_interim_responses");
      exchange.onInterimResponse(head);
      return end;
    }
    const body = responseFraming(head, method);
    this.#framing = body.framing;
    this.#remaining = body.bodyBytes;
    this.#isReusable = body.framing !== Framing.UntilClose && keepsAlive(head.minorVersion, head.connection);
    this.#chunksEnded = false;
    if (body.framing === Framing.Chunked) this.#chunks.reset();
    if (body.framing === Framing.None && end < bytes.length) this.#isReusable = false;
    this.#state = State.Body;
    exchange.onResponseHead(head, body);
    if (body.framing !== Framing.None) return end;
    if (exchange.takesResponseBody) this.#endResponse(undefined);
    return bytes.length;
  }

  /** The exchange takes the response body from here on. */
  onTaken(): void {
    if (this.#isProcessing || this.#state !== State.Body) return;
    const held = this.#held;
    this.#held = undefined;
    this.wire.resume(PauseReason.Held);
    if (this.#framing === Framing.None) {
      if (held !== undefined) this.#isReusable = false;
      this.#endResponse(undefined);
    } else if (held !== undefined) this.#process(held);
    if (this.#hasEnded) this.onEnd();
  }

  #readBody(bytes: Buffer, from: number): number {
    const exchange = this.#exchange!;
    exchange.downstream.touch();
    if (this.#framing === Framing.Chunked) {
      const to = this.#chunks.feed(bytes, from);
      if (!this.#chunksEnded) return to;
      // Known before the exchange ends, because the next one might take this connection at once.
      if (to < bytes.length) this.#isReusable = false;
      this.#endResponse(this.#trailers);
      return bytes.length;
    }
    if (this.#framing === Framing.UntilClose) {
      exchange.onResponseData(bytes, from, bytes.length);
      return bytes.length;
    }
    const to = Math.min(bytes.length, from + this.#remaining);
    this.#remaining -= to - from;
    exchange.onResponseData(bytes, from, to);
    if (this.#remaining === 0) {
      if (to < bytes.length) this.#isReusable = false;
      this.#endResponse(undefined);
      return bytes.length;
    }
    return to;
  }

  onChunkData(bytes: Buffer, from: number, to: number): void {
    this.#exchange?.onResponseData(bytes, from, to);
  }

  onChunksEnd(trailers: HeaderList | undefined): void {
    this.#chunksEnded = true;
    this.#trailers = trailers;
  }

  #endResponse(trailers: HeaderList | undefined): void {
    if (this.#state !== State.Body) return;
    this.#state = State.Done;
    this.#exchange?.onResponseEnd(trailers);
  }

  onEnd(): void {
    this.#hasEnded = true;
    this.#isReusable = false;
    if (this.#state === State.Body && this.#held !== undefined) return;
    if (this.#state === State.Body && this.#framing === Framing.UntilClose && this.#exchange!.takesResponseBody) {
      this.#endResponse(undefined);
      return;
    }
    if (this.#state === State.Body && !this.#exchange!.takesResponseBody) return;
    this.#lose(undefined);
    this.wire.close();
  }

  onClosed(error: WireError | undefined): void {
    // A FIN read before the owner took the response: the bytes in hand are complete, and onTaken ends it.
    if (this.#hasEnded && error === undefined && this.#state === State.Body && !this.#exchange!.takesResponseBody)
      return;
    this.#lose(error);
  }

  #lose(error: WireError | undefined): void {
    const exchange = this.#exchange;
    const wasIdle = this.#state === State.Idle;
    this.#state = State.Gone;
    this.#exchange = undefined;
    if (wasIdle) this.services.pool.forget(this);
    exchange?.onUpstreamLost(error, this.#wasReused, this.#sawResponse);
  }

  onWritable(): void {
    this.#exchange?.onUpstreamWritable();
  }

  onDeadline(): void {
    if (this.#state === State.Idle) {
      this.#state = State.Gone;
      this.services.pool.forget(this);
      this.wire.close();
    } else if (!this.isEstablished) {
      this.#lose({ code: "ETIMEDOUT", message: "connect timeout" });
      this.wire.reset();
    }
  }
}
