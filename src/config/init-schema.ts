// The settings of `init`: Istio's istio-iptables flags with their variables and defaults, and a few of ours. Pure.
// `rules` shares CaptureEntries, so that both plan from the same words; captureOf makes the plan's input of them.
import * as v from "valibot";
import { CAPTURE_DEFAULTS, type CaptureConfig, PRESETS } from "../netfilter/capture-config.ts";
import { type Cidr, parseCidr } from "../netfilter/cidr.ts";
import { Bool, IdCsv, Port, PortCsv, PortCsvOrAll, Text } from "./units.ts";

/** A schema for text whose message depends on the text: `parse` returns the value, or throws the sentence. */
function parsed<T>(parse: (text: string) => T) {
  return v.pipe(
    Text,
    v.rawTransform<string, T>(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value);
      } catch (error) {
        addIssue({ message: (error as Error).message });
        return NEVER;
      }
    }),
  );
}

/** Items of a list; empty ones are dropped, as Istio does. */
const items = (text: string): string[] => text.split(",").filter((item) => item !== "");

function cidrs(text: string): Cidr[] {
  return items(text).map((item) => {
    const cidr = parseCidr(item);
    if (cidr !== undefined) return cidr;
    if (item === "*") throw new Error('"*" cannot be one of several, or of exclusions');
    throw new Error(`"${item}" is not an address range such as 10.0.0.0/8 or fd00::/8`);
  });
}

const CidrCsv = parsed(cidrs);
const CidrCsvOrAll = parsed((text) => (text === "*" ? ("*" as const) : cidrs(text)));

/** Longest name of a network interface: IFNAMSIZ less its final zero. */
const MAX_INTERFACE_NAME = 15;

/** Names the kernel accepts (dev_valid_name), less those that iptables would read as something else. */
const InterfaceCsv = parsed((text) =>
  items(text).map((name) => {
    if (name.length > MAX_INTERFACE_NAME) {
      throw new Error(`"${name}" is longer than the ${MAX_INTERFACE_NAME} characters of an interface name`);
    }
    if (/^[\w.@+][\w.@+-]*$/.test(name) && name !== "." && name !== "..") return name;
    throw new Error(`"${name}" is not the name of a network interface such as eth0`);
  }),
);

/** A target of REDIRECT. */
const RedirectPort = v.pipe(
  Port,
  v.check((port) => port > 0, "must be a port number (1-65535)"),
);

/** Istio's bounds: a loopback range of IPv4, 127.0.0.0/8 or part of it. */
const LoopbackCidr = parsed((text) => {
  const cidr = parseCidr(text);
  if (cidr?.family === 4 && cidr.isLoopback && cidr.prefix >= 8) return cidr.text;
  throw new Error("must be a loopback range such as 127.0.0.1/32 or 127.0.0.0/8");
});

