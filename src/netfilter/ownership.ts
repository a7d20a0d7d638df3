// Which live rules outside of the ISTIO_ chains are ours. Pure. Re-running and cleaning up take away exactly these.
//
// The kernel text is Istio's, so rules carry no mark. Ours are: every jump to an ISTIO_ chain, and, where such chains
// exist, the interface rules by their shape and company:
// - `-c`: `-o NIC -j RETURN` directly before OUTPUT's jump, with its twin `-i NIC -j RETURN` in PREROUTING;
// - `-k`: `-i NIC -j RETURN` in PREROUTING where `-i NIC … -j ISTIO_REDIRECT` stands too, in either family, or where the
//   flags name the NIC.
// A stranger's rule of the same shape without that company stays. Flags of an earlier run need not be known.
import { jumpTarget, type SavedRule, type SavedTable } from "./parse.ts";
import { isOwnChain, type Rule } from "./rule.ts";

/** Our rules in chains that are not ours. `virtualNics` are the interfaces of `-k`, as far as they are known. */
export function ownRulesOutside(table: SavedTable, virtualNics: ReadonlySet<string>): ReadonlySet<SavedRule> {
  const own = new Set(table.rules.filter((rule) => !isOwnChain(rule.chain) && leadsToOwnChain(rule)));
  if (!table.chains.some(({ name }) => isOwnChain(name))) return own;
  for (const rule of excludedInterfaceRules(table)) own.add(rule);
  for (const rule of virtualInterfaceRules(table, virtualNics)) own.add(rule);
  return own;
}

export function leadsToOwnChain({ words }: SavedRule): boolean {
  return isOwnChain(jumpTarget(words) ?? "");
}

/** The interface of a rule that is `-i NIC -j RETURN` and nothing else. */
function exemptedInterface({ words }: SavedRule, direction: "-i" | "-o"): string | undefined {
  const [flag, nic, jump, verdict] = words;
  return words.length === 4 && flag === direction && jump === "-j" && verdict === "RETURN" ? nic : undefined;
}

function excludedInterfaceRules(table: SavedTable): SavedRule[] {
  const output = table.rules.filter(({ chain }) => chain === "OUTPUT");
  const prerouting = table.rules.filter(({ chain }) => chain === "PREROUTING");
  const found: SavedRule[] = [];
  for (let at = output.findIndex(leadsToOwnChain) - 1; at >= 0; at--) {
    const rule = output[at]!;
    const nic = exemptedInterface(rule, "-o");
    if (nic === undefined) break;
    const twin = prerouting.findLast((other) => exemptedInterface(other, "-i") === nic && !found.includes(other));
    if (twin !== undefined) found.push(rule, twin);
  }
  return found;
}

function virtualInterfaceRules(table: SavedTable, nics: ReadonlySet<string>): SavedRule[] {
  return table.rules.filter((rule) => {
    const nic = rule.chain === "PREROUTING" ? exemptedInterface(rule, "-i") : undefined;
    return nic !== undefined && nics.has(nic);
  });
}

/** The interfaces of `-k` that `rules` are planned for. */
export function plannedVirtualNics(rules: readonly Rule[]): string[] {
  const inserted = rules.filter(({ chain, insertAt }) => chain === "PREROUTING" && insertAt !== undefined);
  return inserted.flatMap(({ match }) => incomingInterface(match));
}

/** The interfaces of `-k` that are to be seen in live rules: what comes from there is redirected as outbound. */
export function liveVirtualNics(state: readonly SavedTable[]): string[] {
  const redirects = state
    .flatMap(({ rules }) => rules)
    .filter((rule) => rule.chain === "PREROUTING" && leadsToOwnChain(rule));
  return redirects.flatMap(({ words }) => incomingInterface(words));
}

function incomingInterface(words: readonly string[]): string[] {
  const at = words.indexOf("-i");
  return at < 0 || words[at - 1] === "!" ? [] : [words[at + 1]!];
}
