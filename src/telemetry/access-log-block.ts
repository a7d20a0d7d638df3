// The BLOCK access log: six lines and an empty one per request, readable at a glance in a terminal. Pure.
// One of the encodings of access-log-format.ts.
import { pathAndQueryOf } from "../codec/target.ts";
import type { RequestRecord } from "../proxy/record.ts";
import { addressOf } from "./access-log-operators.ts";
import { formatGoDuration } from "./go-duration.ts";
import { escapeText } from "./log-escape.ts";

/** A record's entry. An opaque connection has `tcp://` ends and status 0. */
export function blockEntry(record: RequestRecord): string {
  return (
    `Original URL: ${originalUrl(record)}\n` +
    `Proxy URL: ${proxyUrl(record)}\n` +
    `Request Duration: ${formatGoDuration(record.durationMs)}\n` +
    `Request Size: ${record.bytesReceived}\n` +
    `Response Size: ${record.bytesSent}\n` +
    `Response Status: ${record.responseCode}\n\n`
  );
}

function originalUrl(record: RequestRecord): string {
  if (record.protocol === "tcp") return `tcp://${record.originalDestination || "-"}`;
  const host = withoutPort(record.authority) || bracketed(addressOf(record.originalDestination));
  return `http://${escapeText(host)}:${record.originalPort}${escapeText(pathAndQueryOf(record.target))}`;
}

function proxyUrl(record: RequestRecord): string {
  if (record.upstreamHost === "") return "-";
  return record.protocol === "tcp"
    ? `tcp://${record.upstreamHost}`
    : `http://${record.upstreamHost}${escapeText(pathAndQueryOf(record.target))}`;
}

function withoutPort(authority: string): string {
  return authority.replace(/:\d*$/, "");
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
