import { describe, expect, test } from "bun:test";
import { renderStats, statsJson } from "../../src/telemetry/envoy-stats.ts";
import type { MetricFamily } from "../../src/telemetry/metric-family.ts";

const FAMILIES: MetricFamily[] = [
  { type: "gauge", name: "server.live", help: "", samples: [{ labels: [], value: 1 }] },
  {
    type: "counter",
    name: "istio_requests_total",
    help: "",
    samples: [
      {
        labels: [
          ["reporter", "source"],
          ["response_code", "200"],
        ],
        value: 3,
      },
      {
        labels: [
          ["reporter", "source"],
          ["response_code", "503"],
        ],
        value: 0,
      },
    ],
  },
  {
    type: "histogram",
    name: "istio_request_bytes",
    help: "",
    bounds: [1, 10],
    samples: [
      { labels: [["reporter", "source"]], counts: [0, 4, 0], sum: 20 },
      { labels: [["reporter", "destination"]], counts: [0, 0, 0], sum: 0 },
    ],
  },
];

describe("renderStats", () => {
  test("is one line a stat, sorted", () => {
    expect(renderStats(FAMILIES, {})).toBe(
      "istiocustom.istio_request_bytes.reporter.destination: No recorded values\n" +
        "istiocustom.istio_request_bytes.reporter.source: P0(nan,1) P25(nan,3.25) P50(nan,5.5) P75(nan,7.75) P90(nan,9.1) " +
        "P95(nan,9.55) P99(nan,9.91) P99.5(nan,9.955) P99.9(nan,9.991) P100(nan,10)\n" +
        "istiocustom.istio_requests_total.reporter.source.response_code.200: 3\n" +
        "istiocustom.istio_requests_total.reporter.source.response_code.503: 0\n" +
        "server.live: 1\n",
    );
  });

  test.each([
    ["a filter", { filter: /live$/ }, "server.live: 1\n"],
    [
      "used ones of a filter",
      { filter: /total/, usedOnly: true },
      "istiocustom.istio_requests_total.reporter.source.response_code.200: 3\n",
    ],
    ["nothing", { filter: /nothing/ }, ""],
  ])("selects by %s", (_name, selection, text) => {
    expect(renderStats(FAMILIES, selection)).toBe(text);
  });
});

test("statsJson has Envoy's shape", () => {
  expect(statsJson(FAMILIES, { usedOnly: true })).toMatchObject({
    stats: [
      { name: "istiocustom.istio_requests_total.reporter.source.response_code.200", value: 3 },
      { name: "server.live", value: 1 },
      {
        histograms: {
          supported_quantiles: [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100],
          computed_quantiles: [{ name: "istiocustom.istio_request_bytes.reporter.source" }],
        },
      },
    ],
  });
});
