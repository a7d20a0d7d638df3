// The rule set against golden files that were derived from the specification apart from this code: order is meaning.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CAPTURE_DEFAULTS, type CaptureConfig } from "../../src/netfilter/capture-config.ts";
import { planRules } from "../../src/netfilter/plan.ts";
import { renderCommands } from "../../src/netfilter/render.ts";
import { BUILT_IN_CHAINS, isOwnChain } from "../../src/netfilter/rule.ts";
import { expectGolden } from "../golden.ts";
import { FLAG_CASES } from "./cases.ts";
import { rulesOfFlags } from "./flags.ts";
import { arbitraryCapture } from "./generators.ts";

test.each(Object.entries(FLAG_CASES))("%s", (name, flags) => {
  expectGolden(`rules-${name}.txt`, renderCommands(rulesOfFlags(flags)));
});

describe("families", () => {
  const capture: CaptureConfig = { ...CAPTURE_DEFAULTS, inboundPorts: "*", outboundCidrs: "*" };
  test("IPv4 alone has no IPv6 rule", () => {
    expect(planRules(capture, [4]).every(({ family }) => family === 4)).toBe(true);
  });

  test("both differ in the addresses only", () => {
    const text = (family: 4 | 6) => renderCommands(planRules(capture, [family]));
    const translated = text(4)
      .replaceAll("iptables", "ip6tables")
      .replaceAll("127.0.0.1/32", "::1/128")
      .replaceAll("127.0.0.6/32", "::6/128");
    expect(text(6)).toBe(translated);
  });

  test("the loopback range of IPv4 can be widened", () => {
    const rules = planRules({ ...capture, loopbackCidr: "127.0.0.0/8" }, [4, 6]);
    const destinations = rules.flatMap(({ match }) => match.filter((_, at) => match[at - 1] === "-d"));
    expect([...new Set(destinations)]).toEqual(["127.0.0.0/8", "::1/128"]);
  });
});

describe("whatever is captured", () => {
  const plans = arbitraryCapture.map((capture) => planRules(capture, [4, 6]));

  test("every jump leads to a chain that has rules, and every chain of ours is led to", () => {
    fc.assert(
      fc.property(plans, (rules) => {
        for (const family of [4, 6]) {
          const ours = rules.filter((rule) => rule.family === family);
          const withRules = new Set(ours.map(({ chain }) => chain));
          for (const { target } of ours) if (isOwnChain(target[0]!)) expect(withRules).toContain(target[0]!);
          expect([...withRules].every((chain) => isOwnChain(chain) || BUILT_IN_CHAINS.has(chain))).toBe(true);
          expect(withRules).toContain("ISTIO_OUTPUT");
        }
      }),
    );
  });

  test("every rule says why, and which flag asks for it", () => {
    fc.assert(
      fc.property(plans, (rules) => {
        for (const { why, from } of rules) {
          expect(why).not.toBe("");
          expect(from).toMatch(/^(always|--[a-z-]+)$/);
        }
      }),
    );
  });

  test("the proxy's own traffic returns before anything is redirected outbound", () => {
    fc.assert(
      fc.property(plans, (rules) => {
        const output = rules.filter(({ family, chain }) => family === 4 && chain === "ISTIO_OUTPUT");
        const redirect = output.findIndex(({ target }) => target[0] === "ISTIO_REDIRECT");
        const owners = output.flatMap(({ match, target }, index) =>
          match.length === 4 && match[0] === "-m" && match[1] === "owner" && target[0] === "RETURN" ? [index] : [],
        );
        expect(owners.length).toBeGreaterThan(1);
        if (redirect >= 0) expect(Math.max(...owners)).toBeLessThan(redirect);
      }),
    );
  });
});
