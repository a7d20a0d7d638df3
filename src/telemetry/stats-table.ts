// What flowed, as a small table for people: one row a direction and protocol, in Linkerd's columns. Pure.
// Made from metric families, so it serves the proxy's own metrics and a scrape of another process alike.
import { quantile } from "./histogram.ts";
import { type Labels, labelValue, type MetricFamily } from "./metric-family.ts";

/** Requests (`http`) or finished opaque connections (`tcp`) of one direction. */
export interface TrafficRow {
  readonly direction: "inbound" | "outbound";
  readonly protocol: "http" | "tcp";
  readonly requests: number;
  /** Share of answers below 500, 0–1; a request without any answer is no success. `undefined` for TCP. */
  readonly successRate: number | undefined;
  /** Milliseconds, estimated from the histogram; `undefined` for TCP. */
  readonly p50: number | undefined;
  readonly p95: number | undefined;
  readonly p99: number | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
}

/** Rows of those directions and protocols that had traffic, inbound first. */
export function summarizeTraffic(families: readonly MetricFamily[]): TrafficRow[] {
  return (["inbound", "outbound"] as const).flatMap((direction) =>
    [httpRow(families, direction), tcpRow(families, direction)].filter((row) => row.requests > 0),
  );
}

function httpRow(families: readonly MetricFamily[], direction: TrafficRow["direction"]): TrafficRow {
  const requests = sumOf(families, "istio_requests_total", direction);
  const succeeded = sumOf(families, "istio_requests_total", direction, (labels) => {
    const code = Number(labelValue(labels, "response_code"));
    return code > 0 && code < 500;
  });
  const durations = merged(families, "istio_request_duration_milliseconds", direction);
  return {
    direction,
    protocol: "http",
    requests,
    successRate: requests === 0 ? undefined : succeeded / requests,
    p50: quantile(0.5, durations.bounds, durations.counts),
    p95: quantile(0.95, durations.bounds, durations.counts),
    p99: quantile(0.99, durations.bounds, durations.counts),
    bytesReceived: merged(families, "istio_request_bytes", direction).sum,
    bytesSent: merged(families, "istio_response_bytes", direction).sum,
  };
}

function tcpRow(families: readonly MetricFamily[], direction: TrafficRow["direction"]): TrafficRow {
  return {
    direction,
    protocol: "tcp",
    requests: sumOf(families, "istio_tcp_connections_closed_total", direction),
    successRate: undefined,
    p50: undefined,
    p95: undefined,
    p99: undefined,
    bytesReceived: sumOf(families, "istio_tcp_received_bytes_total", direction),
    bytesSent: sumOf(families, "istio_tcp_sent_bytes_total", direction),
  };
}

function isOf(labels: Labels, direction: TrafficRow["direction"]): boolean {
  return labelValue(labels, "reporter") === (direction === "inbound" ? "destination" : "source");
}

function sumOf(
  families: readonly MetricFamily[],
  name: string,
  direction: TrafficRow["direction"],
  counts: (labels: Labels) => boolean = () => true,
): number {
  let sum = 0;
  for (const family of families) {
    if (family.name !== name || family.type === "histogram") continue;
    for (const { labels, value } of family.samples) if (isOf(labels, direction) && counts(labels)) sum += value;
  }
  return sum;
}

function merged(
  families: readonly MetricFamily[],
  name: string,
  direction: TrafficRow["direction"],
): { bounds: readonly number[]; counts: number[]; sum: number } {
  const family = families.find((one) => one.name === name);
  if (family?.type !== "histogram") return { bounds: [], counts: [], sum: 0 };
  const samples = family.samples.filter(({ labels }) => isOf(labels, direction));
  const counts = Array.from({ length: family.bounds.length + 1 }, (_, bucket) =>
    samples.reduce((total, sample) => total + sample.counts[bucket]!, 0),
  );
  return { bounds: family.bounds, counts, sum: samples.reduce((total, sample) => total + sample.sum, 0) };
}

const HEADINGS = [
  "DIRECTION",
  "PROTOCOL",
  "REQUESTS",
  "SUCCESS",
  "LATENCY_P50",
  "LATENCY_P95",
  "LATENCY_P99",
  "RECEIVED",
  "SENT",
];
/** Columns of text stand left, columns of numbers right. */
const TEXT_COLUMNS = 2;

/** The rows under headings, a newline at the end of each line. */
export function renderTrafficTable(rows: readonly TrafficRow[]): string {
  const lines = [HEADINGS, ...rows.map(cells)];
  const widths = HEADINGS.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line.map((cell, column) =>
        column < TEXT_COLUMNS ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      ),
    )
    .map((line) => `${line.join("  ").trimEnd()}\n`)
    .join("");
}

function cells(row: TrafficRow): string[] {
  return [
    row.direction,
    row.protocol,
    String(row.requests),
    row.successRate === undefined ? "-" : `${(row.successRate * 100).toFixed(2)}%`,
    latency(row.p50),
    latency(row.p95),
    latency(row.p99),
    bytes(row.bytesReceived),
    bytes(row.bytesSent),
  ];
}

function latency(ms: number | undefined): string {
  if (ms === undefined) return "-";
  return `${ms < 10 ? Number(ms.toFixed(1)) : Math.round(ms)}ms`;
}

function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)}${units[unit]}`;
}
