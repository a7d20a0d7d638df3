// hot path
// One request and its response: who has sent what, what is owed to whom, and how it ends. Pure state machine between
// HttpDownstream and HttpUpstream; both lanes use it, they differ only in who calls `forward` and `respond`.
import { type BodyFraming, Framing } from "../codec/framing.ts";
import type { RequestHead, ResponseHead } from "../codec/head.ts";
import { HeaderList } from "../codec/header-list.ts";
import type { ProtocolError } from "../codec/protocol-error.ts";
import { authorityOf } from "../codec/target.ts";
import { formatEndpoint } from "./endpoint.ts";
import { FAILURES, type FailureCode } from "./failures.ts";
import { forwardRequestHead, forwardResponseHead, forwardTrailers, keepsAlive, wantsUpgrade } from "./forwarding.ts";
import type { HttpDownstream } from "./http-downstream.ts";
import type { HttpUpstream } from "./http-upstream.ts";
import { RequestRecord } from "./record.ts";
import type { Services } from "./services.ts";
import { startTunnel } from "./tunnel.ts";
import { PauseReason, type WireError } from "./wire.ts";

/** Who decides about an exchange outside the straight lane: told of the response, and of the end if none will come. */
export interface ExchangeOwner {
  /** The final response head is there; its body waits until `respond` is called. */
  onResponse(head: ResponseHead): void;
  /** The exchange is over, answered by somebody else or not at all. */
  onOver(): void;
}

/** Methods whose request may be sent a second time (RFC 9110 §9.2.2). */
const IDEMPOTENT = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

export class Exchange {
  readonly record: RequestRecord;
  /** Set by the pipeline lane before it forwards anything. */
  owner: ExchangeOwner | undefined = undefined;
  #upstream: HttpUpstream | undefined = undefined;
  #forwardedHead = "";
  #requestSent = false;
  #responseHead: ResponseHead | undefined = undefined;
  #responseFraming: BodyFraming | undefined = undefined;
  /** How the response body goes downstream; undefined until the final head is written. */
  #downstreamFraming: Framing | undefined = undefined;
  #responseSent = false;
  #keepsAlive: boolean;
  #isOver = false;
  #isRetry = false;
  #forwardedAt = 0;
  readonly #startedAt: number;

  constructor(
    readonly downstream: HttpDownstream,
    readonly head: RequestHead,
    readonly requestFraming: Framing,
    startedAt: number,
    private readonly services: Services,
  ) {
    const { route, wire } = downstream;
    const record = new RequestRecord(route.direction);
    this.record = record;
    this.#startedAt = startedAt;
    this.#keepsAlive = keepsAlive(head.minorVersion, head.connection);
    record.startTimeMs = services.wallClock() - (services.eventTime() - startedAt);
    record.method = head.method;
    record.target = head.target;
    record.httpVersion = head.minorVersion === 1 ? "HTTP/1.1" : "HTTP/1.0";
    record.authority = authorityOf(head.target) ?? head.host ?? "";
    record.requestHeaders = head.headers;
    record.originalDestination = downstream.originalText;
    record.originalPort = route.original.port;
    record.upstreamCluster = route.cluster;
    record.downstreamLocalAddress = wire.localAddress;
    record.downstreamRemoteAddress = wire.remoteAddress;
    services.inFlight++;
  }

  /** False while request body bytes must wait: the exchange has not been forwarded yet. */
  get takesRequestBody(): boolean {
    return this.#upstream !== undefined;
  }

