// The first handler of every accepted connection: waits for the first bytes, then makes it HTTP or a tunnel. Pure.
// Silence until the detection timeout connects the upstream; a first byte from the server makes it a tunnel, and
// client bytes are still judged, so waiting is no way round the record.
import { sniff } from "../codec/sniff.ts";
import { formatEndpoint } from "./endpoint.ts";
import { HttpDownstream } from "./http-downstream.ts";
import { RequestRecord } from "./record.ts";
import type { Route, Services } from "./services.ts";
import { startTunnel } from "./tunnel.ts";
import { IGNORE, type Wire, type WireError, type WireHandler } from "./wire.ts";

/** What the shell is asked before a connection is used for anything: whether it is one of our own coming back. */
export interface Admission {
  /** False when this is one of our own upstream connections coming back: a loop. `original` is its destination, `ip:port`. */
  admits(wire: Wire, original: string): boolean;
}

export class Sniffer implements WireHandler {
  #seen: Buffer | undefined = undefined;
  #upstream: SilentUpstream | undefined = undefined;
  #isAdmitted = false;
  #waitsForHead = false;
  readonly #startedAt: number;
  readonly #startTimeMs: number;

  constructor(
    private readonly wire: Wire,
    private readonly route: Route,
    private readonly services: Services,
    private readonly admission: Admission,
  ) {
    this.#startedAt = services.now();
    this.#startTimeMs = services.wallClock();
    wire.handler = this;
    // Our own ports speak HTTP alone: there, silence is a slow client and no sign of another protocol.
    const { protocolDetectionTimeoutMs, requestHeaderTimeoutMs } = services.settings;
    wire.setDeadline(route.isOwnPort ? requestHeaderTimeoutMs : protocolDetectionTimeoutMs);
  }

  onData(bytes: Buffer): void {
    if (!this.#admit()) return;
    const seen = this.#seen === undefined ? bytes : Buffer.concat([this.#seen, bytes]);
    const kind = sniff(seen);
    if (kind === "http1") {
      this.#startHttp(seen);
    } else if (kind === "more" || kind === "http1-prefix") {
      // After silence the deadline is that of an idle stream: too long for bytes that the peer may be waiting for.
      if (this.#seen === undefined && this.#upstream !== undefined) {
        this.wire.setDeadline(this.services.settings.protocolDetectionTimeoutMs);
      }
      this.#seen = seen;
      if (kind === "http1-prefix" && !this.#waitsForHead) {
        this.#waitsForHead = true;
        this.wire.setDeadline(this.services.settings.requestHeaderTimeoutMs);
      }
    } else {
      this.#startTunnel(seen);
    }
  }

  #admit(): boolean {
    if (this.#isAdmitted) return true;
    this.#isAdmitted = this.admission.admits(this.wire, formatEndpoint(this.route.original));
    if (!this.#isAdmitted) this.wire.reset();
    return this.#isAdmitted;
  }

  #startHttp(seen: Buffer): void {
    if (this.#upstream !== undefined) this.services.pool.adopt(this.route, this.#upstream.wire);
    new HttpDownstream(this.wire, this.route, this.services).onData(seen);
  }

  #startTunnel(early: Buffer | undefined, rest?: Buffer): void {
    const { services, route, wire } = this;
    if (route.isOwnPort) {
      wire.reset();
      return;
    }
    const record = new RequestRecord(route.direction);
    record.protocol = "tcp";
    record.startTimeMs = this.#startTimeMs;
    record.originalDestination = formatEndpoint(route.original);
    record.originalPort = route.original.port;
    record.upstreamCluster = route.cluster;
    record.downstreamLocalAddress = wire.localAddress;
    record.downstreamRemoteAddress = wire.remoteAddress;
    for (const sink of services.sinks) sink.tcpOpened(route.direction, route.cluster);
    services.inFlight++;
    const upstream = this.#upstream?.wire ?? services.dialer.dial(route.upstream, route.source, IGNORE);
    startTunnel(wire, upstream, record, {
      early,
      rest,
      streamIdleTimeoutMs: services.settings.streamIdleTimeoutMs,
      onOver: () => {
        record.durationMs = services.now() - this.#startedAt;
        for (const sink of services.sinks) sink.record(record);
        if (--services.inFlight === 0 && services.isDraining) services.onIdle();
      },
    });
  }

  #silentUpstream(): SilentUpstream {
    return new SilentUpstream(
      (rest) => this.#startTunnel(this.#seen, rest),
      () => this.wire.reset(),
    );
  }

  onEnd(): void {
    if (!this.#admit()) return;
    // A client that sends nothing and ends, or ends within what looked like a method.
    if (this.#seen === undefined && this.#upstream === undefined) this.wire.close();
    else {
      this.#startTunnel(this.#seen);
      this.wire.handler.onEnd();
    }
  }

  onDeadline(): void {
    if (!this.#admit()) return;
    if (this.#waitsForHead) {
      this.#upstream?.drop();
      const http = new HttpDownstream(this.wire, this.route, this.services);
      http.onData(this.#seen!);
      http.onDeadline();
    } else if (this.#seen !== undefined) {
      this.#startTunnel(this.#seen);
    } else if (this.#upstream === undefined && !this.route.isOwnPort) {
      this.#upstream = this.#silentUpstream();
      this.#upstream.wire = this.services.dialer.dial(this.route.upstream, this.route.source, this.#upstream);
      this.wire.setDeadline(this.services.settings.streamIdleTimeoutMs);
    } else {
      this.#upstream?.drop();
      this.wire.close();
    }
  }

  onWritable(): void {}

  onOpen(): void {}

  onClosed(_error: WireError | undefined): void {
    this.#upstream?.drop();
  }
}

/** The upstream connection of a client that is silent: its first byte makes the connection a tunnel. */
class SilentUpstream implements WireHandler {
  wire!: Wire;

  constructor(
    private readonly onFirstBytes: (bytes: Buffer) => void,
    private readonly onLost: () => void,
  ) {}

  drop(): void {
    this.wire.close();
  }

  onData(bytes: Buffer): void {
    this.onFirstBytes(bytes);
  }

  onEnd(): void {
    this.onFirstBytes(Buffer.alloc(0));
    this.wire.handler.onEnd();
  }

  onWritable(): void {}

  onOpen(): void {
    this.wire.setDeadline(0);
  }

  onClosed(_error: WireError | undefined): void {
    this.onLost();
  }

  onDeadline(): void {
    this.wire.reset();
    this.onLost();
  }
}
