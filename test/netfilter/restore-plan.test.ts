// Getting from any live state to any plan, and back, on a model of iptables-restore. The real kernel: test/e2e/rules.test.ts.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { differences } from "../../src/netfilter/diff.ts";
import { liveVirtualNics, plannedVirtualNics } from "../../src/netfilter/ownership.ts";
import { planRules } from "../../src/netfilter/plan.ts";
import { hasOwnRules, restoreInput, rollbackInput } from "../../src/netfilter/restore-plan.ts";
import type { Rule } from "../../src/netfilter/rule.ts";
import { rulesOfFlags } from "./flags.ts";
import { arbitraryCapture } from "./generators.ts";
import { feed, lines, nat } from "./model.ts";

const plan = (flags: string) => rulesOfFlags(flags, [4]);
/** What apply.ts knows of `-k`. */
const nics = (state: ReturnType<typeof nat>, ...planned: (readonly Rule[])[]) =>
  new Set([...liveVirtualNics(state), ...planned.flatMap(plannedVirtualNics)]);
const input = (state: ReturnType<typeof nat>, rules: readonly Rule[], flags = rules) =>
  restoreInput(state, rules, nics(state, flags));
const apply = (state: ReturnType<typeof nat>, rules: readonly Rule[]) => feed(state, input(state, rules));

describe("the text", () => {
  test("for an empty namespace makes chains, then rules in the plan's order", () => {
    expect(input([], plan("-u 5 -i 10.0.0.0/8"))).toBe(
      `*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_REDIRECT - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN
-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 5 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 5 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 5 -j RETURN
-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --gid-owner 5 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 5 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 5 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -d 10.0.0.0/8 -j ISTIO_REDIRECT
-A OUTPUT -j ISTIO_OUTPUT
COMMIT
`,
    );
  });

  test("is empty when the rules are there already", () => {
    const rules = plan("--preset sidecar -c net1 -k kv0");
    expect(input(apply([], rules), rules)).toBe("");
  });

  test("is empty for cleaning up what is clean", () => {
    expect(input([], [])).toBe("");
    expect(input(nat(["DOCKER"], ["-A OUTPUT -j DOCKER"]), [])).toBe("");
  });

  test("removes stale chains and their jumps, and flushes before it deletes", () => {
    const state = nat(["ISTIO_OLD", "ISTIO_OLDER"], ["-A OUTPUT -p udp -j ISTIO_OLD", "-A ISTIO_OLD -j ISTIO_OLDER"]);
    expect(input(state, [])).toBe(
      "*nat\n:ISTIO_OLD - [0:0]\n:ISTIO_OLDER - [0:0]\n-D OUTPUT -p udp -j ISTIO_OLD\n-X ISTIO_OLD\n-X ISTIO_OLDER\nCOMMIT\n",
    );
  });

  test("leaves a jump that is right where it is, among others' rules", () => {
    const rules = plan("--preset sidecar");
    const state = feed(apply([], rules), "-A OUTPUT -j DOCKER\n-I OUTPUT 1 -p udp -j ACCEPT\n");
    const text = input(state, plan("--preset vm"));
    expect(text).not.toContain("OUTPUT -j ISTIO_OUTPUT");
    expect(lines(feed(state, text)).filter((line) => line.startsWith("-A OUTPUT"))).toEqual([
      "-A OUTPUT -p udp -j ACCEPT",
      "-A OUTPUT -j ISTIO_OUTPUT",
      "-A OUTPUT -j DOCKER",
    ]);
  });

  test("keeps a stranger's chain jumping to ours as long as ours exists", () => {
    const rules = plan("--preset sidecar");
    const state = feed(apply([], rules), ":MINE - [0:0]\n-A MINE -p tcp -j ISTIO_REDIRECT\n-A MINE -j ACCEPT\n");
    expect(input(state, plan("--preset vm"))).not.toContain("MINE");
    expect(lines(feed(state, input(state, [])))).toEqual(["-A MINE -j ACCEPT"]);
  });
});

