// The proxy's request metrics, from the Prometheus text it serves to the few numbers of the demo's table. Pure.
import type { RequestStatistics } from "./scene.ts";

const SAMPLE = /^(istio_[a-z_]+)\{(.*)\} (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** Series of the proxy's metrics are told apart by these two. */
interface Series {
  readonly direction: RequestStatistics["direction"];
  readonly responseCode: string;
  /** Sum over the series, by metric name. */
  readonly values: Map<string, number>;
}

/** One row for each direction and response code, inbound first. `reporter` tells the direction, as in Istio. */
export function requestStatistics(prometheus: string): RequestStatistics[] {
  const series = new Map<string, Series>();
  for (const line of prometheus.split("\n")) {
    const [, metric, labelText, value] = SAMPLE.exec(line) ?? [];
    if (metric === undefined) continue;
    const labels = new Map([...labelText!.matchAll(LABEL)].map(([, name, text]) => [name!, text!]));
    const responseCode = labels.get("response_code");
    // The series of TCP connections have none.
    if (responseCode === undefined) continue;
    const direction = labels.get("reporter") === "destination" ? "inbound" : "outbound";
    const key = `${direction} ${responseCode}`;
    const entry = series.get(key) ?? { direction, responseCode, values: new Map() };
    series.set(key, entry);
    entry.values.set(metric, (entry.values.get(metric) ?? 0) + Number(value));
  }
  return [...series.entries()].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, entry]) => row(entry));
}

function row({ direction, responseCode, values }: Series): RequestStatistics {
  const sum = (metric: string) => values.get(metric) ?? 0;
  const requests = sum("istio_requests_total");
  return {
    direction,
    responseCode,
    requests,
    meanDurationMs: requests === 0 ? 0 : sum("istio_request_duration_milliseconds_sum") / requests,
    requestBytes: sum("istio_request_bytes_sum"),
    responseBytes: sum("istio_response_bytes_sum"),
  };
}
