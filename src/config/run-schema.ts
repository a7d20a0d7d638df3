// The settings of `agent run`: the capture of `init` and the proxy's, in one command line. Pure.
// Where both have a word for the same thing (ports, user), there is one setting, and the rules follow the proxy.
import * as v from "valibot";
import { PRESETS } from "../netfilter/capture-config.ts";
import type { ParsedFlags } from "./flags.ts";
import { CaptureEntries, type CaptureSettings, LoggingEntries, UnsupportedEntries } from "./init-schema.ts";
import { checkListeners } from "./proxy-checks.ts";
import { ProxySchema } from "./proxy-schema.ts";
import type { Given } from "./resolve.ts";
import { settingsOf } from "./setting.ts";
import { Port } from "./units.ts";

/** The part of `init` that the proxy's settings do not already say. */
const {
  preset: _preset,
  inboundPort: _inboundPort,
  outboundPort: _outboundPort,
  proxyUids: _proxyUids,
  proxyGids: _proxyGids,
  proxyUser: _proxyUser,
  ...captureEntries
} = CaptureEntries;

/** A proxy that captures has no use for being addressed. */
const { listen: _listen, target: _target, ...proxyEntries } = ProxySchema.entries;

/** The configuration file is the proxy's, which would refuse what is not its own. */
function flagOnly<E extends v.ObjectEntries>(entries: E): E {
  const marked = Object.entries(entries).map(([key, entry]) => [
    key,
    v.pipe(entry as v.GenericSchema, v.metadata({ flagOnly: true })),
  ]);
  return Object.fromEntries(marked) as E;
}

export const RunSchema = v.pipe(
  v.strictObject({
    ...flagOnly({
      preset: v.pipe(
        v.optional(v.picklist(["sidecar", "vm"], "must be sidecar or vm"), "vm"),
        v.description("vm: everything but SSH and the proxy's own ports; sidecar: SSH too. Other flags override it."),
        v.metadata({ flag: "preset", value: "sidecar|vm", group: "What is captured" }),
      ),
      ...captureEntries,
      envoyPort: v.pipe(
        v.optional(Port),
        v.description("Another name of --outbound-port, as init has it."),
        v.metadata({
          flag: "envoy-port",
          short: "p",
          env: ["ENVOY_PORT"],
          value: "PORT",
          group: "Ports",
          hidden: true,
        }),
      ),
      inboundCapturePort: v.pipe(
        v.optional(Port),
        v.description("Another name of --inbound-port, as init has it."),
        v.metadata({
          flag: "inbound-capture-port",
          short: "z",
          env: ["INBOUND_CAPTURE_PORT"],
          value: "PORT",
          group: "Ports",
          hidden: true,
        }),
      ),
      ...UnsupportedEntries,
      ...LoggingEntries,
    }),
    ...proxyEntries,
    proxyUid: v.pipe(proxyEntries.proxyUid, v.metadata({ short: "u" })),
    proxyGid: v.pipe(proxyEntries.proxyGid, v.metadata({ short: "g" })),
    role: v.pipe(
      v.optional(v.picklist(["supervisor", "guardian"], "must be supervisor or guardian"), "supervisor"),
      v.description("Which of the processes of the command this is."),
      v.metadata({ flag: "role", value: "ROLE", hidden: true, flagOnly: true }),
    ),
  }),
  checkListeners(),
);
export type RunConfig = v.InferOutput<typeof RunSchema>;

type GivenNames = ReadonlyMap<string, Given>;

/** The settings of `init`, those that are refused by name included. */
type RunCapture = CaptureSettings & Pick<RunConfig, keyof typeof UnsupportedEntries>;

/** Where rules and proxy meet. */
export interface RunPorts {
  readonly inboundPort: number;
  readonly outboundPort: number;
}

/** The ports under either of their names, or what is wrong with them. */
export function runPorts(config: RunConfig, given: GivenNames): RunPorts | { readonly problems: string[] } {
  const inboundPort = agreed(config, given, "inboundPort", "inboundCapturePort");
  const outboundPort = agreed(config, given, "outboundPort", "envoyPort");
  if (typeof inboundPort === "number" && typeof outboundPort === "number") return { inboundPort, outboundPort };
  return { problems: [inboundPort, outboundPort].filter((port) => typeof port === "string") };
}

function agreed(
  config: RunConfig,
  given: GivenNames,
  key: "inboundPort" | "outboundPort",
  alias: "inboundCapturePort" | "envoyPort",
): number | string {
  const [name, otherName] = [given.get(key)?.name, given.get(alias)?.name];
  const other = config[alias];
  if (other !== undefined && name !== undefined && other !== config[key]) {
    return `${name} and ${otherName} are one port under two names: give one of them`;
  }
  const port = other ?? config[key];
  return port === 0 ? `${otherName ?? name} 0: the rules need a port of the proxy to lead to` : port;
}

/**
 * What `init` would have been told, and by whom. A preset excludes the proxy's default ports: here they are the real ones,
 * unless the person decided, or captures named ports only.
 */
export function runCapture(
  config: RunConfig,
  given: GivenNames,
  ports: RunPorts,
): { readonly settings: RunCapture; readonly given: GivenNames } {
  const settings: RunCapture = {
    ...config,
    ...ports,
    proxyUids: [config.proxyUid],
    proxyGids: [config.proxyGid],
    proxyUser: "",
  };
  if (given.has("excludeInboundPorts")) return { settings, given };
  const isEveryPort = !given.has("inboundPorts") || config.inboundPorts === "*";
  return {
    settings: { ...settings, excludeInboundPorts: isEveryPort ? exclusions(config) : [] },
    given: new Map([...given, ["excludeInboundPorts", { source: "flag", name: "--preset" }]]),
  };
}

function exclusions(config: RunConfig): number[] {
  const defaults = PRESETS.sidecar.excludeInboundPorts;
  const own = [config.prometheusPort, config.healthPort, config.statusPort].filter((port) => port !== 0);
  return [...own, ...PRESETS[config.preset].excludeInboundPorts.filter((port) => !defaults.includes(port))];
}

/**
 * The flags of `agent proxy` below: those of its settings that were given as flags, and what it has to agree on with the
 * rules. Files and variables it reads itself.
 */
export function proxyFlags(config: RunConfig, flags: ParsedFlags["values"], ports: RunPorts): string[] {
  const agreedOn = new Map<string, number>(
    Object.entries({ ...ports, proxyUid: config.proxyUid, proxyGid: config.proxyGid }),
  );
  return settingsOf(ProxySchema).flatMap(({ key, flag }) => {
    const value = agreedOn.get(key) ?? flags.get(key)?.text;
    return flag === undefined || value === undefined ? [] : [`--${flag}=${value}`];
  });
}
