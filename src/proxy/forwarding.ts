// hot path
// Writes the head that goes on: hop-by-hop fields out, ours in, all else as it came (RFC 9110 §7.6.1). Pure.
import { FieldKind } from "../codec/field-kind.ts";
import { Framing } from "../codec/framing.ts";
import type { RequestHead, ResponseHead } from "../codec/head.ts";
import type { HeaderList } from "../codec/header-list.ts";
import { trimOws } from "../codec/octets.ts";

/** Builds a head line by line; lines that go on as they came are taken over in one piece. */
class HeadText {
  #text: string;
  #from = 0;
  #to = 0;

  constructor(
    startLine: string,
    private readonly headers: HeaderList,
  ) {
    this.#text = startLine;
  }

  /** The field line of this index goes on as it came. */
  keep(index: number): void {
    if (this.#to !== index) {
      this.#takeOver();
      this.#from = index;
    }
    this.#to = index + 1;
  }

  /** A line of ours, behind what was kept so far. */
  put(name: string, value: string): void {
    this.#takeOver();
    this.#text += `${name}: ${value}\r\n`;
  }

  /** The field keeps its name and its place. */
  replace(index: number, value: string): void {
    this.put(this.headers.nameAt(index), value);
  }

  #takeOver(): void {
    if (this.#to > this.#from) this.#text += this.headers.lines(this.#from, this.#to);
    this.#from = this.#to;
  }

  /** The whole head, with the empty line. */
  finish(): string {
    this.#takeOver();
    return `${this.#text}\r\n`;
  }
}

/** Connection options that name no field of their own. */
const PLAIN_OPTIONS = new Set(["", "close", "keep-alive", "upgrade", "te"]);

/**
 * Fields that a sender may not have removed by naming them in Connection: without this, a client could strip what
 * the upstream trusts (RFC 9110 §7.6.1 forbids naming end-to-end fields that all recipients need).
 */
const NEVER_NOMINATED = new Set([
  ...["host", "content-length", "content-type", "transfer-encoding", "authorization", "cookie", "set-cookie"],
  ...["x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded", "traceparent", "server"],
]);

/** Names of fields that the Connection field takes with it; undefined in the usual case of none. */
export function nominatedFields(connection: string): Set<string> | undefined {
  if (connection === "" || connection === "keep-alive" || connection === "close") return undefined;
  const names = connection.split(",").map(trimOws);
  const nominated = names.filter((name) => !PLAIN_OPTIONS.has(name) && !NEVER_NOMINATED.has(name));
  return nominated.length === 0 ? undefined : new Set(nominated);
}

/** Whether the comma-separated lower-case list has this option. */
export function hasOption(list: string, option: string): boolean {
  if (list === option) return true;
  return list.includes(option) && list.split(",").some((item) => trimOws(item) === option);
}

/** What is added to a request on its way to the upstream. */
export interface RequestAdditions {
  /** Added as x-request-id when the client sent none. */
  readonly requestId: string;
  /** Appended to x-forwarded-for; undefined leaves the field alone. */
  readonly clientAddress: string | undefined;
  /** Added as Host when an HTTP/1.0 client sent none: we speak 1.1, which demands it. */
  readonly fallbackHost: string;
}

/** The head of a forwarded request, and the two values that logs want of it. */
export interface ForwardedRequest {
  readonly text: string;
  readonly requestId: string;
  readonly forwardedFor: string;
}

/** The request head as it goes upstream: always HTTP/1.1, the target byte-exact. */
export function forwardRequestHead(head: RequestHead, additions: RequestAdditions): ForwardedRequest {
  const { headers } = head;
  const { clientAddress } = additions;
  const nominated = nominatedFields(head.connection);
  const isUpgrade = wantsUpgrade(head);
  const lastForwardedFor = clientAddress === undefined ? -1 : headers.lastOfKind(FieldKind.ForwardedFor);
  const sentTrailers = head.connection !== "" && hasOption(head.connection, "te") && acceptsTrailers(headers);
  const text = new HeadText(`${head.method} ${head.target} HTTP/1.1\r\n`, headers);
  const { count } = headers;
  let requestId = "";
  let forwardedFor = "";
  let hasLength = false;
  let hasConnection = false;

  for (let index = 0; index < count; index++) {
    switch (headers.kindAt(index)) {
      case FieldKind.KeepAlive:
      case FieldKind.ProxyConnection:
        break;
      case FieldKind.Connection:
        if (hasConnection || !(isUpgrade || sentTrailers)) break;
        hasConnection = true;
        text.replace(index, isUpgrade ? (sentTrailers ? "Upgrade, TE" : "Upgrade") : "TE");
        break;
      case FieldKind.Upgrade:
        if (isUpgrade) text.keep(index);
        break;
      case FieldKind.Te:
        if (sentTrailers) text.replace(index, "trailers");
        break;
      case FieldKind.TransferEncoding:
        text.replace(index, "chunked");
        break;
      case FieldKind.ContentLength:
        if (!hasLength) text.keep(index);
        hasLength = true;
        break;
      case FieldKind.RequestId: {
        const value = headers.valueAt(index);
        if (value === "" && requestId === "") text.replace(index, additions.requestId);
        else text.keep(index);
        if (requestId === "") requestId = value || additions.requestId;
        break;
      }
      case FieldKind.ForwardedFor: {
        let value = headers.valueAt(index);
        if (index === lastForwardedFor) {
          value = value === "" ? clientAddress! : `${value}, ${clientAddress}`;
          text.replace(index, value);
        } else text.keep(index);
        forwardedFor = forwardedFor === "" ? value : `${forwardedFor}, ${value}`;
        break;
      }
      default:
        if (nominated === undefined || !nominated.has(headers.nameAt(index).toLowerCase())) text.keep(index);
    }
  }

  if (head.host === undefined) text.put("Host", additions.fallbackHost);
  if (clientAddress !== undefined && lastForwardedFor < 0) {
    forwardedFor = clientAddress;
    text.put("x-forwarded-for", forwardedFor);
  }
  if (requestId === "") {
    requestId = additions.requestId;
    text.put("x-request-id", requestId);
  }
  return { text: text.finish(), requestId, forwardedFor };
}

