import { expect, test } from "bun:test";
import { decideFamilies, type FamilyDecision, type FamilyQuestion } from "../../src/netfilter/families.ts";

const LOCAL = ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "fe80::1%eth0"];
const IPV4: FamilyDecision = { families: [4], isGuess: false };
const BOTH: FamilyDecision = { families: [4, 6], isGuess: false };
const GUESS: FamilyDecision = { families: [4], isGuess: true };

test.each<[name: string, question: Partial<FamilyQuestion>, decision: FamilyDecision]>([
  ["IPv4", { addresses: ["10.0.0.1"] }, IPV4],
  ["IPv6", { addresses: ["fd00::1"] }, BOTH],
  ["both, without dual stack", { addresses: ["fd00::1", "10.0.0.1"] }, IPV4],
  ["both, with dual stack", { addresses: ["10.0.0.1", "fd00::1"], dualStack: true }, BOTH],
  ["IPv4, with dual stack", { addresses: ["10.0.0.1"], dualStack: true }, IPV4],
  ["IPv6 beside a link-local IPv4", { addresses: ["169.254.3.4", "2001:db8::1"] }, BOTH],
  ["a mapped address is IPv4", { addresses: ["::ffff:10.0.0.1"] }, IPV4],
  ["nothing usable", {}, GUESS],
  ["nothing usable, with dual stack", { dualStack: true }, GUESS],
  ["no address at all", { addresses: ["nonsense"] }, GUESS],
  ["told: 4", { addresses: ["fd00::1"], choice: "4" }, IPV4],
  ["told: 6", { addresses: ["10.0.0.1"], choice: "6" }, BOTH],
  ["told: dual", { choice: "dual" }, BOTH],
])("%s", (_name, { addresses = [], ...rest }, decision) => {
  expect(decideFamilies({ addresses: [...LOCAL, ...addresses], dualStack: false, ...rest })).toEqual(decision);
});
