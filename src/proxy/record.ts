// What the proxy knows of one request (or one opaque connection) when it is over. Pure.
// Filled by the exchange and the tunnel, handed once to every sink that is on: metrics, access log, later tap and traces.
import type { HeaderList } from "../codec/header-list.ts";

/** Where the connection came in. `listen` is the plain reverse proxy of `--listen`, reported as inbound. */
export type Direction = "inbound" | "outbound" | "listen";

/** Envoy's %RESPONSE_FLAGS% letter codes that the proxy can produce; empty when all went well. */
export type ResponseFlag = "" | "UF" | "UC" | "UT" | "UPE" | "DC" | "DPE" | "DT" | "NR" | "DI" | "FI" | "UO" | "SI";

/**
 * One finished HTTP request, or one finished TCP tunnel (`protocol` "tcp": the HTTP fields keep their initial values).
 * All fields are set in the constructor so that every record has one shape. Sinks must not keep it or change it.
 */
export class RequestRecord {
  direction: Direction;
  protocol: "http" | "tcp" = "http";
  /** Wall clock at the first byte of the request, or at accept for TCP: milliseconds since the epoch. */
  startTimeMs = 0;
  /** First byte of the request to last byte of the response handed to the kernel: milliseconds with fractions. */
  durationMs = 0;
  /** Request head handed to the upstream until its first response byte: milliseconds, -1 when none came. */
  upstreamServiceTimeMs = -1;

  method = "";
  /** Request target as received, byte-exact in latin1. */
  target = "";
  /** Downstream protocol, `HTTP/1.1` or `HTTP/1.0`; empty for TCP. */
  httpVersion = "";
  /** Host header, or the authority of an absolute-form target. */
  authority = "";
  /** The x-request-id that went upstream: the client's own, else the one added. */
  requestId = "";
  /** The x-forwarded-for that went upstream; empty when there was none. */
  forwardedFor = "";
  /** Header fields as received from downstream and from upstream; undefined where no such message came. */
  requestHeaders: HeaderList | undefined = undefined;
  responseHeaders: HeaderList | undefined = undefined;

  /** Status sent downstream; 0 when nothing was sent (and always for TCP). */
  responseCode = 0;
  responseFlag: ResponseFlag = "";
  /** Envoy's %RESPONSE_CODE_DETAILS%, e.g. `via_upstream`; empty for TCP. */
  responseCodeDetails = "";
  connectionTerminationDetails = "";
  /** Why the upstream connection failed, e.g. `connection refused`; empty when it did not. */
  upstreamTransportFailureReason = "";

  /** Body bytes from downstream (TCP: all bytes), after removal of the chunked coding. */
  bytesReceived = 0;
  /** Body bytes sent downstream (TCP: all bytes), before the chunked coding. */
  bytesSent = 0;

  /** Where the connection was going before it was redirected, `ip:port`; for `--listen` the listener's own address. */
  originalDestination = "";
  originalPort = 0;
  /** Endpoint really connected to, `ip:port` (`[ip]:port` for IPv6); empty when no connection was made. */
  upstreamHost = "";
  /** `PassthroughCluster`, `InboundPassthroughCluster`, `inbound|80||`, or the name of the `--target` cluster. */
  upstreamCluster = "";
  /** Our own end of the upstream connection, `ip:port`. */
  upstreamLocalAddress = "";
  downstreamLocalAddress = "";
  downstreamRemoteAddress = "";
  /** SNI of a TLS connection that was relayed; empty otherwise. */
  requestedServerName = "";
  /** Name of the rule that matched, or `default`. */
  routeName = "default";

  constructor(direction: Direction) {
    this.direction = direction;
  }
}

/**
 * Receives each record once, when it is complete; must not block, throw or keep it.
 * `tcpOpened` is told when an opaque connection to `upstreamCluster` starts; its end comes as a record with `protocol` "tcp".
 */
export interface RecordSink {
  record(record: RequestRecord): void;
  tcpOpened(direction: Direction, upstreamCluster: string): void;
}
