// The proxy's request metrics, from the Prometheus text it serves to the few numbers of the demo's table. Pure.
import { labelValue, type MetricFamily } from "../telemetry/metric-family.ts";
import { parseExposition } from "../telemetry/prometheus.ts";
import type { RequestStatistics } from "./scene.ts";

/** Series of the proxy's metrics are told apart by these two. */
interface Series {
  readonly direction: RequestStatistics["direction"];
  readonly responseCode: string;
  /** Sum over the series, by metric name: a counter's value, a histogram's sum. */
  readonly values: Map<string, number>;
}

/** One row for each direction and response code, inbound first. `reporter` tells the direction, as in Istio. */
export function requestStatistics(prometheus: string): RequestStatistics[] {
  const series = new Map<string, Series>();
  for (const family of parseExposition(prometheus)) {
    for (const { labels, value } of totals(family)) {
      const responseCode = labelValue(labels, "response_code");
      // The series of TCP connections have none.
      if (responseCode === undefined) continue;
      const direction = labelValue(labels, "reporter") === "destination" ? "inbound" : "outbound";
      const key = `${direction} ${responseCode}`;
      const entry = series.get(key) ?? { direction, responseCode, values: new Map() };
      series.set(key, entry);
      entry.values.set(family.name, (entry.values.get(family.name) ?? 0) + value);
    }
  }
  return [...series.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, entry]) => row(entry));
}

function totals(family: MetricFamily) {
  if (family.type !== "histogram") return family.samples;
  return family.samples.map(({ labels, sum }) => ({ labels, value: sum }));
}

function row({ direction, responseCode, values }: Series): RequestStatistics {
  const sum = (metric: string) => values.get(metric) ?? 0;
  const requests = sum("istio_requests_total");
  return {
    direction,
    responseCode,
    requests,
    meanDurationMs: requests === 0 ? 0 : sum("istio_request_duration_milliseconds") / requests,
    requestBytes: sum("istio_request_bytes"),
    responseBytes: sum("istio_response_bytes"),
  };
}