  /** False while response body bytes must wait: the owner has not decided yet. */
  get takesResponseBody(): boolean {
    return this.#downstreamFraming !== undefined || this.#isOver;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Sends the request head on. The body, if any, follows through `sendBody`. */
  forward(): void {
    if (this.#isOver) return;
    const { route } = this.downstream;
    const forwarded = forwardRequestHead(this.head, {
      requestId: this.head.headers.get("x-request-id") || this.services.requestId(),
      clientAddress: this.downstream.forwardedClient,
      fallbackHost: formatEndpoint(route.original),
    });
    this.record.requestId = forwarded.requestId;
    this.record.forwardedFor = forwarded.forwardedFor;
    this.#forwardedHead = forwarded.text;
    this.#attach(this.services.pool.acquire(route));
    this.downstream.onForwarded();
  }

  #attach(upstream: HttpUpstream): void {
    this.#upstream = upstream;
    upstream.begin(this);
    this.#forwardedAt = this.services.eventTime();
    upstream.wire.writeText(this.#forwardedHead);
  }

  /** Request body bytes from downstream, without chunked framing. */
  sendBody(bytes: Buffer, from: number, to: number): void {
    this.record.bytesReceived += to - from;
    const wire = this.#upstream?.wire;
    if (wire === undefined || wire.isClosed) return;
    if (this.requestFraming === Framing.Chunked) wire.writeText(`${(to - from).toString(16)}\r\n`);
    wire.write(bytes, from, to);
    if (this.requestFraming === Framing.Chunked) wire.writeText("\r\n");
    if (wire.isCongested) this.downstream.wire.pause(PauseReason.Backpressure);
  }

  /** The request is complete. */
  endRequest(trailers: HeaderList | undefined): void {
    if (this.requestFraming === Framing.Chunked) this.#upstream?.wire.writeText(forwardTrailers(trailers));
    this.#requestSent = true;
    if (this.#responseSent) this.#finish();
  }

  /** The upstream takes bytes again. */
  onUpstreamWritable(): void {
    this.downstream.wire.resume(PauseReason.Backpressure);
  }

  /** The client takes bytes again. */
  onDownstreamWritable(): void {
    this.#upstream?.wire.resume(PauseReason.Backpressure);
  }

  /** 100, 102, 103…: relayed at once; HTTP/1.0 knows none (RFC 9110 §15.2). */
  onInterimResponse(head: ResponseHead): void {
    if (this.head.minorVersion === 0 || this.#downstreamFraming !== undefined) return;
    this.downstream.wire.writeText(
      forwardResponseHead(head, { serverHeader: undefined, connection: "", framing: Framing.None }),
    );
  }

  /** The final response head of the upstream. */
  onResponseHead(head: ResponseHead, framing: BodyFraming): void {
    this.#responseHead = head;
    this.#responseFraming = framing;
    this.record.responseHeaders = head.headers;
    this.record.upstreamServiceTimeMs = this.services.eventTime() - this.#forwardedAt;
    if (this.owner === undefined) this.respond();
    else this.owner.onResponse(head);
  }

  /** Sends the upstream's response head on; what the upstream sends from then on follows it. */
  respond(): void {
    const head = this.#responseHead;
    const upstreamFraming = this.#responseFraming;
    if (this.#isOver || head === undefined || upstreamFraming === undefined) return;
    const framing = this.#downstreamFramingFor(upstreamFraming.framing);
    if (framing === Framing.UntilClose || this.services.isDraining) this.#keepsAlive = false;
    this.#downstreamFraming = framing;
    this.record.responseCode = head.status;
    this.record.responseCodeDetails = "via_upstream";
    this.downstream.wire.writeText(
      forwardResponseHead(head, {
        serverHeader: this.downstream.serverHeader,
        connection: this.#connectionField(),
        framing,
      }),
    );
    this.#upstream?.onTaken();
  }

  #downstreamFramingFor(upstream: Framing): Framing {
    if (this.head.minorVersion === 0 && upstream === Framing.Chunked) return Framing.UntilClose;
    // A 1.1 client gets chunks: its connection stays usable, and a cut is visible to it.
    if (this.head.minorVersion === 1 && upstream === Framing.UntilClose) return Framing.Chunked;
    return upstream;
  }

  #connectionField(): string {
    if (!this.#keepsAlive) return "close";
    return this.head.minorVersion === 0 ? "keep-alive" : "";
  }

  /** Response body bytes, without chunked framing. */
  onResponseData(bytes: Buffer, from: number, to: number): void {
    if (this.#isOver) return;
    this.record.bytesSent += to - from;
    const { wire } = this.downstream;
    if (this.#downstreamFraming === Framing.Chunked) wire.writeText(`${(to - from).toString(16)}\r\n`);
    wire.write(bytes, from, to);
    if (this.#downstreamFraming === Framing.Chunked) wire.writeText("\r\n");
    if (wire.isCongested) this.#upstream?.wire.pause(PauseReason.Backpressure);
  }

  /** The response is complete. The request may still be on its way: its upload goes on until either side ends it. */
  onResponseEnd(trailers: HeaderList | undefined): void {
    if (this.#isOver) return;
    if (this.#downstreamFraming === Framing.Chunked) this.downstream.wire.writeText(forwardTrailers(trailers));
    this.#responseSent = true;
    if (this.#requestSent) this.#finish();
  }

  /** 101 to a request that asked for it, or 2xx to CONNECT: from here on only bytes. `rest` follows the head. */
  onTunnel(head: ResponseHead, rest: Buffer): void {
    const upstream = this.#upstream!;
    this.#responseHead = head;
    this.record.responseHeaders = head.headers;
    this.record.upstreamServiceTimeMs = this.services.eventTime() - this.#forwardedAt;
    this.record.responseCode = head.status;
    this.record.responseCodeDetails = "via_upstream";
    this.downstream.wire.writeText(
      forwardResponseHead(head, {
        serverHeader: head.status === 101 ? undefined : this.downstream.serverHeader,
        connection: "",
        framing: Framing.UntilClose,
      }),
    );
    const early = this.downstream.takeHeld();
    upstream.detach();
    startTunnel(this.downstream.wire, upstream.wire, this.record, {
      early,
      rest,
      onOver: () => this.#close(),
      streamIdleTimeoutMs: this.services.settings.streamIdleTimeoutMs,
    });
    if (this.downstream.hasEnded) this.downstream.wire.handler.onEnd();
  }

  /**
   * Whether this status makes the connection a tunnel that the client asked for: 101 to an Upgrade, 2xx to CONNECT. Not
   * while the request is still on its way: its rest would be body to one side and the other protocol to the other.
   */
  maySwitch(status: number): boolean {
    const isConnect = this.head.method === "CONNECT";
    return this.#requestSent && (status === 101 ? !isConnect && wantsUpgrade(this.head) : isConnect);
  }

  /** The upstream connection ended or broke before its response was complete. */
  onUpstreamLost(error: WireError | undefined, wasReused: boolean, sawResponse: boolean): void {
    if (this.#isOver) return;
    const upstream = this.#upstream!;
    if (this.#responseSent) {
      // It has answered and does not want the rest of the request.
      this.#requestSent = true;
      this.#finish(true);
      return;
    }
    if (upstream.isEstablished) {
      const mayRetry = wasReused && !sawResponse && !this.#isRetry && this.requestFraming === Framing.None;
      if (mayRetry && IDEMPOTENT.has(this.head.method)) {
        this.#isRetry = true;
        this.#attach(this.services.pool.connect(this.downstream.route));
        return;
      }
      if (error !== undefined) this.record.upstreamTransportFailureReason = error.message;
      this.fail(this.#downstreamFraming === undefined ? "upstream_closed" : "upstream_closed_midway");
      return;
    }
    this.record.upstreamTransportFailureReason = error?.message ?? "connection closed";
    this.fail(error?.code === "ETIMEDOUT" ? "upstream_connect_timeout" : "upstream_connect_failed");
  }

  /** The client is gone. */
  onDownstreamClosed(): void {
    if (this.#isOver) return;
    if (this.#responseSent) this.#finish();
    else this.fail("downstream_closed");
  }

  /** Nothing moved for longer than the stream idle timeout. */
  onIdleTimeout(): void {
    this.fail(this.#requestSent ? "upstream_idle_timeout" : "request_body_timeout");
  }

  /** Ends the exchange with a failure of the table: answered when nothing was sent yet, else the client sees the connection break. */
  fail(code: FailureCode, reason?: string): void {
    if (this.#isOver) return;
    const failure = FAILURES[code];
    this.record.responseFlag = failure.flag;
    this.record.responseCodeDetails = failure.details;
    this.#dropUpstream();
    if (failure.status !== 0 && this.#downstreamFraming === undefined) {
      this.answer(failure.status, reason ?? this.record.upstreamTransportFailureReason, failure.text);
    } else {
      this.downstream.wire.reset();
      this.#close();
    }
  }

  /** The client sent what is no HTTP: answered when nothing was sent yet, else the connection breaks. */
  refuse(error: ProtocolError): void {
    if (this.#isOver) return;
    this.record.responseFlag = error.status === 408 ? "DT" : "DPE";
    this.record.responseCodeDetails = error.status === 408 ? error.detail : `http1.${error.detail}`;
    this.#dropUpstream();
    if (this.#downstreamFraming === undefined) {
      this.answer(error.status, "", error.message);
    } else {
      this.downstream.wire.reset();
      this.#close();
    }
  }

  /** Answers in the proxy's own name, with a line of text, and ends the exchange. */
  answer(status: number, reason: string, text: string): void {
    this.answerWith(
      status,
      new HeaderList(["content-type", "text/plain"]),
      Buffer.from(`${text}${reason === "" ? "" : `: ${reason}`}\n`),
    );
  }

  /** Answers with this message and ends the exchange; an upstream that was asked already is let go. */
  answerWith(status: number, headers: HeaderList, body: Buffer): void {
    if (this.#isOver) return;
    this.#dropUpstream();
    this.record.responseCode = status;
    const { wire, serverHeader } = this.downstream;
    const isBodiless = this.head.method === "HEAD" || status === 204 || status === 304;
    // The rest of an unfinished request would have to be read to the end: cheaper to close.
    if (!this.#requestSent || this.services.isDraining) this.#keepsAlive = false;
    let text = `HTTP/1.1 ${status} ${REASONS[status] ?? ""}\r\n`;
    for (let at = 0; at < headers.flat.length; at += 2) text += `${headers.flat[at]}: ${headers.flat[at + 1]}\r\n`;
    if (status !== 204 && status !== 304) text += `content-length: ${body.length}\r\n`;
    text += `Server: ${serverHeader ?? "pilotfish"}\r\n`;
    const connection = this.#connectionField();
    if (connection !== "") text += `Connection: ${connection}\r\n`;
    wire.writeText(`${text}\r\n`);
    if (!isBodiless) {
      wire.write(body, 0, body.length);
      this.record.bytesSent = body.length;
    }
    this.#downstreamFraming = Framing.Length;
    this.#responseSent = true;
    this.#finish();
  }

  #dropUpstream(): void {
    const upstream = this.#upstream;
    if (upstream === undefined) return;
    this.#noteUpstream(upstream);
    this.#upstream = undefined;
    upstream.abandon();
  }

  #noteUpstream(upstream: HttpUpstream): void {
    this.record.upstreamHost = upstream.wire.remoteAddress;
    this.record.upstreamLocalAddress = upstream.wire.localAddress;
  }

  /** Both halves are done: hand the record out, the upstream back, and let the connection go on. */
  #finish(wasCut = false): void {
    const upstream = this.#upstream;
    const isInOrder = this.#requestSent && !wasCut;
    if (!isInOrder) this.#keepsAlive = false;
    this.#close();
    if (upstream !== undefined) {
      if (isInOrder) upstream.finish();
      else upstream.abandon();
    }
    this.downstream.onExchangeOver(this.#keepsAlive, isInOrder);
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { record, services } = this;
    const upstream = this.#upstream;
    if (upstream !== undefined) this.#noteUpstream(upstream);
    this.#upstream = undefined;
    record.durationMs = services.now() - this.#startedAt;
    for (let at = 0; at < services.sinks.length; at++) services.sinks[at]!.record(record);
    if (--services.inFlight === 0 && services.isDraining) services.onIdle();
    this.owner?.onOver();
  }
}

/** Reason phrases of the answers that the proxy itself gives. */
const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  204: "No Content",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  414: "URI Too Long",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
};
