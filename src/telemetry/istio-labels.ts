// The labels of Istio's standard metrics, complete and in Istio's order. Pure.
// No value comes from a request: a client must not be able to make up series.
import type { Direction } from "../proxy/record.ts";
import type { Labels } from "./metric-family.ts";
import { UNKNOWN, type Workload } from "./workload.ts";

/** The labels up to the destination, alike for all series of one direction and cluster; `request_protocol` and later ones follow. */
export function istioLabels(workload: Workload, direction: Direction, cluster: string): Labels {
  const isSource = direction === "outbound";
  const service = serviceOf(cluster);
  const source = isSource ? workload : undefined;
  const destination = isSource ? undefined : workload;
  return [
    ["reporter", isSource ? "source" : "destination"],
    ["source_workload", source?.workload ?? UNKNOWN],
    ["source_canonical_service", source?.canonicalService ?? UNKNOWN],
    ["source_canonical_revision", source?.canonicalRevision ?? UNKNOWN],
    ["source_workload_namespace", source?.namespace ?? UNKNOWN],
    ["source_principal", UNKNOWN],
    ["source_app", source?.app ?? UNKNOWN],
    ["source_version", source?.version ?? UNKNOWN],
    ["source_cluster", source?.cluster ?? UNKNOWN],
    ["destination_workload", destination?.workload ?? UNKNOWN],
    ["destination_workload_namespace", destination?.namespace ?? UNKNOWN],
    ["destination_principal", UNKNOWN],
    ["destination_app", destination?.app ?? UNKNOWN],
    ["destination_version", destination?.version ?? UNKNOWN],
    ["destination_service", service.host],
    ["destination_canonical_service", destination?.canonicalService ?? UNKNOWN],
    ["destination_canonical_revision", destination?.canonicalRevision ?? UNKNOWN],
    ["destination_service_name", service.name],
    ["destination_service_namespace", service.namespace ?? destination?.namespace ?? UNKNOWN],
    ["destination_cluster", destination?.cluster ?? UNKNOWN],
  ];
}

/** Istio's security label: what arrives is plain text; of what leaves, only the other side could tell. */
export function securityPolicy(direction: Direction): string {
  return direction === "outbound" ? UNKNOWN : "none";
}

/**
 * `outbound|80||reviews.default.svc.cluster.local` names a host, whose first two parts are service and namespace;
 * `inbound|80||` names none; any other cluster (`PassthroughCluster`, a `--target`) is itself the service's name.
 */
function serviceOf(cluster: string): { host: string; name: string; namespace: string | undefined } {
  if (cluster === "") return { host: UNKNOWN, name: UNKNOWN, namespace: undefined };
  if (!cluster.includes("|")) return { host: UNKNOWN, name: cluster, namespace: undefined };
  const host = cluster.slice(cluster.lastIndexOf("|") + 1);
  if (host === "") return { host: UNKNOWN, name: UNKNOWN, namespace: undefined };
  const [name, namespace] = host.includes(".svc.") ? host.split(".") : [host, undefined];
  return { host, name: name!, namespace };
}
