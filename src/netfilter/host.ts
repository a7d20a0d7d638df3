// Facts of the machine that the rules depend on: addresses, users, and what this process may do. Shell; decides nothing.
import { readFileSync } from "node:fs";
import { localIpv4Addresses, localIpv6Addresses } from "./local-addresses.ts";

/** All addresses of this process's network namespace, loopback and link-local ones too. */
export function hostAddresses(): string[] {
  return [...localIpv4Addresses(fileText("/proc/net/fib_trie")), ...localIpv6Addresses(fileText("/proc/net/if_inet6"))];
}

/** The number of a user of /etc/passwd. */
export function userId(name: string): number | undefined {
  for (const line of fileText("/etc/passwd").split("\n")) {
    const [user, , uid] = line.split(":");
    if (user === name && /^\d+$/.test(uid ?? "")) return Number(uid);
  }
  return undefined;
}

/** linux/capability.h */
const CAP_NET_ADMIN = 12n;

/** Whether the kernel lets this process change netfilter rules. */
export function mayChangeRules(): boolean {
  const [, effective] = /^CapEff:\s*([0-9a-f]+)$/m.exec(fileText("/proc/self/status")) ?? [];
  if (effective === undefined) return process.getuid?.() === 0;
  return ((BigInt(`0x${effective}`) >> CAP_NET_ADMIN) & 1n) === 1n;
}

function fileText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // An image need not have it: the caller's default holds.
    return "";
  }
}
