import { describe, expect, test } from "bun:test";
import { byFamily, renderCommands, renderRestore } from "../../src/netfilter/render.ts";
import type { Rule } from "../../src/netfilter/rule.ts";
import { expectGolden } from "../golden.ts";
import { rulesOfFlags } from "./flags.ts";

const rule = (place: Partial<Rule>, match: string, target: string): Rule => ({
  family: 4,
  table: "nat",
  chain: "OUTPUT",
  match: match.split(" ").filter(Boolean),
  target: target.split(" "),
  why: "a test",
  from: "always",
  ...place,
});

test("restore input: tables by name, chains in order of their first rule, those only jumped to last", () => {
  const rules = [
    rule({ table: "raw" }, "", "ISTIO_OUTPUT_DNS"),
    rule({ chain: "ISTIO_B" }, "-p tcp", "ISTIO_LATER"),
    rule({ table: "mangle", chain: "ISTIO_M" }, "", "DROP"),
    rule({ chain: "ISTIO_A" }, "", "ISTIO_NEVER"),
    rule({ chain: "ISTIO_LATER" }, "", "RETURN"),
    rule({ chain: "PREROUTING", insertAt: 1 }, "-i k0", "ISTIO_A"),
    rule({ family: 6 }, "", "ISTIO_A"),
  ];
  expect(renderRestore(rules)).toBe(`# iptables-restore --noflush
* mangle
-N ISTIO_M
-A ISTIO_M -j DROP
COMMIT
* nat
-N ISTIO_B
-N ISTIO_A
-N ISTIO_LATER
-N ISTIO_NEVER
-A ISTIO_B -p tcp -j ISTIO_LATER
-A ISTIO_A -j ISTIO_NEVER
-A ISTIO_LATER -j RETURN
-I PREROUTING 1 -i k0 -j ISTIO_A
COMMIT
* raw
-N ISTIO_OUTPUT_DNS
-A OUTPUT -j ISTIO_OUTPUT_DNS
COMMIT
# ip6tables-restore --noflush
* nat
-N ISTIO_A
-A OUTPUT -j ISTIO_A
COMMIT
`);
});

test("restore input of the injector's flags", () => {
  expectGolden("rules-restore.txt", renderRestore(rulesOfFlags("--preset sidecar -c net1 -k kv0")));
});

describe("commands", () => {
  test("make all chains of a family before its first rule, IPv4 first", () => {
    const lines = renderCommands(rulesOfFlags("--preset sidecar")).trimEnd().split("\n");
    const kinds = lines.map((line) => line.replace(/^(ip6?tables) -t nat (-[NAI]).*/, "$1 $2"));
    expect([...new Set(kinds)]).toEqual(["iptables -N", "iptables -A", "ip6tables -N", "ip6tables -A"]);
    expect(kinds.toSorted()).toEqual([...kinds].sort());
    expect(kinds.lastIndexOf("iptables -N")).toBeLessThan(kinds.indexOf("iptables -A"));
  });

  test.each([
    ["-i eth0+", "-i eth0+"],
    ["-m comment --comment it's", "--comment 'it'\\''s'"],
    ["-i $(reboot)", "-i '$(reboot)'"],
    ["! -d ::1/128", "! -d ::1/128"],
  ])("quote %s for a shell", (match, quoted) => {
    expect(renderCommands([rule({}, match, "RETURN")])).toContain(` ${quoted} -j RETURN\n`);
  });

  test("are none for no rules", () => {
    expect(renderCommands([])).toBe("");
    expect(renderRestore([])).toBe("");
    expect(byFamily([])).toEqual([]);
  });
});
