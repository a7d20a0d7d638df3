import { expect, test } from "bun:test";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { parseExposition, renderExposition } from "../../src/telemetry/prometheus.ts";
import { renderTrafficTable, summarizeTraffic } from "../../src/telemetry/stats-table.ts";
import { workloadFromEnvironment } from "../../src/telemetry/workload.ts";
import { httpRecord, tcpRecord } from "./sample-record.ts";

function traffic(): Metrics {
  const metrics = new Metrics(workloadFromEnvironment({}));
  metrics.record(httpRecord({ durationMs: 3 }));
  metrics.record(httpRecord({ durationMs: 3, bytesReceived: 15, responseCode: 429 }));
  metrics.record(httpRecord({ durationMs: 3, responseCode: 503, responseFlag: "UF", bytesSent: 20 }));
  metrics.record(httpRecord({ durationMs: 3, responseCode: 0, responseFlag: "DC", bytesSent: 0 }));
  metrics.record(httpRecord({ direction: "outbound", durationMs: 6_001, bytesSent: 3 * 1024 * 1024 }));
  metrics.tcpOpened("outbound", "PassthroughCluster");
  metrics.record(tcpRecord());
  return metrics;
}

test("rows add up over the series of a direction, also of another process' scrape", () => {
  const rows = summarizeTraffic(traffic().families());
  expect(rows).toMatchObject([
    {
      direction: "inbound",
      protocol: "http",
      requests: 4,
      successRate: 0.5,
      p50: 3,
      bytesReceived: 15,
      bytesSent: 1036,
    },
    { direction: "outbound", protocol: "http", requests: 1, successRate: 1, p99: 9950, bytesSent: 3 * 1024 * 1024 },
    {
      direction: "outbound",
      protocol: "tcp",
      requests: 1,
      successRate: undefined,
      bytesReceived: 517,
      bytesSent: 4096,
    },
  ]);
  expect(summarizeTraffic(parseExposition(renderExposition(traffic().families())))).toEqual(rows);
});

test("no traffic gives no rows", () => {
  expect(summarizeTraffic(new Metrics(workloadFromEnvironment({})).families())).toEqual([]);
  expect(summarizeTraffic([])).toEqual([]);
});

test("the table lines up", () => {
  expect(renderTrafficTable(summarizeTraffic(traffic().families()))).toBe(
    [
      "DIRECTION  PROTOCOL  REQUESTS  SUCCESS  LATENCY_P50  LATENCY_P95  LATENCY_P99  RECEIVED    SENT",
      "inbound    http             4   50.00%          3ms        4.8ms          5ms       15B  1.0KiB",
      "outbound   http             1  100.00%       7500ms       9750ms       9950ms        0B  3.0MiB",
      "outbound   tcp              1        -            -            -            -      517B  4.0KiB",
      "",
    ].join("\n"),
  );
});
