// What the state machines are given: settings, and the few things of the world they use, as interfaces. Pure.
import type { HeadLimits, RequestHead } from "../codec/head.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Exchange } from "./exchange.ts";
import type { HttpUpstream } from "./http-upstream.ts";
import type { Direction, RecordSink } from "./record.ts";
import type { Wire, WireHandler } from "./wire.ts";

/** The settings that the data path reads. Times are milliseconds. */
export interface ProxySettings extends HeadLimits {
  readonly protocolDetectionTimeoutMs: number;
  readonly requestHeaderTimeoutMs: number;
  readonly downstreamIdleTimeoutMs: number;
  readonly streamIdleTimeoutMs: number;
  readonly upstreamIdleTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly maxIdleConnectionsPerEndpoint: number;
  /** Value of the `Server` field on inbound answers; undefined passes the application's own. */
  readonly serverHeader: string | undefined;
  readonly appendsForwardedFor: boolean;
}

/** Where a connection came in and where it goes; one value per accepted connection. */
export interface Route {
  readonly direction: Direction;
  /** Where it was going before it was redirected; for `listen` our own address. */
  readonly original: Endpoint;
  /** Where to connect to. `address` may be a host name for `listen` only. */
  readonly upstream: Endpoint;
  /** Source address of upstream connections; undefined lets the kernel choose. */
  readonly source: string | undefined;
  readonly cluster: string;
  /** Which upstream connections may be shared: endpoint and source address, as text. */
  readonly poolKey: string;
  /** The destination is a port of our own: only GET of health and metrics may pass. */
  readonly isOwnPort: boolean;
}

/** Opens outgoing connections. */
export interface Dialer {
  /** Starts a connection and returns it at once; `handler` hears of its fate. */
  dial(endpoint: Endpoint, source: string | undefined, handler: WireHandler): Wire;
}

/** Idle upstream connections, by endpoint and source address. */
export interface UpstreamPool {
  /** An idle connection, or a new one that is still being established. */
  acquire(route: Route): HttpUpstream;
  /** A connection that is not an idle one's: for the one retry after a reused connection turned out dead. */
  connect(route: Route): HttpUpstream;
  /** Takes a connection that was opened before its client turned out to speak HTTP: the next to be acquired for this route. */
  adopt(route: Route, wire: Wire): void;
  /** Takes back a connection whose exchange is over and whose stream is in order. */
  release(upstream: HttpUpstream): void;
  /** An idle connection is gone. */
  forget(upstream: HttpUpstream): void;
}

/** Decides which requests take the pipeline lane, and runs them there. */
export interface Pipeline {
  /** Takes the exchange over and returns true when some rule applies to it; false leaves it to the straight lane. */
  intercept(exchange: Exchange, head: RequestHead): boolean;
}

/** Everything the data path shares; one value per proxy. */
export interface Services {
  readonly settings: ProxySettings;
  readonly pool: UpstreamPool;
  readonly dialer: Dialer;
  readonly pipeline: Pipeline;
  readonly sinks: readonly RecordSink[];
  /** Monotonic milliseconds with fractions. */
  now(): number;
  /** The same clock when the current event began: one reading for all that an event causes. */
  eventTime(): number;
  /** Milliseconds since the epoch. */
  wallClock(): number;
  /** A fresh x-request-id: a version 4 UUID. */
  requestId(): string;
  /** Requests and tunnels that are not over; a drain waits for zero, and for their last bytes. */
  inFlight: number;
  /** True from SIGTERM on: answers carry `Connection: close`. */
  isDraining: boolean;
  /** Called while draining whenever `inFlight` went down to zero, or the last byte to the kernel. */
  onIdle(): void;
}
