// The rule set: capture configuration → rules, in the order in which Istio emits them, for REDIRECT mode. Pure.
// Order is meaning: the first match wins. Rendering, applying and explaining are other files' jobs.
import type { CaptureConfig } from "./capture-config.ts";
import type { Family, Rule } from "./rule.ts";

/** The proxy connects to the application from this source, so that its inbound traffic is let through. */
export const PASSTHROUGH_SOURCE: Readonly<Record<Family, string>> = { 4: "127.0.0.6/32", 6: "::6/128" };

/** A rule before it is known for which family it is. */
type Draft = Omit<Rule, "family">;

/** What a section of the plan sees: the configuration, and what differs between the families. */
interface Context extends CaptureConfig {
  readonly family: Family;
  readonly loopback: string;
  readonly passthroughSource: string;
}

/** Part of the rule set; a feature adds a section at its place in SECTIONS, or rules to one. */
type Section = (context: Context) => Draft[];

/** All rules, IPv4's first. Inserts stand where they are emitted: each goes in before what is already there. */
export function planRules(config: CaptureConfig, families: readonly Family[]): Rule[] {
  return families.flatMap((family) => {
    const context: Context = {
      ...config,
      family,
      loopback: family === 4 ? config.loopbackCidr : "::1/128",
      passthroughSource: PASSTHROUGH_SOURCE[family],
    };
    return SECTIONS.flatMap((section) => section(context)).map((draft) => ({ ...draft, family }));
  });
}

type Reason = readonly [from: string, why: string];

/** Words are split at spaces: nothing the schema lets through has one. */
const words = (text: string): string[] => text.split(" ").filter((word) => word !== "");

function append(chain: string, match: string, target: string, [from, why]: Reason): Draft {
  return { table: "nat", chain, match: words(match), target: words(target), why, from };
}

function insert(position: number, chain: string, match: string, target: string, reason: Reason): Draft {
  return { ...append(chain, match, target, reason), insertAt: position };
}

const ALWAYS = "always";

const excludedInterfaces: Section = ({ excludeInterfaces }) =>
  excludeInterfaces.flatMap((nic) => {
    const reason: Reason = ["--istio-exclude-interfaces", `interface ${nic} is excluded in both directions`];
    return [append("PREROUTING", `-i ${nic}`, "RETURN", reason), append("OUTPUT", `-o ${nic}`, "RETURN", reason)];
  });

const virtualInterfaces: Section = ({ virtualInterfaces: nics }) =>
  nics.map((nic) =>
    insert(1, "PREROUTING", `-i ${nic}`, "RETURN", [
      "--kube-virt-interfaces",
      `what comes from the virtual machine on ${nic} is not inbound traffic`,
    ]),
  );

/** The ends of the other chains' jumps, and the tunnel port that inbound capture never touches. */
const redirects: Section = ({ tunnelPort, outboundPort, inboundPort }) => [
  append("ISTIO_INBOUND", `-p tcp --dport ${tunnelPort}`, "RETURN", [
    "--inbound-tunnel-port",
    "the mesh's tunnel port is never redirected",
  ]),
  append("ISTIO_REDIRECT", "-p tcp", `REDIRECT --to-ports ${outboundPort}`, [
    "--envoy-port",
    "captured outbound connections go to the proxy's outbound port",
  ]),
  append("ISTIO_IN_REDIRECT", "-p tcp", `REDIRECT --to-ports ${inboundPort}`, [
    "--inbound-capture-port",
    "captured inbound connections go to the proxy's inbound port",
  ]),
];

const inbound: Section = ({ inboundPorts, excludeInboundPorts }) => {
  if (inboundPorts !== "*" && inboundPorts.length === 0) return [];
  const from = "--istio-inbound-ports";
  const jump = append("PREROUTING", "-p tcp", "ISTIO_INBOUND", [from, "inbound TCP connections are looked at"]);
  if (inboundPorts !== "*") {
    return [
      jump,
      ...inboundPorts.map((port) =>
        append("ISTIO_INBOUND", `-p tcp --dport ${port}`, "ISTIO_IN_REDIRECT", [
          from,
          `inbound port ${port} is captured`,
        ]),
      ),
    ];
  }
  return [
    jump,
    ...excludeInboundPorts.map((port) =>
      append("ISTIO_INBOUND", `-p tcp --dport ${port}`, "RETURN", [
        "--istio-local-exclude-ports",
        `inbound port ${port} is excluded`,
      ]),
    ),
    append("ISTIO_INBOUND", "-p tcp", "ISTIO_IN_REDIRECT", [from, "every other inbound port is captured"]),
  ];
};