/** What is captured, and who asks. Shared by `init` and `rules`. */
export const CaptureEntries = {
  preset: v.pipe(
    v.optional(v.picklist(["sidecar", "vm"], "must be sidecar or vm")),
    v.description(
      "sidecar: what Istio's injector asks for, -b '*' -d 15090,15021,15020 -i '*'; vm: the same without port 22, in both directions. Other flags override it.",
    ),
    v.metadata({ flag: "preset", value: "sidecar|vm", group: "What is captured" }),
  ),
  inboundPorts: v.pipe(
    v.optional(PortCsvOrAll, ""),
    v.description("Inbound ports to capture, or '*' for all; none: no inbound capture."),
    v.metadata({
      flag: "istio-inbound-ports",
      short: "b",
      env: ["ISTIO_INBOUND_PORTS"],
      value: "PORTS",
      group: "What is captured",
    }),
  ),
  excludeInboundPorts: v.pipe(
    v.optional(PortCsv, ""),
    v.description("Inbound ports not to capture; with -b '*' only."),
    v.metadata({
      flag: "istio-local-exclude-ports",
      short: "d",
      env: ["ISTIO_LOCAL_EXCLUDE_PORTS"],
      value: "PORTS",
      group: "What is captured",
    }),
  ),
  outboundCidrs: v.pipe(
    v.optional(CidrCsvOrAll, ""),
    v.description("Outbound destinations to capture, IPv4 and IPv6, or '*' for all; none: no outbound capture."),
    v.metadata({
      flag: "istio-service-cidr",
      short: "i",
      env: ["ISTIO_SERVICE_CIDR"],
      value: "CIDRS",
      group: "What is captured",
    }),
  ),
  excludeOutboundCidrs: v.pipe(
    v.optional(CidrCsv, ""),
    v.description("Outbound destinations not to capture."),
    v.metadata({
      flag: "istio-service-exclude-cidr",
      short: "x",
      env: ["ISTIO_SERVICE_EXCLUDE_CIDR"],
      value: "CIDRS",
      group: "What is captured",
    }),
  ),
  outboundPorts: v.pipe(
    v.optional(PortCsv, ""),
    v.description("Outbound TCP ports to capture whatever the destination."),
    v.metadata({
      flag: "istio-outbound-ports",
      short: "q",
      env: ["ISTIO_OUTBOUND_PORTS"],
      value: "PORTS",
      group: "What is captured",
    }),
  ),
  excludeOutboundPorts: v.pipe(
    v.optional(PortCsv, ""),
    v.description("Outbound ports, TCP and UDP, never to capture."),
    v.metadata({
      flag: "istio-local-outbound-ports-exclude",
      short: "o",
      env: ["ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE"],
      value: "PORTS",
      group: "What is captured",
    }),
  ),
  excludeInterfaces: v.pipe(
    v.optional(InterfaceCsv, ""),
    v.description("Network interfaces with which neither direction is captured."),
    v.metadata({
      flag: "istio-exclude-interfaces",
      short: "c",
      env: ["ISTIO_EXCLUDE_INTERFACES"],
      value: "NICS",
      group: "What is captured",
    }),
  ),
  virtualInterfaces: v.pipe(
    v.optional(InterfaceCsv, ""),
    v.description("Interfaces of virtual machines, whose inbound traffic is treated as outbound."),
    v.metadata({
      flag: "kube-virt-interfaces",
      short: "k",
      env: ["KUBE_VIRT_INTERFACES"],
      value: "NICS",
      group: "What is captured",
    }),
  ),
  loopbackCidr: v.pipe(
    v.optional(LoopbackCidr, CAPTURE_DEFAULTS.loopbackCidr),
    v.description("What counts as localhost in IPv4 and is not captured."),
    v.metadata({ env: ["ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR"], value: "CIDR", group: "What is captured" }),
  ),

  outboundPort: v.pipe(
    v.optional(RedirectPort, "15001"),
    v.description("The proxy's outbound port: where captured outbound connections go."),
    v.metadata({ flag: "envoy-port", short: "p", env: ["ENVOY_PORT"], value: "PORT", group: "The proxy" }),
  ),
  inboundPort: v.pipe(
    v.optional(RedirectPort, "15006"),
    v.description("The proxy's inbound port: where captured inbound connections go."),
    v.metadata({
      flag: "inbound-capture-port",
      short: "z",
      env: ["INBOUND_CAPTURE_PORT"],
      value: "PORT",
      group: "The proxy",
    }),
  ),
  tunnelPort: v.pipe(
    v.optional(RedirectPort, "15008"),
    v.description("The mesh's tunnel port, never redirected."),
    v.metadata({
      flag: "inbound-tunnel-port",
      short: "e",
      env: ["INBOUND_TUNNEL_PORT"],
      value: "PORT",
      group: "The proxy",
    }),
  ),
  proxyUids: v.pipe(
    v.optional(IdCsv, ""),
    v.description("Users whose traffic is the proxy's own; default: the user $ENVOY_USER (istio-proxy), else 1337."),
    v.metadata({ flag: "proxy-uid", short: "u", env: ["PROXY_UID"], value: "UIDS", group: "The proxy" }),
  ),
  proxyGids: v.pipe(
    v.optional(IdCsv, ""),
    v.description("Groups whose traffic is the proxy's own; default: as -u."),
    v.metadata({ flag: "proxy-gid", short: "g", env: ["PROXY_GID"], value: "GIDS", group: "The proxy" }),
  ),
  proxyUser: v.pipe(
    v.optional(Text, "istio-proxy"),
    v.description("The user of /etc/passwd that -u defaults to."),
    v.metadata({ env: ["ENVOY_USER"], value: "USER", group: "The proxy" }),
  ),
  interceptionMode: v.pipe(
    v.optional(Text, ""),
    v.description("REDIRECT."),
    v.metadata({
      flag: "istio-inbound-interception-mode",
      short: "m",
      env: ["ISTIO_INBOUND_INTERCEPTION_MODE"],
      value: "MODE",
      group: "The proxy",
    }),
  ),

  dualStack: v.pipe(
    v.optional(Bool, "false"),
    v.description("Program IPv6 as soon as the host has any usable IPv6 address; otherwise only without an IPv4 one."),
    v.metadata({ flag: "dual-stack", env: ["ISTIO_DUAL_STACK", "DUAL_STACK"], group: "The host" }),
  ),
  ipFamily: v.pipe(
    v.optional(v.picklist(["4", "6", "dual"], "must be 4, 6 or dual")),
    v.description("What the host speaks, whatever its addresses say; IPv4 is programmed in any case."),
    v.metadata({ flag: "ip-family", value: "4|6|dual", group: "The host" }),
  ),
};

