// The addresses of a network namespace as the kernel's own tables tell them. Pure: text in, addresses out; host.ts reads.
// Not from a list of interfaces: that leaves out a link which is up and has no carrier yet, as at a pod's first moment.

/** `/proc/net/fib_trie`: a leaf is local when a `/32 host LOCAL` route follows it. Each address once. */
export function localIpv4Addresses(fibTrie: string): string[] {
  const addresses = new Set<string>();
  let leaf: string | undefined;
  for (const line of fibTrie.split("\n")) {
    const [, address] = /\|-- (\d+\.\d+\.\d+\.\d+)$/.exec(line) ?? [];
    if (address !== undefined) leaf = address;
    else if (leaf !== undefined && /\/32 host LOCAL$/.test(line)) addresses.add(leaf);
  }
  return [...addresses];
}

/** `/proc/net/if_inet6`: 32 hexadecimal digits at the start of each line. */
export function localIpv6Addresses(ifInet6: string): string[] {
  return ifInet6
    .split("\n")
    .map((line) => /^[0-9a-f]{32}(?= )/.exec(line)?.[0])
    .filter((digits) => digits !== undefined)
    .map((digits) => digits.replace(/(.{4})(?=.)/g, "$1:"));
}
