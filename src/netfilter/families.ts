// Which IP versions a host's addresses ask for: Istio's decision, on plain values. Pure; host.ts reads the addresses.
import ipaddr from "ipaddr.js";
import type { Family } from "./rule.ts";

/** What `--ip-family` says instead of the host's addresses. */
export type FamilyChoice = "4" | "6" | "dual";

export interface FamilyQuestion {
  /** All addresses of the host, as text; those that cannot be parsed are ignored. */
  readonly addresses: readonly string[];
  /** Look beyond the first usable address for IPv6 [--dual-stack]. */
  readonly dualStack: boolean;
  readonly choice?: FamilyChoice | undefined;
}

export interface FamilyDecision {
  /** IPv4 is always programmed, even on a host with IPv6 alone. */
  readonly families: readonly Family[];
  /** No usable address and no `--ip-family`: IPv4 is a guess. */
  readonly isGuess: boolean;
}

const IPV4_ONLY: readonly Family[] = [4];
const BOTH: readonly Family[] = [4, 6];

/**
 * IPv6 is on when the host's first usable address is IPv6, or any is with dual stack. The kernel lists all IPv4 addresses
 * before IPv6 ones, so "first" means: no usable IPv4 address.
 */
export function decideFamilies({ addresses, dualStack, choice }: FamilyQuestion): FamilyDecision {
  if (choice !== undefined) return { families: choice === "4" ? IPV4_ONLY : BOTH, isGuess: false };
  const usable = addresses.map(usableFamily);
  const hasIpv4 = usable.includes(4);
  const hasIpv6 = usable.includes(6);
  return {
    families: hasIpv6 && (dualStack || !hasIpv4) ? BOTH : IPV4_ONLY,
    isGuess: !hasIpv4 && !hasIpv6,
  };
}

/** Not loopback, not link-local. An IPv4-mapped address is an IPv4 address. */
function usableFamily(text: string): Family | undefined {
  if (!ipaddr.isValid(text)) return undefined;
  const address = ipaddr.process(text);
  const range = address.range();
  if (range === "loopback" || range === "linkLocal") return undefined;
  return address.kind() === "ipv4" ? 4 : 6;
}
