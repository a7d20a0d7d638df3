// hot path
// Bytes both ways between two connections, untouched, with half-closes, resets and backpressure passed on. Pure.
// Used for opaque TCP, TLS, HTTP/2, and for what an HTTP exchange became after 101 or CONNECT.
import type { RequestRecord } from "./record.ts";
import { PauseReason, type Wire, type WireError, type WireHandler } from "./wire.ts";

/** What a tunnel begins with and whom it tells. */
export interface TunnelStart {
  /** Bytes of the client that came before the tunnel stood. */
  readonly early: Buffer | undefined;
  /** Bytes of the upstream that followed its last message. */
  readonly rest: Buffer | undefined;
  /** Both directions are over. The record's byte counts are final. */
  onOver(): void;
  readonly streamIdleTimeoutMs: number;
}

/** Takes both connections over. */
export function startTunnel(downstream: Wire, upstream: Wire, record: RequestRecord, start: TunnelStart): Tunnel {
  return new Tunnel(downstream, upstream, record, start);
}

/** One end of a tunnel: what it reads goes to `peer`. */
class TunnelEnd implements WireHandler {
  peer!: TunnelEnd;
  hasEnded = false;
  isGone = false;

  constructor(
    readonly wire: Wire,
    private readonly tunnel: Tunnel,
    private readonly isDownstream: boolean,
  ) {}

  onData(bytes: Buffer): void {
    this.tunnel.relay(this, bytes, this.isDownstream);
  }

  onEnd(): void {
    this.hasEnded = true;
    this.peer.wire.shutdown();
    this.tunnel.onEnded();
  }

  onWritable(): void {
    this.peer.wire.resume(PauseReason.Backpressure);
  }

  onOpen(): void {
    this.tunnel.onOpen();
  }

  onClosed(error: WireError | undefined): void {
    this.isGone = true;
    this.tunnel.onGone(this, error, this.isDownstream);
  }

  onDeadline(): void {
    this.tunnel.onIdle(this.isDownstream);
  }
}

/** Two ends; which one is idle is watched on the downstream connection. */
export class Tunnel {
  readonly #down: TunnelEnd;
  readonly #up: TunnelEnd;
  #isOpen: boolean;
  #isOver = false;

  constructor(
    downstream: Wire,
    upstream: Wire,
    private readonly record: RequestRecord,
    private readonly start: TunnelStart,
  ) {
    this.#down = new TunnelEnd(downstream, this, true);
    this.#up = new TunnelEnd(upstream, this, false);
    this.#down.peer = this.#up;
    this.#up.peer = this.#down;
    this.#isOpen = upstream.localAddress !== "";
    downstream.handler = this.#down;
    upstream.handler = this.#up;
    downstream.setDeadline(start.streamIdleTimeoutMs);
    if (start.early !== undefined) this.relay(this.#down, start.early, true);
    if (start.rest !== undefined && start.rest.length > 0) this.relay(this.#up, start.rest, false);
  }

  relay(from: TunnelEnd, bytes: Buffer, isFromDownstream: boolean): void {
    if (isFromDownstream) this.record.bytesReceived += bytes.length;
    else this.record.bytesSent += bytes.length;
    this.#down.wire.setDeadline(this.start.streamIdleTimeoutMs);
    const { wire } = from.peer;
    wire.write(bytes, 0, bytes.length);
    if (wire.isCongested) from.wire.pause(PauseReason.Backpressure);
  }

  onOpen(): void {
    this.#isOpen = true;
    this.#up.wire.setDeadline(0);
  }

  onEnded(): void {
    if (!this.#down.hasEnded || !this.#up.hasEnded) return;
    this.#finish();
    this.#down.wire.close();
    this.#up.wire.close();
  }

  onGone(end: TunnelEnd, error: WireError | undefined, isDownstream: boolean): void {
    if (error !== undefined && !this.#isOver) {
      if (isDownstream) this.record.responseFlag = "DC";
      else {
        this.record.responseFlag = this.#isOpen ? "UC" : "UF";
        this.record.upstreamTransportFailureReason = error.message;
      }
    }
    this.#finish();
    // What one side aborted is aborted for the other; what ended in order ends in order.
    if (!end.peer.isGone) {
      if (error !== undefined || !end.hasEnded) end.peer.wire.reset();
      else end.peer.wire.close();
    }
  }

  onIdle(isDownstream: boolean): void {
    if (isDownstream) this.record.responseFlag = "SI";
    else {
      this.record.responseFlag = "UF";
      this.record.upstreamTransportFailureReason = "connect timeout";
    }
    this.#finish();
    this.#down.wire.reset();
    this.#up.wire.reset();
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.record.upstreamHost = this.#up.wire.remoteAddress;
    this.record.upstreamLocalAddress = this.#up.wire.localAddress;
    this.start.onOver();
  }
}
