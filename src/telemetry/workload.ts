// Who the proxied application is, as far as that is known without a control plane. Pure.
// From the environment that Istio's injector gives the proxy container; ends up in metric labels and /server_info.

export const UNKNOWN = "unknown";

/** Every field is `unknown` when nobody said. */
export interface Workload {
  readonly workload: string;
  readonly namespace: string;
  readonly cluster: string;
  readonly app: string;
  readonly version: string;
  readonly canonicalService: string;
  readonly canonicalRevision: string;
}

/** Labels that name a canonical service and its revision, best first (Istio's order). */
const SERVICE_LABELS = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"];
const REVISION_LABELS = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"];

/**
 * ISTIO_META_WORKLOAD_NAME (else POD_NAME), POD_NAMESPACE, ISTIO_META_CLUSTER_ID, CANONICAL_SERVICE and
 * CANONICAL_REVISION, and the pod's labels in ISTIO_METAJSON_LABELS (a JSON object; ignored when it is none).
 */
export function workloadFromEnvironment(environment: Readonly<Record<string, string | undefined>>): Workload {
  const labels = podLabels(environment["ISTIO_METAJSON_LABELS"]);
  const workload = environment["ISTIO_META_WORKLOAD_NAME"] || environment["POD_NAME"] || UNKNOWN;
  const canonicalService = environment["CANONICAL_SERVICE"] || firstLabel(labels, SERVICE_LABELS) || workload;
  const isKnown = canonicalService !== UNKNOWN;
  return {
    workload,
    namespace: environment["POD_NAMESPACE"] || UNKNOWN,
    cluster: environment["ISTIO_META_CLUSTER_ID"] || UNKNOWN,
    app: labels.get("app") || UNKNOWN,
    version: labels.get("version") || UNKNOWN,
    canonicalService,
    canonicalRevision:
      environment["CANONICAL_REVISION"] || firstLabel(labels, REVISION_LABELS) || (isKnown ? "latest" : UNKNOWN),
  };
}

function firstLabel(labels: ReadonlyMap<string, string>, names: readonly string[]): string | undefined {
  return names.map((name) => labels.get(name)).find((value) => value !== undefined && value !== "");
}

function podLabels(json: string | undefined): ReadonlyMap<string, string> {
  const labels = new Map<string, string>();
  try {
    const parsed: unknown = JSON.parse(json || "{}");
    if (typeof parsed === "object" && parsed !== null) {
      for (const [name, value] of Object.entries(parsed)) if (typeof value === "string") labels.set(name, value);
    }
  } catch {
    // Metadata only: a proxy must not stay down because of it.
  }
  return labels;
}
