// What traffic is to be captured: the plan's input, parsed and free of flags, environment and defaults. Pure.
// config/init-schema.ts makes it from the flags of `init` and `rules`; `run` and `demo` take a preset.
import type { Cidr } from "./cidr.ts";

/** Numbers are canonical, lists have no empty items. Istio's flag in brackets. */
export interface CaptureConfig {
  /** Where captured outbound connections are redirected to [-p]. */
  readonly outboundPort: number;
  /** Where captured inbound connections are redirected to [-z]. */
  readonly inboundPort: number;
  /** Never redirected: the tunnel port of the mesh [-e]. */
  readonly tunnelPort: number;
  /** Users whose traffic is the proxy's own [-u]. */
  readonly proxyUids: readonly number[];
  /** Groups whose traffic is the proxy's own [-g]. */
  readonly proxyGids: readonly number[];
  /** Inbound ports to capture; an empty list captures none [-b]. */
  readonly inboundPorts: "*" | readonly number[];
  /** Inbound ports not to capture; only with inboundPorts "*" [-d]. */
  readonly excludeInboundPorts: readonly number[];
  /** Interfaces with which neither direction is captured [-c]. */
  readonly excludeInterfaces: readonly string[];
  /** Outbound destinations to capture; an empty list captures none [-i]. */
  readonly outboundCidrs: "*" | readonly Cidr[];
  /** Outbound destinations not to capture [-x]. */
  readonly excludeOutboundCidrs: readonly Cidr[];
  /** Outbound TCP ports captured whatever the destination [-q]. */
  readonly outboundPorts: readonly number[];
  /** Outbound TCP and UDP ports never captured [-o]. */
  readonly excludeOutboundPorts: readonly number[];
  /** Interfaces of virtual machines, whose inbound traffic is treated as outbound [-k]. */
  readonly virtualInterfaces: readonly string[];
  /** The loopback range of IPv4 [ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR]. */
  readonly loopbackCidr: string;
}

export type Preset = "sidecar" | "vm";

/** The part of the capture that a preset decides; the rest are the defaults. */
export type PresetCapture = Pick<
  CaptureConfig,
  "inboundPorts" | "excludeInboundPorts" | "outboundCidrs" | "excludeOutboundPorts"
>;

/** Prometheus, health and status of the proxy itself: the injector's exclusions, in its order. */
const PROXY_PORTS = [15090, 15021, 15020];
const SSH_PORT = 22;

/**
 * `sidecar`: what Istio's injector writes into a pod. `vm`: the same without SSH, in both directions: whoever has to repair
 * a machine must get in and out while no proxy runs.
 */
export const PRESETS: Readonly<Record<Preset, PresetCapture>> = {
  sidecar: { inboundPorts: "*", excludeInboundPorts: PROXY_PORTS, outboundCidrs: "*", excludeOutboundPorts: [] },
  vm: {
    inboundPorts: "*",
    excludeInboundPorts: [...PROXY_PORTS, SSH_PORT],
    outboundCidrs: "*",
    excludeOutboundPorts: [SSH_PORT],
  },
};

/** Istio's defaults: ports and identity of the proxy, and nothing captured. */
export const CAPTURE_DEFAULTS: CaptureConfig = {
  outboundPort: 15001,
  inboundPort: 15006,
  tunnelPort: 15008,
  proxyUids: [1337],
  proxyGids: [1337],
  inboundPorts: [],
  excludeInboundPorts: [],
  excludeInterfaces: [],
  outboundCidrs: [],
  excludeOutboundCidrs: [],
  outboundPorts: [],
  excludeOutboundPorts: [],
  virtualInterfaces: [],
  loopbackCidr: "127.0.0.1/32",
};

const isEmpty = (list: "*" | readonly unknown[]): boolean => list !== "*" && list.length === 0;

export const capturesInbound = (config: CaptureConfig): boolean => !isEmpty(config.inboundPorts);

export const capturesOutbound = (config: CaptureConfig): boolean =>
  !isEmpty(config.outboundCidrs) || config.outboundPorts.length > 0;

/** What the person most likely did not mean, one sentence each. */
export function captureWarnings(config: CaptureConfig): string[] {
  const inbound = capturesInbound(config);
  const outbound = capturesOutbound(config);
  const everyPort = config.inboundPorts === "*";
  const everyDestination = config.outboundCidrs === "*";
  const claims: [boolean, string][] = [
    [
      !inbound && !outbound,
      "nothing will be captured: give --preset sidecar, or inbound ports (-b '*') and outbound addresses (-i '*')",
    ],
    [config.excludeInboundPorts.length > 0 && !everyPort, "-d has no effect: it excludes ports from -b '*' only"],
    [config.outboundPorts.length > 0 && everyDestination, "-q has no effect: -i '*' captures every port"],
    [config.excludeOutboundCidrs.length > 0 && !outbound, "-x has no effect: no outbound traffic is captured (-i, -q)"],
    [config.excludeOutboundPorts.length > 0 && !outbound, "-o has no effect: no outbound traffic is captured (-i, -q)"],
    [
      config.virtualInterfaces.length > 0 && isEmpty(config.outboundCidrs),
      "-k captures nothing without -i: its interfaces are only exempted from inbound capture",
    ],
    [
      config.outboundPort === config.inboundPort,
      `-p and -z are both ${config.inboundPort}: the proxy cannot tell inbound from outbound`,
    ],
  ];
  return claims.filter(([applies]) => applies).map(([, sentence]) => sentence);
}