/** What happens to a response on its way to the client. */
export interface ResponseChanges {
  /** Replaces the Server field, or is added; undefined leaves it alone. */
  readonly serverHeader: string | undefined;
  /** Value of our own Connection field; empty for none. */
  readonly connection: string;
  /** How the body goes downstream. */
  readonly framing: Framing;
}

/** The response head as it goes downstream: version 1.1, status and reason byte-exact. */
export function forwardResponseHead(head: ResponseHead, changes: ResponseChanges): string {
  const { headers, status } = head;
  const { serverHeader, framing } = changes;
  const nominated = nominatedFields(head.connection);
  const isSwitching = status === 101;
  const forbidsFraming = status === 204 || status < 200;
  const text = new HeadText(`HTTP/1.1 ${status} ${head.reason}\r\n`, headers);
  const { count } = headers;
  let hasServer = serverHeader === undefined;
  let hasFraming = false;

  for (let index = 0; index < count; index++) {
    switch (headers.kindAt(index)) {
      case FieldKind.KeepAlive:
      case FieldKind.ProxyConnection:
        break;
      case FieldKind.Connection:
        if (isSwitching) text.replace(index, "Upgrade");
        break;
      case FieldKind.Upgrade:
        if (isSwitching || status === 426) text.keep(index);
        break;
      case FieldKind.TransferEncoding:
        if (hasFraming || forbidsFraming || (framing !== Framing.Chunked && framing !== Framing.None)) break;
        hasFraming = true;
        text.replace(index, "chunked");
        break;
      case FieldKind.ContentLength:
        if (hasFraming || forbidsFraming || framing === Framing.UntilClose) break;
        hasFraming = true;
        text.keep(index);
        break;
      case FieldKind.Server:
        if (serverHeader === undefined) text.keep(index);
        else if (!hasServer) text.replace(index, serverHeader);
        hasServer = true;
        break;
      default:
        if (nominated === undefined || !nominated.has(headers.nameAt(index).toLowerCase())) text.keep(index);
    }
  }

  if (framing === Framing.Chunked && !hasFraming) text.put("Transfer-Encoding", "chunked");
  if (!hasServer && serverHeader !== undefined && status >= 200) text.put("Server", serverHeader);
  if (changes.connection !== "") text.put("Connection", changes.connection);
  return text.finish();
}

/** Fields that must not stand in a trailer section because they would change framing or routing (RFC 9110 §6.5.1). */
const FORBIDDEN_IN_TRAILERS = new Set([
  "content-length",
  "transfer-encoding",
  "host",
  "connection",
  "trailer",
  "te",
  "upgrade",
]);

/** The last chunk and the trailer section, as they go on. */
export function forwardTrailers(trailers: HeaderList | undefined): string {
  if (trailers === undefined) return "0\r\n\r\n";
  const text = new HeadText("0\r\n", trailers);
  for (let index = 0; index < trailers.count; index++) {
    if (!FORBIDDEN_IN_TRAILERS.has(trailers.nameAt(index).toLowerCase())) text.keep(index);
  }
  return text.finish();
}

/** Whether the client asks for another protocol on this connection (RFC 9110 §7.8). */
export function wantsUpgrade(head: RequestHead): boolean {
  return head.hasUpgrade && head.minorVersion === 1 && hasOption(head.connection, "upgrade");
}

/** Whether the sender of this head keeps the connection open (RFC 9112 §9.3). */
export function keepsAlive(minorVersion: number, connection: string): boolean {
  if (connection === "") return minorVersion === 1;
  if (connection === "keep-alive") return true;
  if (hasOption(connection, "close")) return false;
  return minorVersion === 1 || hasOption(connection, "keep-alive");
}

function acceptsTrailers(headers: HeaderList): boolean {
  return headers.getAll("te").some((value) => hasOption(value.toLowerCase(), "trailers"));
}
