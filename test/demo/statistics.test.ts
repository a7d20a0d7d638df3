// The demo's reading of the proxy's Prometheus text.

import { expect, test } from "bun:test";
import { requestStatistics } from "../../src/demo/statistics.ts";

const labels = (reporter: string, code: string, app: string) =>
  `reporter="${reporter}",source_workload="${app}",response_code="${code}",response_flags="-"`;

const TEXT = [
  "# HELP istio_requests_total Requests.",
  "# TYPE istio_requests_total counter",
  `istio_requests_total{${labels("source", "200", "unknown")}} 1`,
  `istio_requests_total{${labels("destination", "429", "unknown")}} 1`,
  `istio_requests_total{${labels("destination", "200", 'a\\"}b')}} 1`,
  `istio_requests_total{${labels("destination", "200", "unknown")}} 1`,
  "# TYPE istio_request_duration_milliseconds histogram",
  `istio_request_duration_milliseconds_bucket{${labels("destination", "200", "unknown")},le="5"} 2`,
  `istio_request_duration_milliseconds_sum{${labels("destination", "200", "unknown")}} 5`,
  `istio_request_duration_milliseconds_count{${labels("destination", "200", "unknown")}} 2`,
  "# TYPE istio_request_bytes histogram",
  `istio_request_bytes_sum{${labels("destination", "200", "unknown")}} 15`,
  `istio_request_bytes_count{${labels("destination", "200", "unknown")}} 2`,
  "# TYPE istio_response_bytes histogram",
  `istio_response_bytes_sum{${labels("destination", "200", "unknown")}} 8.56e+02`,
  `istio_response_bytes_count{${labels("destination", "200", "unknown")}} 2`,
  "# TYPE istio_tcp_sent_bytes_total counter",
  'istio_tcp_sent_bytes_total{reporter="destination"} 9',
  "# TYPE envoy_cluster_upstream_rq_total counter",
  'envoy_cluster_upstream_rq_total{response_code="200"} 7',
  "",
].join("\n");

test("one row a direction and code, inbound first, summed over the other labels", () => {
  expect(requestStatistics(TEXT)).toEqual([
    {
      direction: "inbound",
      responseCode: "200",
      requests: 2,
      meanDurationMs: 2.5,
      requestBytes: 15,
      responseBytes: 856,
    },
    { direction: "inbound", responseCode: "429", requests: 1, meanDurationMs: 0, requestBytes: 0, responseBytes: 0 },
    { direction: "outbound", responseCode: "200", requests: 1, meanDurationMs: 0, requestBytes: 0, responseBytes: 0 },
  ]);
});

test("no traffic, no rows", () => expect(requestStatistics("# EOF\n")).toEqual([]));