/** What the injector passes to every Istio command. Accepted, without effect. */
export const LoggingEntries = {
  logOutputLevel: ignoredText("log_output_level", "LEVELS"),
  logTarget: ignoredText("log_target", "FILE"),
  logCaller: ignoredText("log_caller", "SCOPES"),
  logStacktraceLevel: ignoredText("log_stacktrace_level", "LEVELS"),
  logAsJson: v.pipe(
    v.optional(Bool, "false"),
    v.description("Accepted as Istio's flag; without effect."),
    v.metadata({ flag: "log_as_json", group: "Logging", hidden: true }),
  ),
};

function ignoredText(flag: string, value: string) {
  return v.pipe(
    v.optional(Text, ""),
    v.description("Accepted as Istio's flag; without effect."),
    v.metadata({ flag, value, group: "Logging", hidden: true }),
  );
}

/** Istio's flags that are known by name and refused; see unsupportedSettings. */
export const UnsupportedEntries = {
  tproxyMark: unsupportedText("istio-inbound-tproxy-mark", "MARK", "1337", "t"),
  tproxyRouteTable: unsupportedText("istio-inbound-tproxy-route-table", "TABLE", "133", "r"),
  redirectDns: unsupportedBool("redirect-dns", ["ISTIO_META_DNS_CAPTURE", "REDIRECT_DNS"]),
  captureAllDns: unsupportedBool("capture-all-dns"),
  dropInvalid: unsupportedBool("drop-invalid", ["INVALID_DROP", "DROP_INVALID"]),
  runValidation: unsupportedBool("run-validation"),
  skipRuleApply: unsupportedBool("skip-rule-apply"),
  nativeNftables: unsupportedBool("native-nftables"),
  cniMode: unsupportedBool("cni-mode"),
  reconcile: unsupportedBool("reconcile"),
  forceApply: unsupportedBool("force-apply"),
  forceIptablesBinary: unsupportedText("force-iptables-binary", "legacy|nft", ""),
  networkNamespace: unsupportedText("network-namespace", "PATH", ""),
  probePort: unsupportedText("iptables-probe-port", "PORT", "15002"),
  probeTimeout: unsupportedText("probe-timeout", "DURATION", "5s"),
  ownerGroups: unsupportedVariable("ISTIO_OUTBOUND_OWNER_GROUPS", "*"),
  ownerGroupsExclude: unsupportedVariable("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", ""),
};

/** Istio's main variable of a flag. */
function variableOf(flag: string): string {
  return flag.toUpperCase().replaceAll("-", "_");
}

function unsupportedBool(flag: string, env = [variableOf(flag)]) {
  return v.pipe(
    v.optional(Bool, "false"),
    v.description("Not supported yet."),
    v.metadata({ flag, env, group: "Not supported yet", hidden: true }),
  );
}

function unsupportedText(flag: string, value: string, fallback: string, short?: string) {
  const name = short === undefined ? { flag } : { flag, short };
  return v.pipe(
    v.optional(Text, fallback),
    v.description("Not supported yet."),
    v.metadata({ ...name, env: [variableOf(flag)], value, group: "Not supported yet", hidden: true }),
  );
}

