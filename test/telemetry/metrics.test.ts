import { describe, expect, test } from "bun:test";
import type { Direction, RequestRecord } from "../../src/proxy/record.ts";
import { labelValue, type MetricFamily, type ScalarSample } from "../../src/telemetry/metric-family.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { renderExposition } from "../../src/telemetry/prometheus.ts";
import { workloadFromEnvironment } from "../../src/telemetry/workload.ts";
import { expectGolden } from "../golden.ts";
import { httpRecord, tcpRecord } from "./sample-record.ts";

const WORKLOAD = workloadFromEnvironment({
  POD_NAMESPACE: "demo",
  ISTIO_META_WORKLOAD_NAME: "httpbin",
  ISTIO_META_CLUSTER_ID: "Kubernetes",
  ISTIO_METAJSON_LABELS: '{"app":"bin","version":"v1"}',
});

/** The article's three requests, one outbound request, a failure and an opaque connection each way. */
function busyMetrics(): Metrics {
  const metrics = new Metrics(WORKLOAD);
  metrics.record(httpRecord());
  metrics.record(httpRecord({ method: "POST", bytesReceived: 15, bytesSent: 700, durationMs: 3.5 }));
  metrics.record(httpRecord({ responseCode: 429, bytesSent: 0, durationMs: 0.25 }));
  metrics.record(httpRecord({ direction: "outbound", upstreamCluster: "PassthroughCluster", durationMs: 6_001 }));
  metrics.record(httpRecord({ responseCode: 503, responseFlag: "UF", upstreamHost: "" }));
  metrics.record(httpRecord({ direction: "listen", upstreamCluster: "target" }));
  metrics.tcpOpened("inbound", "InboundPassthroughCluster");
  metrics.tcpOpened("outbound", "PassthroughCluster");
  metrics.record(tcpRecord());
  metrics.counters.connectionsActive = 2;
  metrics.counters.loopsDetected++;
  return metrics;
}

function samples(metrics: Metrics, name: string): readonly ScalarSample[] {
  const family = metrics.families().find((one: MetricFamily) => one.name === name);
  return family === undefined || family.type === "histogram" ? [] : family.samples;
}

test("a POST and an opaque connection show as in the golden file", () => {
  const metrics = new Metrics(WORKLOAD);
  metrics.record(httpRecord({ method: "POST", bytesReceived: 15, durationMs: 3.5 }));
  metrics.tcpOpened("outbound", "PassthroughCluster");
  metrics.record(tcpRecord());
  expectGolden("metrics-traffic.txt", renderExposition(metrics.families()));
});

test("an idle proxy shows its own counters only", () => {
  expectGolden("metrics-idle.txt", renderExposition(new Metrics(WORKLOAD).families()));
});