const outputJump: Section = () => [append("OUTPUT", "", "ISTIO_OUTPUT", [ALWAYS, "what this host sends is looked at"])];

const excludedOutboundPorts: Section = ({ excludeOutboundPorts }) =>
  excludeOutboundPorts.flatMap((port) => {
    const reason: Reason = ["--istio-local-outbound-ports-exclude", `outbound port ${port} is excluded`];
    return [
      append("ISTIO_OUTPUT", `-p tcp --dport ${port}`, "RETURN", reason),
      append("ISTIO_OUTPUT", `-p udp --dport ${port}`, "RETURN", reason),
    ];
  });

const passthrough: Section = ({ passthroughSource }) => [
  append("ISTIO_OUTPUT", `-o lo -s ${passthroughSource}`, "RETURN", [
    ALWAYS,
    "the proxy's connections to the application have been captured once already",
  ]),
];

/** Users first, then groups, each with the same three rules. */
const proxyOwners: Section = (context) => [
  ...context.proxyUids.flatMap((uid) => ownerRules(context, "--proxy-uid", `--uid-owner ${uid}`)),
  ...context.proxyGids.flatMap((gid) => ownerRules(context, "--proxy-gid", `--gid-owner ${gid}`)),
];

function ownerRules(context: Context, from: string, owner: string): Draft[] {
  const { loopback, tunnelPort, outboundCidrs } = context;
  // A range of -i with a loopback address: the application's own traffic over loopback is to be captured as well.
  const capturesLoopback = outboundCidrs !== "*" && outboundCidrs.some(({ isLoopback }) => isLoopback);
  return [
    append(
      "ISTIO_OUTPUT",
      `-o lo ! -d ${loopback} -p tcp ! --dport ${tunnelPort} -m owner ${owner}`,
      "ISTIO_IN_REDIRECT",
      [from, "the proxy calls its own application by the pod's address: that is inbound traffic"],
    ),
    ...(capturesLoopback
      ? []
      : [
          append("ISTIO_OUTPUT", `-o lo -m owner ! ${owner}`, "RETURN", [
            from,
            "the application talks to itself: not captured",
          ]),
        ]),
    append("ISTIO_OUTPUT", `-m owner ${owner}`, "RETURN", [from, "the proxy's own traffic must not come back to it"]),
  ];
}

const localhost: Section = ({ loopback }) => [
  append("ISTIO_OUTPUT", `-d ${loopback}`, "RETURN", [ALWAYS, "traffic to localhost stays local"]),
];

const excludedCidrs: Section = ({ family, excludeOutboundCidrs }) =>
  excludeOutboundCidrs
    .filter((cidr) => cidr.family === family)
    .map(({ text }) =>
      append("ISTIO_OUTPUT", `-d ${text}`, "RETURN", [
        "--istio-service-exclude-cidr",
        `outbound traffic to ${text} is excluded`,
      ]),
    );

const includedOutboundPorts: Section = ({ outboundPorts }) =>
  outboundPorts.map((port) =>
    append("ISTIO_OUTPUT", `-p tcp --dport ${port}`, "ISTIO_REDIRECT", [
      "--istio-outbound-ports",
      `outbound port ${port} is captured whatever the destination`,
    ]),
  );

const includedCidrs: Section = ({ family, outboundCidrs, virtualInterfaces: nics }) => {
  const from = "--istio-service-cidr";
  const fromVirtual = (match: string, nic: string) =>
    insert(1, "PREROUTING", `-i ${nic}${match}`, "ISTIO_REDIRECT", [
      "--kube-virt-interfaces",
      `what the virtual machine on ${nic} sends is outbound traffic`,
    ]);
  if (outboundCidrs === "*") {
    return [
      append("ISTIO_OUTPUT", "", "ISTIO_REDIRECT", [from, "all other outbound traffic is captured"]),
      ...nics.map((nic) => fromVirtual("", nic)),
    ];
  }
  return outboundCidrs
    .filter((cidr) => cidr.family === family)
    .flatMap(({ text }) => [
      ...nics.map((nic) => fromVirtual(` -d ${text}`, nic)),
      append("ISTIO_OUTPUT", `-d ${text}`, "ISTIO_REDIRECT", [from, `outbound traffic to ${text} is captured`]),
    ]);
};

/** Emission order. */
const SECTIONS: readonly Section[] = [
  excludedInterfaces,
  virtualInterfaces,
  redirects,
  inbound,
  outputJump,
  excludedOutboundPorts,
  passthrough,
  proxyOwners,
  localhost,
  excludedCidrs,
  includedOutboundPorts,
  includedCidrs,
];
