// hot path
// Writes the head that goes on: hop-by-hop fields out, ours in, all else as it came (RFC 9110 §7.6.1). Pure.
import { Framing } from "../codec/framing.ts";
import type { RequestHead, ResponseHead } from "../codec/head.ts";
import type { HeaderList } from "../codec/header-list.ts";
import { trimOws } from "../codec/octets.ts";

const enum Hop {
  EndToEnd,
  Connection,
  TransferEncoding,
  ContentLength,
  Upgrade,
  Te,
  Drop,
}

/** What a field name means for forwarding. The length is looked at first: most names cost one switch. */
function classify(name: string): Hop {
  switch (name.length) {
    case 2:
      return name.toLowerCase() === "te" ? Hop.Te : Hop.EndToEnd;
    case 7:
      return name.toLowerCase() === "upgrade" ? Hop.Upgrade : Hop.EndToEnd;
    case 10: {
      const lower = name.toLowerCase();
      if (lower === "connection") return Hop.Connection;
      return lower === "keep-alive" ? Hop.Drop : Hop.EndToEnd;
    }
    case 14:
      return name.toLowerCase() === "content-length" ? Hop.ContentLength : Hop.EndToEnd;
    case 16:
      return name.toLowerCase() === "proxy-connection" ? Hop.Drop : Hop.EndToEnd;
    case 17:
      return name.toLowerCase() === "transfer-encoding" ? Hop.TransferEncoding : Hop.EndToEnd;
    default:
      return Hop.EndToEnd;
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
  const { flat } = head.headers;
  const nominated = nominatedFields(head.connection);
  const isUpgrade = wantsUpgrade(head);
  const lastForwardedFor = additions.clientAddress === undefined ? -1 : lastIndexOf(head.headers, "x-forwarded-for");
  const sentTrailers = hasOption(head.connection, "te") && acceptsTrailers(head.headers);
  let requestId = "";
  let forwardedFor = "";
  let hasLength = false;
  let hasConnection = false;
  let text = `${head.method} ${head.target} HTTP/1.1\r\n`;

  for (let at = 0; at < flat.length; at += 2) {
    const name = flat[at]!;
    let value = flat[at + 1]!;
    switch (classify(name)) {
      case Hop.Drop:
        continue;
      case Hop.Connection:
        if (hasConnection || !(isUpgrade || sentTrailers)) continue;
        hasConnection = true;
        value = isUpgrade ? (sentTrailers ? "Upgrade, TE" : "Upgrade") : "TE";
        break;
      case Hop.Upgrade:
        if (!isUpgrade) continue;
        break;
      case Hop.Te:
        if (!sentTrailers) continue;
        value = "trailers";
        break;
      case Hop.TransferEncoding:
        value = "chunked";
        break;
      case Hop.ContentLength:
        if (hasLength) continue;
        hasLength = true;
        break;
      case Hop.EndToEnd:
        if (nominated?.has(name.toLowerCase())) continue;
        if (name.length === 12 && name.toLowerCase() === "x-request-id") {
          if (value === "" && requestId === "") value = additions.requestId;
          if (requestId === "") requestId = value;
        } else if (name.length === 15 && name.toLowerCase() === "x-forwarded-for") {
          if (at === lastForwardedFor)
            value = value === "" ? additions.clientAddress! : `${value}, ${additions.clientAddress}`;
          forwardedFor = forwardedFor === "" ? value : `${forwardedFor}, ${value}`;
        }
        break;
    }
    text += `${name}: ${value}\r\n`;
  }

  if (head.host === undefined) text += `Host: ${additions.fallbackHost}\r\n`;
  if (additions.clientAddress !== undefined && lastForwardedFor < 0) {
    forwardedFor = additions.clientAddress;
    text += `x-forwarded-for: ${forwardedFor}\r\n`;
  }
  if (requestId === "") {
    requestId = additions.requestId;
    text += `x-request-id: ${requestId}\r\n`;
  }
  return { text: `${text}\r\n`, requestId, forwardedFor };
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
export function forwardResponseHead(head: ResponseHead, headers: HeaderList, changes: ResponseChanges): string {
  const { flat } = headers;
  const nominated = nominatedFields(head.connection);
  const isSwitching = head.status === 101;
  const forbidsFraming = head.status === 204 || head.status < 200;
  let hasServer = changes.serverHeader === undefined;
  let hasFraming = false;
  let text = `HTTP/1.1 ${head.status} ${head.reason}\r\n`;

  for (let at = 0; at < flat.length; at += 2) {
    const name = flat[at]!;
    let value = flat[at + 1]!;
    switch (classify(name)) {
      case Hop.Drop:
        continue;
      case Hop.Connection:
        if (!isSwitching) continue;
        value = "Upgrade";
        break;
      case Hop.Upgrade:
        if (!isSwitching && head.status !== 426) continue;
        break;
      case Hop.TransferEncoding:
        if (hasFraming || forbidsFraming || (changes.framing !== Framing.Chunked && changes.framing !== Framing.None))
          continue;
        hasFraming = true;
        value = "chunked";
        break;
      case Hop.ContentLength:
        if (hasFraming || forbidsFraming || changes.framing === Framing.UntilClose) continue;
        hasFraming = true;
        break;
      case Hop.Te:
      case Hop.EndToEnd:
        if (nominated?.has(name.toLowerCase())) continue;
        if (name.length === 6 && changes.serverHeader !== undefined && name.toLowerCase() === "server") {
          if (hasServer) continue;
          hasServer = true;
          value = changes.serverHeader;
        }
        break;
    }
    text += `${name}: ${value}\r\n`;
  }

  if (changes.framing === Framing.Chunked && !hasFraming) text += "Transfer-Encoding: chunked\r\n";
  if (!hasServer && head.status >= 200) text += `Server: ${changes.serverHeader}\r\n`;
  if (changes.connection !== "") text += `Connection: ${changes.connection}\r\n`;
  return `${text}\r\n`;
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
  let text = "0\r\n";
  for (let at = 0; at < trailers.flat.length; at += 2) {
    const name = trailers.flat[at]!;
    if (!FORBIDDEN_IN_TRAILERS.has(name.toLowerCase())) text += `${name}: ${trailers.flat[at + 1]}\r\n`;
  }
  return `${text}\r\n`;
}

/** Whether the client asks for another protocol on this connection (RFC 9110 §7.8). */
export function wantsUpgrade(head: RequestHead): boolean {
  return head.hasUpgrade && head.minorVersion === 1 && hasOption(head.connection, "upgrade");
}

/** Whether the sender of this head keeps the connection open (RFC 9112 §9.3). */
export function keepsAlive(minorVersion: number, connection: string): boolean {
  if (connection === "") return minorVersion === 1;
  if (hasOption(connection, "close")) return false;
  return minorVersion === 1 || hasOption(connection, "keep-alive");
}

function acceptsTrailers(headers: HeaderList): boolean {
  return headers.getAll("te").some((value) => hasOption(value.toLowerCase(), "trailers"));
}

function lastIndexOf(headers: HeaderList, lowerName: string): number {
  let last = -1;
  for (let at = headers.indexOf(lowerName); at >= 0; at = headers.indexOf(lowerName, at + 2)) last = at;
  return last;
}