/** Rules that others may have, some of them in the shape of ours. */
const foreignRules = fc.uniqueArray(
  fc.constantFrom(
    "-A PREROUTING -p tcp -m tcp --dport 8080 -j REDIRECT --to-ports 80",
    "-A PREROUTING -i eth9 -j RETURN",
    "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
    "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
    "-A OUTPUT -p tcp -j RETURN",
    "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
    "-A DOCKER -i docker0 -j RETURN",
  ),
);
const foreignState = foreignRules.map((rules) => nat(["DOCKER"], rules));
const plans = arbitraryCapture.map((capture) => planRules(capture, [4]));

describe("from any foreign state", () => {
  test("init leaves the planned rules, and others' as they were", () => {
    fc.assert(
      fc.property(foreignState, plans, (before, rules) => {
        const after = apply(before, rules);
        expect(differences(after, rules)).toEqual([]);
        const ours = new Set(lines(apply([], rules)));
        const foreign = new Set(lines(before));
        expect(lines(after).filter((line) => foreign.has(line) || !ours.has(line))).toEqual(lines(before));
      }),
    );
  });

  // Without -i, the rule of an earlier run's -k has no company that tells it from a stranger's.
  const recognisable = arbitraryCapture.map((capture) => planRules({ ...capture, outboundCidrs: "*" }, [4]));

  test("again with other flags is the same as with those flags at once", () => {
    fc.assert(
      fc.property(foreignState, recognisable, plans, (before, first, second) => {
        const twice = apply(apply(before, first), second);
        expect(differences(twice, second)).toEqual([]);
        expect(lines(twice).toSorted()).toEqual(lines(apply(before, second)).toSorted());
      }),
    );
  });

  test("again with the same flags changes nothing", () => {
    fc.assert(
      fc.property(foreignState, plans, (before, rules) => {
        expect(input(apply(before, rules), rules)).toBe("");
      }),
    );
  });

  test("clean-up with the same flags leaves what was there", () => {
    fc.assert(
      fc.property(foreignState, plans, (before, rules) => {
        const after = apply(before, rules);
        expect(lines(feed(after, input(after, [], rules)))).toEqual(lines(before));
      }),
    );
  });

  test("clean-up without any flag leaves what was there, where -k came with -i", () => {
    fc.assert(
      fc.property(foreignState, recognisable, (before, rules) => {
        const after = apply(before, rules);
        expect(lines(feed(after, input(after, [])))).toEqual(lines(before));
        expect(hasOwnRules(after)).toBe(true);
      }),
    );
  });

  test("rolling back from other flags restores every rule at its place", () => {
    fc.assert(
      fc.property(foreignState, plans, plans, (before, first, second) => {
        const snapshot = apply(before, first);
        const after = apply(snapshot, second);
        const back = feed(after, rollbackInput(after, snapshot, nics([...snapshot, ...after], first, second)));
        expect(lines(back)).toEqual(lines(snapshot));
      }),
    );
  });

  test("rolling back a first run removes it", () => {
    fc.assert(
      fc.property(foreignState, plans, (before, rules) => {
        const after = apply(before, rules);
        expect(lines(feed(after, rollbackInput(after, before, nics(before, rules))))).toEqual(lines(before));
      }),
    );
  });
});

test("rolling back copes with rules that others removed meanwhile", () => {
  const snapshot = apply(nat([], ["-A OUTPUT -p udp -j ACCEPT", "-A OUTPUT -p icmp -j ACCEPT"]), plan("-i '*'"));
  const now = feed([], input([], plan("-i '*' -c eth1")));
  const back = feed(now, rollbackInput(now, snapshot, nics(snapshot)));
  expect(lines(back).filter((line) => line.startsWith("-A OUTPUT"))).toEqual(["-A OUTPUT -j ISTIO_OUTPUT"]);
});
