import { describe, expect, test } from "bun:test";
import { networkInterfaces } from "node:os";
import ipaddr from "ipaddr.js";
import { hostAddresses } from "../../src/netfilter/host.ts";
import { localIpv4Addresses, localIpv6Addresses } from "../../src/netfilter/local-addresses.ts";

describe("localIpv4Addresses", () => {
  test("takes each local leaf once, and no network or broadcast address", () => {
    const trie = [
      "Main:",
      "  +-- 0.0.0.0/0 3 0 5",
      "     |-- 0.0.0.0",
      "        /0 universe UNICAST",
      "     |-- 10.77.0.0",
      "        /24 link UNICAST",
      "Local:",
      "  +-- 0.0.0.0/0 3 0 5",
      "     +-- 10.77.0.0/24 2 0 2",
      "        |-- 10.77.0.2",
      "           /32 host LOCAL",
      "        |-- 10.77.0.255",
      "           /32 link BROADCAST",
      "     |-- 127.0.0.0",
      "        /8 host LOCAL",
      "     |-- 127.0.0.1",
      "        /32 host LOCAL",
      "     |-- 127.0.0.1",
      "        /32 host LOCAL",
      "",
    ].join("\n");
    expect(localIpv4Addresses(trie)).toEqual(["10.77.0.2", "127.0.0.1"]);
  });

  test.each(["", "Main:\n", "nonsense"])("nothing from %j", (text) => {
    expect(localIpv4Addresses(text)).toEqual([]);
  });
});

describe("localIpv6Addresses", () => {
  test("takes the first column of each line", () => {
    const table =
      "fd770000000000000000000000000002 05 40 00 80   vp\n00000000000000000000000000000001 01 80 10 80       lo\n";
    expect(localIpv6Addresses(table)).toEqual([
      "fd77:0000:0000:0000:0000:0000:0000:0002",
      "0000:0000:0000:0000:0000:0000:0000:0001",
    ]);
  });

  test("nothing from an empty table", () => {
    expect(localIpv6Addresses("")).toEqual([]);
  });
});

test("has every address that the interfaces of this machine have", () => {
  const canonical = (address: string): string => ipaddr.parse(address.split("%")[0]!).toString();
  const found = hostAddresses().map(canonical);
  const interfaces = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  expect(interfaces.length).toBeGreaterThan(0);
  for (const { address } of interfaces) expect(found).toContain(canonical(address));
});
