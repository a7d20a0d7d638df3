// hot path
// The server side of one HTTP/1 connection: reads requests in order and starts an exchange for each. Pure.
import { ChunkedDecoder } from "../codec/chunked.ts";
import { Framing, requestFraming } from "../codec/framing.ts";
import { findHeadEnd, parseRequestHead, RequestHead } from "../codec/head.ts";
import { HeadBuffer } from "../codec/head-buffer.ts";
import type { HeaderList } from "../codec/header-list.ts";
import { CR, LF } from "../codec/octets.ts";
import { ProtocolError } from "../codec/protocol-error.ts";
import { formatEndpoint } from "./endpoint.ts";
import { Exchange } from "./exchange.ts";
import type { Route, Services } from "./services.ts";
import { PauseReason, type Wire, type WireError, type WireHandler } from "./wire.ts";

const enum State {
  /** Between requests, or in the middle of a head. */
  Head,
  Body,
  /** The request is complete, its response is not: what comes now is the next request and waits. */
  Responding,
  /** The connection is ending; input is ignored. */
  Closing,
}

/** Empty lines before a request are skipped (RFC 9112 §2.2), but not without end. */
const MAX_LEADING_LINE_BYTES = 16;
/** A client that sent FIN may merely have finished sending; so long it can still get its answer. */
const HALF_CLOSE_GRACE_MS = 3_000;

export class HttpDownstream implements WireHandler {
  /** The original destination, as text: made once, printed by every record. */
  readonly originalText: string;
  readonly #headBuffer = new HeadBuffer();
  readonly #chunks: ChunkedDecoder;
  #state: State = State.Head;
  #exchange: Exchange | undefined = undefined;
  #held: Buffer | undefined = undefined;
  #framing: Framing = Framing.None;
  #remaining = 0;
  #headStartedAt = 0;
  #leadingBytes = 0;
  #hasEnded = false;
  #isProcessing = false;

  constructor(
    readonly wire: Wire,
    readonly route: Route,
    private readonly services: Services,
  ) {
    this.originalText = formatEndpoint(route.original);
    this.#chunks = new ChunkedDecoder(this, services.settings);
    wire.handler = this;
    wire.setDeadline(services.settings.downstreamIdleTimeoutMs);
  }

  /** The client has sent its FIN. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** What goes into `Server`: the application's own name is kept on the way out of the pod. */
  get serverHeader(): string | undefined {
    return this.route.direction === "outbound" ? undefined : this.services.settings.serverHeader;
  }

  /** The client's address for x-forwarded-for; undefined where nothing is to be appended. */
  get forwardedClient(): string | undefined {
    if (this.route.direction === "outbound" || !this.services.settings.appendsForwardedFor) return undefined;
    const { remoteAddress } = this.wire;
    const address = remoteAddress.slice(0, remoteAddress.lastIndexOf(":"));
    return address.startsWith("[") ? address.slice(1, -1) : address;
  }

  onData(bytes: Buffer): void {
    if (this.#held !== undefined) {
      this.#held = Buffer.concat([this.#held, bytes]);
      return;
    }
    this.#process(bytes);
  }

