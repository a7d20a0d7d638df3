// What iptables-restore has to be fed to get from the live rules to the wanted ones, in one transaction a table. Pure.
// Our chains are made or flushed, our old jumps and stale chains go, everything is added: there is no moment without
// rules, and what belongs to others is neither moved nor touched. The text is for `--noflush`.
import { normalForm } from "./normal-form.ts";
import { leadsToOwnChain, ownRulesOutside } from "./ownership.ts";
import { jumpTarget, type SavedRule, type SavedTable } from "./parse.ts";
import { byFamily } from "./render.ts";
import { BUILT_IN_CHAINS, isOwnChain, type Rule, ruleWords } from "./rule.ts";

/** One of our chains as it shall be. */
interface WantedChain {
  readonly name: string;
  /** Rules after the chain's name. */
  readonly rules: readonly string[];
}

/** A rule of ours in somebody else's chain. */
interface PlacedRule {
  readonly chain: string;
  readonly text: string;
  readonly normal: string;
  /** 1 is the head; absent: appended. */
  readonly insertAt?: number | undefined;
  /** Counted with others' rules, when it is to be put back at its place exactly. */
  readonly place?: number;
}

interface WantedTable {
  readonly chains: readonly WantedChain[];
  readonly placed: readonly PlacedRule[];
}

const NOTHING: WantedTable = { chains: [], placed: [] };

/**
 * From `state`, whatever flags it was made with, to `rules`, which are all of one family; no rules at all: clean-up.
 * `virtualNics` are the interfaces of `-k` of the state and of the plan (see ownership.ts). Empty text: nothing to do.
 */
export function restoreInput(
  state: readonly SavedTable[],
  rules: readonly Rule[],
  virtualNics: ReadonlySet<string>,
): string {
  const wanted = wantedByRules(rules);
  return tablesText(state, wanted, (table) => {
    const current = ownRulesOutside(table, virtualNics);
    const surviving = new Set((wanted.get(table.name) ?? NOTHING).chains.map(({ name }) => name));
    // A stranger's chain may go on jumping to one of ours as long as that exists.
    const isKept = (rule: SavedRule) => !BUILT_IN_CHAINS.has(rule.chain) && surviving.has(jumpTarget(rule.words)!);
    return [...current].filter((rule) => !isKept(rule));
  });
}

/** From `state` back to what was ours in `snapshot`. Only our part of it: others may have changed theirs meanwhile. */
export function rollbackInput(
  state: readonly SavedTable[],
  snapshot: readonly SavedTable[],
  virtualNics: ReadonlySet<string>,
): string {
  const before = new Map(snapshot.map((table) => [table.name, wantedBySnapshot(table, virtualNics)]));
  return tablesText(state, before, (table) => [...ownRulesOutside(table, virtualNics)]);
}

function tablesText(
  state: readonly SavedTable[],
  wanted: ReadonlyMap<string, WantedTable>,
  removable: (table: SavedTable) => readonly SavedRule[],
): string {
  const names = [...new Set([...state.map(({ name }) => name), ...wanted.keys()])].sort();
  return names
    .map((name) => {
      const table = state.find((saved) => saved.name === name) ?? { name, chains: [], rules: [] };
      return tableText(table, wanted.get(name) ?? NOTHING, removable(table));
    })
    .join("");
}

function tableText(table: SavedTable, wanted: WantedTable, removable: readonly SavedRule[]): string {
  const existing = table.chains.map(({ name }) => name).filter(isOwnChain);
  const kept = wanted.chains.map(({ name }) => name);
  const { removed, added } = placement(table, wanted.placed, removable);
  const stale = existing.filter((name) => !kept.includes(name));
  const isUnchanged = stale.length + removed.length + added.length === 0;
  if (isUnchanged && wanted.chains.every((chain) => isCurrent(table, chain))) return "";
  const lines = [
    ...[...new Set([...kept, ...existing])].map((name) => `:${name} - [0:0]`),
    ...removed.map(({ chain, text }) => `-D ${chain} ${text}`),
    ...stale.map((name) => `-X ${name}`),
    ...wanted.chains.flatMap(({ name, rules }) => rules.map((text) => `-A ${name} ${text}`)),
    ...added.map(({ chain, text, insertAt }) =>
      insertAt === undefined ? `-A ${chain} ${text}` : `-I ${chain} ${insertAt} ${text}`,
    ),
  ].map((line) => line.trimEnd());
  return [`*${table.name}`, ...lines, "COMMIT", ""].join("\n");
}

/** The chain is there with these very rules: left alone, it keeps its counters. */
function isCurrent(table: SavedTable, { name, rules }: WantedChain): boolean {
  const live = table.rules.filter(({ chain }) => chain === name);
  return (
    table.chains.some((chain) => chain.name === name) &&
    live.length === rules.length &&
    live.every(({ words }, index) => normalForm(words) === normalForm(rules[index]!.split(" ")))
  );
}