function unsupportedVariable(name: string, fallback: string) {
  return v.pipe(
    v.optional(Text, fallback),
    v.description("Not supported yet."),
    v.metadata({ env: [name], value: "GROUPS", group: "Not supported yet", hidden: true }),
  );
}

export const InitSchema = v.strictObject({
  ...CaptureEntries,
  cleanupOnly: v.pipe(
    v.optional(Bool, "false"),
    v.description("Remove all rules of a sidecar, whatever flags made them, and do nothing else."),
    v.metadata({ flag: "cleanup-only", env: ["CLEANUP_ONLY"], group: "What is done" }),
  ),
  dryRun: v.pipe(
    v.optional(Bool, "false"),
    v.description("Change nothing: print the commands that would make the rules."),
    v.metadata({ flag: "dry-run", short: "n", env: ["DRY_RUN"], group: "What is done" }),
  ),
  output: v.pipe(
    v.optional(v.picklist(["text", "json"], "must be text or json"), "text"),
    v.description("How the resulting rules are listed on stdout."),
    v.metadata({ flag: "output", value: "text|json", group: "What is done" }),
  ),
  ...UnsupportedEntries,
  ...LoggingEntries,
});
export type InitConfig = v.InferOutput<typeof InitSchema>;

/** The common part of `init` and `rules`. */
export type CaptureSettings = Pick<InitConfig, keyof typeof CaptureEntries>;
type SharedSettings = CaptureSettings & Pick<InitConfig, keyof typeof UnsupportedEntries>;

/** What the person typed, by key. */
type GivenNames = ReadonlyMap<string, { readonly source: string; readonly name: string }>;

/** One sentence for each given setting that is Istio's and not built. Asking for what happens anyway is no problem. */
export function unsupportedSettings(config: SharedSettings, given: GivenNames): string[] {
  const asked = Object.entries(UnsupportedEntries).flatMap(([key, entry]) => {
    const origin = given.get(key);
    const value = config[key as keyof typeof UnsupportedEntries];
    const isText = typeof value === "string";
    // A variable may hold its default in every pod of a mesh; who types a flag means it.
    const isHarmless = isText ? origin?.source === "env" && (value === v.getDefault(entry) || value === "") : !value;
    return origin === undefined || isHarmless ? [] : [`${origin.name}: not supported yet`];
  });
  const mode =
    config.interceptionMode === "TPROXY" ? [`${given.get("interceptionMode")?.name} TPROXY: not supported yet`] : [];
  return [...mode, ...asked];
}

/** Istio takes every mode but TPROXY as REDIRECT; so do we, not silently. */
export function modeWarning({ interceptionMode: mode }: CaptureSettings): string | undefined {
  if (mode === "" || mode === "REDIRECT" || mode === "TPROXY") return undefined;
  return `-m ${JSON.stringify(mode)} is not a mode: REDIRECT is used`;
}

/** Istio's user of the proxy where the host knows none. */
const DEFAULT_UID = 1337;

/**
 * The plan's input. A preset fills in what was not given by flag or variable. Without -u the proxy is the user that
 * `userId` finds; without -g its group has the same number.
 */
export function captureOf(
  config: CaptureSettings,
  given: GivenNames,
  userId: (name: string) => number | undefined,
): CaptureConfig {
  const preset = config.preset === undefined ? {} : PRESETS[config.preset];
  const presetPart = Object.fromEntries(Object.entries(preset).filter(([key]) => !given.has(key)));
  const proxyUids = config.proxyUids.length > 0 ? config.proxyUids : [userId(config.proxyUser) ?? DEFAULT_UID];
  return {
    outboundPort: config.outboundPort,
    inboundPort: config.inboundPort,
    tunnelPort: config.tunnelPort,
    proxyUids,
    proxyGids: config.proxyGids.length > 0 ? config.proxyGids : proxyUids,
    inboundPorts: config.inboundPorts,
    excludeInboundPorts: config.excludeInboundPorts,
    excludeInterfaces: config.excludeInterfaces,
    outboundCidrs: config.outboundCidrs,
    excludeOutboundCidrs: config.excludeOutboundCidrs,
    outboundPorts: config.outboundPorts,
    excludeOutboundPorts: config.excludeOutboundPorts,
    virtualInterfaces: config.virtualInterfaces,
    loopbackCidr: config.loopbackCidr,
    ...presetPart,
  };
}
