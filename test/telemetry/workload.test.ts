import { describe, expect, test } from "bun:test";
import { workloadFromEnvironment } from "../../src/telemetry/workload.ts";

const UNKNOWN = {
  workload: "unknown",
  namespace: "unknown",
  cluster: "unknown",
  app: "unknown",
  version: "unknown",
  canonicalService: "unknown",
  canonicalRevision: "unknown",
};

describe("workloadFromEnvironment", () => {
  test.each([
    ["nothing", {}, {}],
    ["empty variables", { POD_NAME: "", POD_NAMESPACE: "", ISTIO_METAJSON_LABELS: "" }, {}],
    [
      "a pod",
      { POD_NAME: "httpbin-x", POD_NAMESPACE: "demo", ISTIO_META_CLUSTER_ID: "Kubernetes" },
      {
        workload: "httpbin-x",
        namespace: "demo",
        cluster: "Kubernetes",
        canonicalService: "httpbin-x",
        canonicalRevision: "latest",
      },
    ],
    [
      "a deployment's pod",
      { POD_NAME: "httpbin-x", ISTIO_META_WORKLOAD_NAME: "httpbin" },
      { workload: "httpbin", canonicalService: "httpbin", canonicalRevision: "latest" },
    ],
    [
      "labels app and version",
      { ISTIO_METAJSON_LABELS: '{"app":"bin","version":"v2","n":1}' },
      { app: "bin", version: "v2", canonicalService: "bin", canonicalRevision: "v2" },
    ],
    [
      "better labels than app and version",
      {
        ISTIO_METAJSON_LABELS:
          '{"app":"a","version":"v","app.kubernetes.io/name":"k","app.kubernetes.io/version":"w","service.istio.io/canonical-name":"c"}',
      },
      { app: "a", version: "v", canonicalService: "c", canonicalRevision: "w" },
    ],
    [
      "said outright",
      { CANONICAL_SERVICE: "s", CANONICAL_REVISION: "r", ISTIO_METAJSON_LABELS: '{"app":"a"}' },
      { app: "a", canonicalService: "s", canonicalRevision: "r" },
    ],
    ["labels that are no JSON", { ISTIO_METAJSON_LABELS: "app=a" }, {}],
    ["labels that are no object", { ISTIO_METAJSON_LABELS: "null" }, {}],
  ])("%s", (_name, environment, known) => {
    expect(workloadFromEnvironment(environment)).toEqual({ ...UNKNOWN, ...known });
  });
});
