import { describe, expect, test } from "bun:test";
import { differences } from "../../src/netfilter/diff.ts";
import { restoreInput } from "../../src/netfilter/restore-plan.ts";
import { rulesOfFlags } from "./flags.ts";
import { feed } from "./model.ts";

const rules = rulesOfFlags("--preset sidecar -c net1", [4]);
const applied = feed([], restoreInput([], rules, new Set()));

test("none after applying", () => {
  expect(differences(applied, rules)).toEqual([]);
  expect(differences([], [])).toEqual([]);
});

test("none for others' rules anywhere between ours", () => {
  const state = feed(applied, "-I OUTPUT 1 -p udp -j ACCEPT\n-I OUTPUT 3 -p icmp -j ACCEPT\n:DOCKER - [0:0]\n");
  expect(differences(state, rules)).toEqual([]);
});

describe("named", () => {
  test.each([
    ["-A ISTIO_REDIRECT -j ACCEPT", "ISTIO_REDIRECT has 2 rules, not 1"],
    ["-I ISTIO_OUTPUT 2 -j RETURN", 'rule 2 of ISTIO_OUTPUT is "-j RETURN", not "-o lo ! -d 127.0.0.1/32'],
    ["-D OUTPUT -j ISTIO_OUTPUT", '"-A OUTPUT -j ISTIO_OUTPUT" is missing or out of order'],
    ["-A OUTPUT -j ISTIO_OUTPUT", "OUTPUT has 2 jumps to our chains, not 1"],
    [":ISTIO_OLD - [0:0]", "chain ISTIO_OLD is not planned"],
    ["-D OUTPUT -o net1 -j RETURN\n-A OUTPUT -o net1 -j RETURN", "is missing or out of order"],
  ])("%s", (input, sentence) => {
    expect(differences(feed(applied, `${input}\n`), rules).join("; ")).toContain(sentence);
  });

  test("a missing table", () => {
    expect(differences([], rules)).toContain("chain ISTIO_OUTPUT is missing");
  });
});
