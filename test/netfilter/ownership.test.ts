// Which live rules are taken for ours: cleaning up removes exactly these from others' chains.
import { expect, test } from "bun:test";
import { liveVirtualNics, ownRulesOutside, plannedVirtualNics } from "../../src/netfilter/ownership.ts";
import { rulesOfFlags } from "./flags.ts";
import { nat } from "./model.ts";

const CHAINS = ["ISTIO_INBOUND", "ISTIO_OUTPUT", "ISTIO_REDIRECT"];
const IN = "-A PREROUTING -p tcp -j ISTIO_INBOUND";
const OUT = "-A OUTPUT -j ISTIO_OUTPUT";

function owned(rules: readonly string[], flags = "", chains = CHAINS): string[] {
  const state = nat(chains, rules);
  const nics = new Set([...plannedVirtualNics(rulesOfFlags(flags, [4])), ...liveVirtualNics(state)]);
  const own = ownRulesOutside(state[0]!, nics);
  return rules.filter((line) => [...own].some(({ chain, text }) => `-A ${chain} ${text}` === line));
}

test.each<[name: string, rules: string[], ours: string[]]>([
  ["every jump to our chains", [IN, OUT, "-A OUTPUT -p udp -j ISTIO_OLD"], [IN, OUT, "-A OUTPUT -p udp -j ISTIO_OLD"]],
  ["a jump from a stranger's chain", ["-A MINE -g ISTIO_REDIRECT"], ["-A MINE -g ISTIO_REDIRECT"]],
  [
    "-c: a pair, directly before the jump",
    ["-A PREROUTING -i a -j RETURN", IN, "-A OUTPUT -o a -j RETURN", OUT],
    ["-A PREROUTING -i a -j RETURN", IN, "-A OUTPUT -o a -j RETURN", OUT],
  ],
  [
    "-c without inbound capture",
    ["-A PREROUTING -i a -j RETURN", "-A OUTPUT -o a -j RETURN", OUT],
    ["-A PREROUTING -i a -j RETURN", "-A OUTPUT -o a -j RETURN", OUT],
  ],
  ["not one half of a pair", ["-A PREROUTING -i a -j RETURN", IN, OUT], [IN, OUT]],
  ["not the other half of a pair", [IN, "-A OUTPUT -o a -j RETURN", OUT], [IN, OUT]],
  [
    "not a pair that stands apart from the jump",
    ["-A PREROUTING -i a -j RETURN", IN, "-A OUTPUT -o a -j RETURN", "-A OUTPUT -p udp -j ACCEPT", OUT],
    [IN, OUT],
  ],
  [
    "not a rule with another condition",
    ["-A PREROUTING -i a -p tcp -j RETURN", IN, "-A OUTPUT -o a -p tcp -j RETURN", OUT],
    [IN, OUT],
  ],
  [
    "-k: with the redirect of the same interface",
    ["-A PREROUTING -d 10.0.0.0/8 -i k -j ISTIO_REDIRECT", "-A PREROUTING -i k -j RETURN", IN, OUT],
    ["-A PREROUTING -d 10.0.0.0/8 -i k -j ISTIO_REDIRECT", "-A PREROUTING -i k -j RETURN", IN, OUT],
  ],
  [
    "not an interface without such a redirect",
    ["-A PREROUTING -i k -j ISTIO_REDIRECT", "-A PREROUTING -i x -j RETURN", IN, OUT],
    ["-A PREROUTING -i k -j ISTIO_REDIRECT", IN, OUT],
  ],
])("ours: %s", (_name, rules, ours) => {
  expect(owned(rules)).toEqual(ours);
});

test("-k without any outbound capture is known by the flags only", () => {
  const rules = ["-A PREROUTING -i k -j RETURN", OUT];
  expect(owned(rules)).toEqual([OUT]);
  expect(owned(rules, "-k k")).toEqual(rules);
});

test("where no chain of ours exists, nothing but jumps is ours", () => {
  expect(owned(["-A PREROUTING -i k -j RETURN", "-A OUTPUT -o k -j RETURN"], "-k k -c k", [])).toEqual([]);
});
