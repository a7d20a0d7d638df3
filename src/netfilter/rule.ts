// What a netfilter rule is to us: data. plan.ts makes rules, render.ts and restore-plan.ts read them. Pure.
// Not the live rules: those are text with counters, see parse.ts.

/** IP version. Each has its own tables and its own tools: iptables, ip6tables. */
export type Family = 4 | 6;

/** In the order in which iptables-restore input names them. */
export const TABLES = ["mangle", "nat", "raw"] as const;
export type Table = (typeof TABLES)[number];

/** Chains of the kernel; all others have to be made. */
export const BUILT_IN_CHAINS: ReadonlySet<string> = new Set([
  "PREROUTING",
  "INPUT",
  "FORWARD",
  "OUTPUT",
  "POSTROUTING",
]);

/** Istio's prefix, which is ours: every chain of that name belongs to the rules of a sidecar. */
export const OWN_CHAIN_PREFIX = "ISTIO_";

export const isOwnChain = (chain: string): boolean => chain.startsWith(OWN_CHAIN_PREFIX);

export interface Rule {
  readonly family: Family;
  readonly table: Table;
  readonly chain: string;
  /** Position of an insert, 1 is the head. Absent: appended. */
  readonly insertAt?: number;
  /** Words before `-j`, exactly as Istio writes them. */
  readonly match: readonly string[];
  /** Words after `-j`: a verdict, a target with its options, or one of our chains. */
  readonly target: readonly string[];
  /** What the rule is for, in words. Never put into the kernel: the rule text stays Istio's. */
  readonly why: string;
  /** The long flag that asks for the rule, or "always". */
  readonly from: string;
}

/** The words of a rule after its chain: `-o lo -s 127.0.0.6/32 -j RETURN`. */
export function ruleWords(rule: Pick<Rule, "match" | "target">): string[] {
  return [...rule.match, "-j", ...rule.target];
}