/** Rules of ours in others' chains: which go and which come. A chain that is right already is left alone, so that our
 *  rules keep their place among the others'. */
function placement(table: SavedTable, placed: readonly PlacedRule[], removable: readonly SavedRule[]) {
  const chains = new Set([...placed, ...removable].map(({ chain }) => chain));
  const removed: SavedRule[] = [];
  const added: PlacedRule[] = [];
  for (const chain of chains) {
    const wanted = placed.filter((rule) => rule.chain === chain);
    const current = table.rules.filter((rule) => rule.chain === chain && removable.includes(rule));
    const superfluous = isInPlace(table, current, wanted) ? [] : without(current, inOrder(wanted));
    removed.push(...(superfluous ?? current));
    if (superfluous === undefined) added.push(...withinBounds(table, chain, wanted, current.length));
  }
  return { removed, added };
}

/** Where the inserts leave the rules: their order in a chain with nothing else. */
export function inOrder<T extends { readonly insertAt?: number | undefined }>(rules: readonly T[]): T[] {
  const result: T[] = [];
  for (const rule of rules) result.splice(rule.insertAt === undefined ? result.length : rule.insertAt - 1, 0, rule);
  return result;
}

/** The rules of a snapshot stand where they stood. */
function isInPlace(table: SavedTable, current: readonly SavedRule[], wanted: readonly PlacedRule[]): boolean {
  return (
    current.length === wanted.length &&
    current.every((rule, index) => {
      const place = table.rules.filter(({ chain }) => chain === rule.chain).indexOf(rule) + 1;
      return wanted[index]!.place === place && wanted[index]!.normal === normalForm(rule.words);
    })
  );
}

/** What is left of `current` when `wanted` is taken out in order; undefined when it is not in there, or not in its place. */
function without(current: readonly SavedRule[], wanted: readonly PlacedRule[]): SavedRule[] | undefined {
  if (wanted.some(({ place }) => place !== undefined)) return undefined;
  let next = 0;
  const rest = current.filter(({ words }) => {
    const isNext = normalForm(words) === wanted[next]?.normal;
    if (isNext) next++;
    return !isNext;
  });
  // -D takes the first of equal rules: where one of them stays, it would be the wrong one.
  const isAmbiguous = rest.some(({ words }) => wanted.some(({ normal }) => normal === normalForm(words)));
  return next === wanted.length && !isAmbiguous ? rest : undefined;
}

/** Others may have removed rules since an index was noted: an insert behind the end would fail. */
function withinBounds(
  table: SavedTable,
  chain: string,
  wanted: readonly PlacedRule[],
  removedCount: number,
): PlacedRule[] {
  const others = table.rules.filter((rule) => rule.chain === chain).length - removedCount;
  return wanted.map((rule, index) =>
    rule.insertAt === undefined ? rule : { ...rule, insertAt: Math.min(rule.insertAt, others + index + 1) },
  );
}

function wantedByRules(rules: readonly Rule[]): Map<string, WantedTable> {
  const wanted = new Map<string, WantedTable>();
  for (const { chains, rules: ours } of byFamily(rules)) {
    for (const table of new Set(ours.map((rule) => rule.table))) {
      const inTable = ours.filter((rule) => rule.table === table);
      wanted.set(table, {
        chains: chains
          .filter((chain) => chain.table === table)
          .map(({ name }) => ({ name, rules: inOrder(inTable.filter(({ chain }) => chain === name)).map(textOf) })),
        placed: inTable.filter(({ chain }) => BUILT_IN_CHAINS.has(chain)).map(placedRule),
      });
    }
  }
  return wanted;
}

const textOf = (rule: Rule): string => ruleWords(rule).join(" ");

function placedRule(rule: Rule): PlacedRule {
  const { chain, insertAt } = rule;
  return { chain, insertAt, text: textOf(rule), normal: normalForm(ruleWords(rule)) };
}

function wantedBySnapshot(table: SavedTable, virtualNics: ReadonlySet<string>): WantedTable {
  const own = ownRulesOutside(table, virtualNics);
  const placed: PlacedRule[] = [];
  const length = new Map<string, number>();
  for (const rule of table.rules) {
    const place = (length.get(rule.chain) ?? 0) + 1;
    length.set(rule.chain, place);
    const normal = normalForm(rule.words);
    if (own.has(rule)) placed.push({ chain: rule.chain, insertAt: place, place, text: rule.text, normal });
  }
  const chains = table.chains.filter(({ name }) => isOwnChain(name));
  return {
    chains: chains.map(({ name }) => ({
      name,
      rules: table.rules.filter(({ chain }) => chain === name).map(({ text }) => text),
    })),
    placed,
  };
}

/** Any chain or jump of ours: somebody has programmed the rules of a sidecar here. */
export function hasOwnRules(state: readonly SavedTable[]): boolean {
  return state.some(({ chains, rules }) => chains.some(({ name }) => isOwnChain(name)) || rules.some(leadsToOwnChain));
}