  #process(bytes: Buffer): void {
    let at = 0;
    this.#isProcessing = true;
    try {
      while (at < bytes.length) {
        if (this.#state === State.Head) at = this.#readHead(bytes, at);
        else if (this.#state === State.Body && this.#exchange!.takesRequestBody) at = this.#readBody(bytes, at);
        else if (this.#state === State.Closing) return;
        else {
          this.#hold(bytes, at);
          return;
        }
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#refuse(error);
    } finally {
      this.#isProcessing = false;
    }
  }

  #hold(bytes: Buffer, at: number): void {
    this.#held = at === 0 ? bytes : bytes.subarray(at);
    this.wire.pause(PauseReason.Held);
  }

  /** Bytes that came too early for HTTP: what a tunnel begins with. */
  takeHeld(): Buffer | undefined {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.wire.resume(PauseReason.Held);
    return held;
  }

  #processHeld(): void {
    const held = this.takeHeld();
    if (held !== undefined) this.#process(held);
    if (this.#hasEnded) this.onEnd();
  }

  #readHead(bytes: Buffer, from: number): number {
    const { settings } = this.services;
    let at = from;
    if (this.#headBuffer.length === 0) {
      this.#headStartedAt = this.services.eventTime();
      while (bytes[at] === CR || bytes[at] === LF) {
        if (++this.#leadingBytes > MAX_LEADING_LINE_BYTES) throw new ProtocolError(400, "too_many_empty_lines");
        at++;
      }
      if (at === bytes.length) return at;
      const end = findHeadEnd(bytes, at);
      if (end >= 0) {
        if (end - at > settings.maxHeaderBytes) throw new ProtocolError(431, "header_too_long");
        this.#begin(parseRequestHead(bytes, at, end, settings));
        return end;
      }
      this.wire.setDeadline(settings.requestHeaderTimeoutMs);
    }
    const before = this.#headBuffer.length;
    const end = this.#headBuffer.collect(bytes, at, settings.maxHeaderBytes);
    if (end < 0) return bytes.length;
    const head = parseRequestHead(this.#headBuffer.bytes, 0, end, settings);
    this.#headBuffer.clear();
    this.#begin(head);
    return at + end - before;
  }

  #begin(head: RequestHead): void {
    const { framing, bodyBytes } = requestFraming(head);
    const isConnect = head.method === "CONNECT";
    if (isConnect && framing !== Framing.None) throw new ProtocolError(400, "connect_with_body");
    this.#leadingBytes = 0;
    this.#framing = framing;
    this.#remaining = bodyBytes;
    if (framing === Framing.Chunked) this.#chunks.reset();
    this.#state = framing === Framing.None ? State.Responding : State.Body;
    const exchange = new Exchange(this, head, framing, this.#headStartedAt, this.services);
    this.#exchange = exchange;
    this.wire.setDeadline(this.services.settings.streamIdleTimeoutMs);
    if (this.route.isOwnPort && !isOwnPortRequest(head)) {
      if (framing === Framing.None) exchange.endRequest(undefined);
      exchange.fail("not_served_here");
      return;
    }
    if (!this.services.pipeline.intercept(exchange, head)) exchange.forward();
    if (framing === Framing.None && !exchange.isOver) exchange.endRequest(undefined);
  }

  #readBody(bytes: Buffer, from: number): number {
    const exchange = this.#exchange!;
    this.wire.setDeadline(this.services.settings.streamIdleTimeoutMs);
    if (this.#framing === Framing.Chunked) return this.#chunks.feed(bytes, from);
    const to = Math.min(bytes.length, from + this.#remaining);
    this.#remaining -= to - from;
    exchange.sendBody(bytes, from, to);
    if (this.#remaining === 0) this.#endRequest(undefined);
    return to;
  }

  onChunkData(bytes: Buffer, from: number, to: number): void {
    this.#exchange?.sendBody(bytes, from, to);
  }

  onChunksEnd(trailers: HeaderList | undefined): void {
    this.#endRequest(trailers);
  }

  #endRequest(trailers: HeaderList | undefined): void {
    if (this.#state !== State.Body) return;
    this.#state = State.Responding;
    this.#exchange!.endRequest(trailers);
  }

  /** The exchange takes body bytes from here on. */
  onForwarded(): void {
    if (!this.#isProcessing && this.#state === State.Body) this.#processHeld();
  }

  /** The response has been written in full; `isInOrder` tells whether the request was read in full. */
  onExchangeOver(keepsAlive: boolean, isInOrder: boolean): void {
    this.#exchange = undefined;
    const wasFullyRead = isInOrder && this.#held === undefined;
    if (!keepsAlive || (this.#hasEnded && wasFullyRead)) {
      this.#state = State.Closing;
      this.takeHeld();
      if (wasFullyRead) this.wire.close();
      else this.wire.linger();
      return;
    }
    this.#state = State.Head;
    // An upstream that answered before it took the whole request does not take the rest of it any more.
    this.wire.resume(PauseReason.Backpressure);
    this.wire.setDeadline(this.services.settings.downstreamIdleTimeoutMs);
    if (!this.#isProcessing && this.#held !== undefined) this.#processHeld();
  }

  /** Bytes that are no HTTP: answered once, behind the answers to earlier requests, and nothing after them is read. */
  #refuse(error: ProtocolError): void {
    const { services } = this;
    if (this.#exchange === undefined) {
      const head = new RequestHead();
      head.minorVersion = 1;
      this.#exchange = new Exchange(this, head, Framing.None, this.#headStartedAt, services);
      this.#exchange.record.httpVersion = "HTTP/1.1";
    }
    this.#exchange.refuse(error);
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (this.#state === State.Closing) {
      this.wire.close();
    } else if (this.#state === State.Body && this.#held === undefined) {
      this.#exchange!.fail("downstream_closed");
    } else if (this.#state === State.Head && this.#held === undefined) {
      this.#state = State.Closing;
      this.wire.close();
    } else {
      this.wire.setDeadline(HALF_CLOSE_GRACE_MS);
    }
  }

  onWritable(): void {
    this.#exchange?.onDownstreamWritable();
  }

  onOpen(): void {}

  onClosed(_error: WireError | undefined): void {
    this.#state = State.Closing;
    this.#held = undefined;
    this.#exchange?.onDownstreamClosed();
    this.#exchange = undefined;
  }

  /** Progress of the response counts too: the exchange's stream is alive as long as either side moves. */
  touch(): void {
    this.wire.setDeadline(this.#hasEnded ? HALF_CLOSE_GRACE_MS : this.services.settings.streamIdleTimeoutMs);
  }

  onDeadline(): void {
    if (this.#exchange !== undefined) {
      if (this.#hasEnded) this.#exchange.fail("downstream_closed");
      else this.#exchange.onIdleTimeout();
    } else if (this.#headBuffer.length > 0) {
      this.#headBuffer.clear();
      this.#refuse(new ProtocolError(408, "request_header_timeout"));
    } else {
      this.#state = State.Closing;
      this.wire.close();
    }
  }
}

/** What may be asked of our own ports through the inbound listener: nothing that changes anything. */
function isOwnPortRequest(head: RequestHead): boolean {
  if (head.method !== "GET" && head.method !== "HEAD") return false;
  const path = head.target.split("?", 1)[0];
  return path === "/healthz/ready" || path === "/stats/prometheus" || path === "/metrics";
}
