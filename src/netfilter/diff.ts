// How the live rules differ from the planned ones, in words. Pure. `init` verifies its own work with it.
import { normalForm } from "./normal-form.ts";
import { leadsToOwnChain } from "./ownership.ts";
import type { SavedTable } from "./parse.ts";
import { byFamily, ruleText } from "./render.ts";
import { inOrder } from "./restore-plan.ts";
import { BUILT_IN_CHAINS, isOwnChain, type Rule, ruleWords } from "./rule.ts";

/**
 * One sentence for each difference; none: the live rules are the planned ones. Our chains must be equal to the letter; in
 * the built-in chains ours must stand in order, with others' rules anywhere between them. Rules are all of one family.
 */
export function differences(state: readonly SavedTable[], rules: readonly Rule[]): string[] {
  const planned = byFamily(rules)[0] ?? { chains: [], rules: [] };
  const names = new Set([...state.map(({ name }) => name), ...rules.map(({ table }) => table)]);
  return [...names].flatMap((name) => {
    const table = state.find((saved) => saved.name === name) ?? { name, chains: [], rules: [] };
    const inTable = planned.rules.filter((rule) => rule.table === name);
    const chains = planned.chains.filter((chain) => chain.table === name).map((chain) => chain.name);
    return [...ownChainDifferences(table, chains, inTable), ...builtInDifferences(table, inTable)];
  });
}

function ownChainDifferences(table: SavedTable, planned: readonly string[], rules: readonly Rule[]): string[] {
  const live = table.chains.map(({ name }) => name).filter(isOwnChain);
  const unknown = live.filter((name) => !planned.includes(name)).map((name) => `chain ${name} is not planned`);
  const missing = planned.filter((name) => !live.includes(name)).map((name) => `chain ${name} is missing`);
  const changed = planned
    .filter((name) => live.includes(name))
    .flatMap((name) => {
      const wanted = inOrder(rules.filter(({ chain }) => chain === name));
      const found = table.rules.filter(({ chain }) => chain === name);
      const at = wanted.findIndex(
        (rule, index) => normalForm(ruleWords(rule)) !== normalForm(found[index]?.words ?? []),
      );
      if (at >= 0)
        return [`rule ${at + 1} of ${name} is "${found[at]?.text ?? ""}", not "${ruleWords(wanted[at]!).join(" ")}"`];
      return found.length > wanted.length ? [`${name} has ${found.length} rules, not ${wanted.length}`] : [];
    });
  return [...unknown, ...missing, ...changed];
}

function builtInDifferences(table: SavedTable, rules: readonly Rule[]): string[] {
  return [...BUILT_IN_CHAINS].flatMap((name) => {
    const wanted = inOrder(rules.filter(({ chain }) => chain === name));
    const found = table.rules.filter(({ chain }) => chain === name);
    let next = 0;
    for (const { words } of found) {
      if (next < wanted.length && normalForm(words) === normalForm(ruleWords(wanted[next]!))) next++;
    }
    if (next < wanted.length) return [`"${ruleText(wanted[next]!)}" is missing or out of order`];
    const jumps = found.filter(leadsToOwnChain).length;
    const plannedJumps = wanted.filter(({ target }) => isOwnChain(target[0]!)).length;
    return jumps > plannedJumps ? [`${name} has ${jumps} jumps to our chains, not ${plannedJumps}`] : [];
  });
}
