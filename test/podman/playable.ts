// Turns a manifest into the copy that podman 4.3 can play, and says what was changed. PURE. Not a Kubernetes: what podman lacks
// (services, probes, some downward-API fields) is left out, never imitated. Called by podman.ts.
import { parseAllDocuments, stringify } from "yaml";

/** The few fields of a container that are looked at; everything else is passed on untouched. */
interface Container {
  name: string;
  image: string;
  ports?: { hostPort?: number }[];
  env?: { name: string; valueFrom?: { fieldRef?: { fieldPath: string } } }[];
  readinessProbe?: unknown;
  livenessProbe?: unknown;
  startupProbe?: unknown;
}
interface Pod {
  kind: string;
  metadata: { name: string; annotations?: Record<string, string> };
  spec: { initContainers?: Container[]; containers: Container[]; restartPolicy?: string };
}

export interface Playable {
  /** YAML for `podman kube play`: the pod alone. */
  readonly yaml: string;
  readonly podName: string;
  /** One sentence per change, in the manifest's order. */
  readonly changes: readonly string[];
}

/** podman's own name for "keep the finished init container": without it the rules in its log are gone. */
const KEEP_INIT = "io.podman.annotations.init.container.type";
/** What podman 4.3 knows of the downward API. */
const KNOWN_FIELDS = /^metadata\.(name$|uid$|labels\[|annotations\[)/;
const PROBES = ["readinessProbe", "livenessProbe", "startupProbe"] as const;

/** `images`: what stands in for an image that a machine without a registry cannot have. */
export function playable(manifest: string, images: Readonly<Record<string, string>>): Playable {
  const changes: string[] = [];
  const pods: Pod[] = [];
  for (const document of parseAllDocuments(manifest)) {
    const resource = document.toJS() as Pod;
    if (resource.kind === "Pod") pods.push(resource);
    else changes.push(`${resource.kind} ${resource.metadata.name}: left out, podman has no such thing`);
  }
  const [pod] = pods;
  if (!pod || pods.length > 1) throw new Error(`the manifest has ${pods.length} pods, one can be played`);
  const { metadata, spec } = pod;
  if (spec.initContainers?.length) {
    metadata.annotations = { ...metadata.annotations, [KEEP_INIT]: "always" };
    if ((spec.restartPolicy ?? "Always") === "Always") {
      spec.restartPolicy = "Never";
      changes.push("restartPolicy: Never, since under Always podman starts a finished init container again and again");
    }
  }
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) adapt(container, images, changes);
  return { yaml: stringify(pod), podName: metadata.name, changes };
}

function adapt(container: Container, images: Readonly<Record<string, string>>, changes: string[]): void {
  const { name } = container;
  const standIn = images[container.image];
  if (standIn) {
    changes.push(`${name}: image ${standIn} in place of ${container.image}`);
    container.image = standIn;
  }
  for (const probe of PROBES) {
    if (!container[probe]) continue;
    delete container[probe];
    changes.push(`${name}: ${probe} left out, podman cannot run httpGet probes`);
  }
  if (container.ports?.some((port) => !port.hostPort)) {
    container.ports = container.ports.filter((port) => port.hostPort);
    changes.push(`${name}: containerPort left out, podman would publish it on the host`);
  }
  container.env = (container.env ?? []).filter((variable) => {
    const field = variable.valueFrom?.fieldRef?.fieldPath;
    if (!field || KNOWN_FIELDS.test(field)) return true;
    changes.push(`${name}: ${variable.name} left out, podman does not know ${field}`);
    return false;
  });
}