test("promtool finds nothing but Istio's unit and the lack of one", async () => {
  const promtool = Bun.spawn(["promtool", "check", "metrics"], { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  promtool.stdin.write(renderExposition(busyMetrics().families()));
  promtool.stdin.end();
  const remarks = `${await promtool.stdout.text()}${await promtool.stderr.text()}`;
  expect(remarks.trim()).toBe('istio_request_duration_milliseconds use base unit "seconds" instead of "milliseconds"');
});

describe("labels", () => {
  test.each<[string, Partial<RequestRecord>, Record<string, string>]>([
    [
      "inbound",
      {},
      {
        reporter: "destination",
        source_workload: "unknown",
        destination_workload: "httpbin",
        destination_workload_namespace: "demo",
        destination_app: "bin",
        destination_version: "v1",
        destination_canonical_service: "bin",
        destination_canonical_revision: "v1",
        destination_cluster: "Kubernetes",
        destination_service: "unknown",
        destination_service_name: "InboundPassthroughCluster",
        destination_service_namespace: "demo",
        request_protocol: "http",
        response_code: "200",
        response_flags: "-",
        connection_security_policy: "none",
      },
    ],
    [
      "outbound",
      { direction: "outbound", upstreamCluster: "PassthroughCluster" },
      {
        reporter: "source",
        source_workload: "httpbin",
        source_workload_namespace: "demo",
        source_app: "bin",
        source_cluster: "Kubernetes",
        destination_workload: "unknown",
        destination_service_name: "PassthroughCluster",
        destination_service_namespace: "unknown",
        connection_security_policy: "unknown",
      },
    ],
    ["a failure", { responseCode: 0, responseFlag: "DC" }, { response_code: "0", response_flags: "DC" }],
    ["a code that no status can be", { responseCode: 12_345 }, { response_code: "0" }],
    ["no cluster", { upstreamCluster: "" }, { destination_service_name: "unknown" }],
    ["a nameless inbound cluster", { upstreamCluster: "inbound|80||" }, { destination_service_name: "unknown" }],
    [
      "a service's cluster",
      { direction: "outbound", upstreamCluster: "outbound|80||reviews.shop.svc.cluster.local" },
      {
        destination_service: "reviews.shop.svc.cluster.local",
        destination_service_name: "reviews",
        destination_service_namespace: "shop",
      },
    ],
    [
      "a target",
      { direction: "listen", upstreamCluster: "target" },
      { reporter: "destination", destination_service_name: "target" },
    ],
  ])("%s", (_name, fields, want) => {
    const metrics = new Metrics(WORKLOAD);
    metrics.record(httpRecord(fields));
    const { labels } = samples(metrics, "istio_requests_total")[0]!;
    expect(Object.fromEntries(labels)).toMatchObject(want);
  });

  test("stand in Istio's order, complete", () => {
    const names = samples(busyMetrics(), "istio_requests_total")[0]!.labels.map(([name]) => name);
    expect(names).toEqual(
      (
        "reporter source_workload source_canonical_service source_canonical_revision source_workload_namespace " +
        "source_principal source_app source_version source_cluster destination_workload destination_workload_namespace " +
        "destination_principal destination_app destination_version destination_service destination_canonical_service " +
        "destination_canonical_revision destination_service_name destination_service_namespace destination_cluster " +
        "request_protocol response_code response_flags connection_security_policy"
      ).split(" "),
    );
    const tcp = samples(busyMetrics(), "istio_tcp_connections_closed_total")[0]!.labels.map(([name]) => name);
    expect(tcp).toEqual(names.filter((name) => name !== "response_code"));
  });
});

describe("counting", () => {
  test("TCP: opened, closed and bytes meet in one series", () => {
    const metrics = new Metrics(WORKLOAD);
    metrics.tcpOpened("outbound", "PassthroughCluster");
    metrics.record(tcpRecord());
    for (const [name, value] of [
      ["istio_tcp_connections_opened_total", 1],
      ["istio_tcp_connections_closed_total", 1],
      ["istio_tcp_received_bytes_total", 517],
      ["istio_tcp_sent_bytes_total", 4_096],
    ] as const) {
      expect(samples(metrics, name).map((sample) => sample.value)).toEqual([value]);
    }
    expect(samples(metrics, "istio_requests_total")).toEqual([]);
  });

  test("clusters with the same labels share a series, so that no label set is shown twice", () => {
    const metrics = new Metrics(WORKLOAD);
    for (const upstreamCluster of ["inbound|80||", "inbound|81||", "inbound|80||"])
      metrics.record(httpRecord({ upstreamCluster }));
    metrics.record(httpRecord({ direction: "listen", upstreamCluster: "inbound|82||" }));
    expect(samples(metrics, "istio_requests_total").map((sample) => sample.value)).toEqual([4]);
  });

  test("the number of series is limited, and what is left out is counted", () => {
    const metrics = new Metrics(WORKLOAD, { maxSeries: 3 });
    for (let code = 200; code < 210; code++) metrics.record(httpRecord({ responseCode: code }));
    metrics.record(httpRecord({ responseCode: 200 }));
    metrics.record(httpRecord({ upstreamCluster: "another" }));
    metrics.tcpOpened("outbound", "PassthroughCluster");
    metrics.record(tcpRecord());
    const codes = samples(metrics, "istio_requests_total").map(({ labels, value }) => [
      labelValue(labels, "response_code"),
      value,
    ]);
    expect(codes).toEqual([
      ["200", 2],
      ["201", 1],
      ["202", 1],
    ]);
    expect(samples(metrics, "agent_series_dropped_total")[0]!.value).toBe(10);
  });

  test.each<Direction>(["inbound", "outbound", "listen"])("%s connections are counted when they open", (direction) => {
    const metrics = new Metrics(WORKLOAD);
    metrics.tcpOpened(direction, "outbound|9000||db.example");
    metrics.tcpOpened(direction, "outbound|9000||db.example");
    metrics.record(tcpRecord({ direction, upstreamCluster: "outbound|9000||db.example" }));
    const opened = samples(metrics, "istio_tcp_connections_opened_total");
    expect(opened.map((sample) => sample.value)).toEqual([2]);
    const [closed] = samples(metrics, "istio_tcp_connections_closed_total").filter((sample) => sample.value > 0);
    expect(opened[0]!.labels).toEqual(closed!.labels);
  });
});
