// Brings the kernel from whatever rules of ours it has to the planned ones, or to none, and proves it. Shell.
// What to feed is decided by restore-plan.ts. `init`, `run` and `demo` call applyRules and removeRules.
import { CommandError } from "../config/errors.ts";
import { differences } from "./diff.ts";
import { mayChangeRules } from "./host.ts";
import type { FamilyState } from "./listing.ts";
import { addPassthroughAddress, removePassthroughAddress } from "./loopback-address.ts";
import { liveVirtualNics, plannedVirtualNics } from "./ownership.ts";
import { parseSave } from "./parse.ts";
import { FAMILY_NAME, TOOL } from "./render.ts";
import { hasOwnRules, restoreInput, rollbackInput } from "./restore-plan.ts";
import type { Family, Rule } from "./rule.ts";
import { findTools, requireTools, restore, save, type Toolset } from "./tools.ts";
import { uninterrupted } from "./uninterrupted.ts";

/** A family, the rules it shall have, and those it had before. */
interface Change extends FamilyState {
  readonly tools: Toolset;
  readonly rules: readonly Rule[];
  /** Interfaces of -k, before and after. */
  readonly virtualNics: ReadonlySet<string>;
  readonly input: string;
}

/**
 * Makes the rules of both families those of `rules`, each family in one transaction, and verifies them. A family without
 * planned rules loses what it has of ours. On failure both families get back what they had, and a CommandError says why.
 * Returns the live rules of the planned families.
 */
export async function applyRules(rules: readonly Rule[]): Promise<FamilyState[]> {
  assertMayChangeRules();
  const families = [...new Set(rules.map(({ family }) => family))];
  const changes = await prepare(families, (family) => rules.filter((rule) => rule.family === family), rules);
  for (const { tools, input } of changes) if (input !== "") await restore(tools, input, true);
  return uninterrupted(async () => {
    try {
      await commit(changes);
      const states = await verify(changes);
      if (families.includes(6)) addPassthroughAddress();
      else if (changes.some((change) => change.family === 6 && change.input !== "")) removePassthroughAddress();
      return states.filter(({ family }) => families.includes(family));
    } catch (error) {
      throw withRollback(error, await rollBack(changes));
    }
  });
}

/**
 * Removes every chain and rule of ours from both families, whatever flags they were made with, and ::6 from lo. Rules of
 * the current flags, `planned`, help where the live rules alone do not tell (see ownership.ts). Empty built-in tables stay.
 * Returns whether there was anything to remove.
 */
export async function removeRules(planned: readonly Rule[] = []): Promise<boolean> {
  assertMayChangeRules();
  const changes = await prepare([4], () => [], planned);
  const pending = changes.filter(({ input }) => input !== "");
  // A family that cannot be cleaned does not keep the other from it.
  const { outcomes, hadAddress } = await uninterrupted(async () => ({
    outcomes: await Promise.allSettled(pending.map((change) => commit([change]))),
    hadAddress: removePassthroughAddress(),
  }));
  const failures = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [messageOf(outcome.reason)] : []));
  if (failures.length > 0) throw new CommandError(`not all rules could be removed: ${failures.join("; ")}`);
  return pending.length > 0 || hadAddress;
}

/** What removeRules would feed, each family after a comment that names the tool; empty when there is nothing to remove. */
export async function removalText(planned: readonly Rule[] = []): Promise<string> {
  assertMayChangeRules();
  const changes = await prepare([4], () => [], planned);
  return changes
    .filter(({ input }) => input !== "")
    .map(({ family, input }) => `# ${TOOL[family]}-restore --noflush\n${input}`)
    .join("");
}

/** The live rules of both families, with counters. A family that is not installed is left out, unless none is. */
export async function readRules(): Promise<FamilyState[]> {
  assertMayChangeRules();
  requireTools(4);
  const states = await Promise.all(toolsets([4]).map((tools) => readState(tools, true, true)));
  return states.filter((state) => state !== undefined);
}

/** Whether anybody has programmed a sidecar's rules in this network namespace. */
export async function hasRules(): Promise<boolean> {
  return (await readRules()).some(({ tables }) => hasOwnRules(tables));
}

function assertMayChangeRules(): void {
  if (mayChangeRules()) return;
  throw new CommandError("netfilter rules need root or NET_ADMIN", {
    hint: "run it with sudo, or give the init container the capabilities NET_ADMIN and NET_RAW",
  });
}

/** The tools of the families that must be there, and of the other if it is: it may hold rules of an earlier run. */
function toolsets(needed: readonly Family[]): Toolset[] {
  return ([4, 6] as const)
    .map((family) => (needed.includes(family) ? requireTools(family) : findTools(family)))
    .filter((tools) => tools !== undefined);
}

/** Undefined: the kernel lacks the family, and it is not needed. */
async function readState(tools: Toolset, isOptional: boolean, withCounters = false): Promise<FamilyState | undefined> {
  try {
    return { family: tools.family, tables: parseSave(await save(tools, withCounters)) };
  } catch (error) {
    if (isOptional && tools.family === 6) return undefined;
    throw new CommandError(`cannot read the ${FAMILY_NAME[tools.family]} rules: ${messageOf(error)}`, { cause: error });
  }
}

/** Reads what is there and decides what to feed. `planned` are rules of the current flags, also where they only go. */
async function prepare(
  needed: readonly Family[],
  rulesOf: (family: Family) => readonly Rule[],
  planned: readonly Rule[],
): Promise<Change[]> {
  const states = await Promise.all(
    toolsets(needed).map(async (tools) => ({ tools, state: await readState(tools, !needed.includes(tools.family)) })),
  );
  const live = states.flatMap(({ state }) => state?.tables ?? []);
  const virtualNics = new Set([...plannedVirtualNics(planned), ...liveVirtualNics(live)]);
  return states.flatMap(({ tools, state }) => {
    if (state === undefined) return [];
    const rules = rulesOf(tools.family);
    return [{ ...state, tools, rules, virtualNics, input: restoreInput(state.tables, rules, virtualNics) }];
  });
}

async function commit(changes: readonly Change[]): Promise<void> {
  for (const { tools, input } of changes) if (input !== "") await restore(tools, input);
}

async function verify(changes: readonly Change[]): Promise<FamilyState[]> {
  const states: FamilyState[] = [];
  for (const { tools, rules, family } of changes) {
    const state = await readState(tools, false);
    const [difference] = differences(state?.tables ?? [], rules);
    if (difference !== undefined) {
      throw new CommandError(`the kernel's ${FAMILY_NAME[family]} rules are not the planned ones: ${difference}`);
    }
    if (state !== undefined) states.push(state);
  }
  return states;
}

/** Puts our part of both families back; the sentences of what could not be put back. */
async function rollBack(changes: readonly Change[]): Promise<string[]> {
  const problems: string[] = [];
  for (const { tools, tables, virtualNics } of changes) {
    try {
      const now = parseSave(await save(tools));
      const input = rollbackInput(now, tables, virtualNics);
      if (input !== "") await restore(tools, input);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  return problems;
}

function withRollback(error: unknown, problems: readonly string[]): unknown {
  if (!(error instanceof CommandError)) return error;
  const outcome =
    problems.length === 0
      ? "the earlier rules are back"
      : `and the earlier rules could not be put back: ${problems.join("; ")}`;
  return new CommandError(`${error.message}; ${outcome}`, {
    cause: error,
    ...(error.hint ? { hint: error.hint } : {}),
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
