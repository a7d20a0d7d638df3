// Rules as text: commands for a shell, or iptables-restore input as Istio writes it. Pure.
// Not what `init` feeds to iptables-restore: that also has to replace what is there, see restore-plan.ts.
import { BUILT_IN_CHAINS, type Family, isOwnChain, type Rule, ruleWords, TABLES, type Table } from "./rule.ts";

export const FAMILY_NAME: Readonly<Record<Family, "IPv4" | "IPv6">> = { 4: "IPv4", 6: "IPv6" };
/** The tool of a family; `-save` and `-restore` are appended. */
export const TOOL: Readonly<Record<Family, string>> = { 4: "iptables", 6: "ip6tables" };

/** What one family needs: chains to make, in order, and rules in the order of emission. */
export interface FamilyRules {
  readonly family: Family;
  readonly chains: readonly { readonly table: Table; readonly name: string }[];
  readonly rules: readonly Rule[];
}

/**
 * Groups rules by family. Chains come table by table; within one those with rules first, by their first rule, then those
 * that are only jumped to: the order in which Istio makes them.
 */
export function byFamily(rules: readonly Rule[]): FamilyRules[] {
  const families = [...new Set(rules.map(({ family }) => family))].sort();
  return families.map((family) => {
    const ours = rules.filter((rule) => rule.family === family);
    const chains = TABLES.flatMap((table) =>
      chainsOf(ours.filter((rule) => rule.table === table)).map((name) => ({ table, name })),
    );
    return { family, chains, rules: ours };
  });
}

function chainsOf(rules: readonly Rule[]): string[] {
  const withRules = rules.map(({ chain }) => chain).filter((chain) => !BUILT_IN_CHAINS.has(chain));
  const jumpedTo = rules.map(({ target }) => target[0]!).filter(isOwnChain);
  return [...new Set([...withRules, ...jumpedTo])];
}

/** The rule as iptables takes it after `-t TABLE`: `-A ISTIO_OUTPUT -o lo … -j RETURN`, `-I PREROUTING 1 …`. */
export function ruleText(rule: Rule): string {
  return [...placeWords(rule), ...ruleWords(rule)].join(" ");
}

function placeWords({ chain, insertAt }: Rule): string[] {
  return insertAt === undefined ? ["-A", chain] : ["-I", chain, String(insertAt)];
}

/** One command a line, chains before rules, IPv4 before IPv6: input for a shell in a namespace without rules of ours. */
export function renderCommands(rules: readonly Rule[]): string {
  return byFamily(rules)
    .flatMap(({ family, chains, rules: ours }) => [
      ...chains.map(({ table, name }) => command(family, table, ["-N", name])),
      ...ours.map((rule) => command(family, rule.table, [...placeWords(rule), ...ruleWords(rule)])),
    ])
    .map((line) => `${line}\n`)
    .join("");
}

function command(family: Family, table: Table, words: readonly string[]): string {
  return [TOOL[family], "-t", table, ...words].map(shellWord).join(" ");
}

/** A word as a POSIX shell has to see it. `!` alone is safe in scripts. */
function shellWord(word: string): string {
  return /^[\w@%+=:,./!-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Input for `iptables-restore --noflush`, a block for each family after a comment that names the tool. */
export function renderRestore(rules: readonly Rule[]): string {
  return byFamily(rules)
    .map(({ family, chains, rules: ours }) => {
      const tables = TABLES.filter((table) => ours.some((rule) => rule.table === table));
      const blocks = tables.map((table) =>
        [
          `* ${table}`,
          ...chains.filter((chain) => chain.table === table).map(({ name }) => `-N ${name}`),
          ...ours.filter((rule) => rule.table === table).map(ruleText),
          "COMMIT",
        ].join("\n"),
      );
      return `# ${TOOL[family]}-restore --noflush\n${blocks.join("\n")}\n`;
    })
    .join("");
}
