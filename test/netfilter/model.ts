// A model of `iptables-restore --noflush` on tables held as data: what a sound input must do, and what makes one fail.
// Knows what our inputs use: chain lines, -N, -X, -A, -I, -D, COMMIT. The real kernel is asked in test/e2e.
import { normalForm } from "../../src/netfilter/normal-form.ts";
import { jumpTarget, parseSave, type SavedTable } from "../../src/netfilter/parse.ts";
import { BUILT_IN_CHAINS } from "../../src/netfilter/rule.ts";

const NAT_CHAINS = ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"];

/** iptables-save's text of a nat table with these lines; `chains` are those that are not built in. */
export function natText(chains: readonly string[], rules: readonly string[]): string {
  const heads = [...NAT_CHAINS.map((chain) => `:${chain} ACCEPT [0:0]`), ...chains.map((chain) => `:${chain} - [0:0]`)];
  return ["*nat", ...heads, ...rules, "COMMIT", ""].join("\n");
}

export const nat = (chains: readonly string[], rules: readonly string[]): SavedTable[] =>
  parseSave(natText(chains, rules));

/** Rules of each chain, in order. */
type Chains = Map<string, string[]>;

/** Feeds `input`; throws where iptables-restore would refuse, as for a table whose old state then stays. */
export function feed(state: readonly SavedTable[], input: string): SavedTable[] {
  const chains: Chains = new Map(NAT_CHAINS.map((chain) => [chain, []]));
  for (const table of state) {
    for (const { name } of table.chains) chains.set(name, chains.get(name) ?? []);
    for (const { chain, text } of table.rules) chains.get(chain)!.push(text);
  }
  for (const line of input.split("\n")) execute(chains, line);
  for (const [chain, rules] of chains) {
    for (const rule of rules) {
      const target = jumpTarget(rule.split(" "));
      if (target?.startsWith("ISTIO_") && !chains.has(target))
        throw new Error(`${chain} jumps to ${target}, which does not exist`);
    }
  }
  const own = [...chains.keys()].filter((chain) => !BUILT_IN_CHAINS.has(chain));
  const rules = [...chains].flatMap(([chain, texts]) => texts.map((text) => `-A ${chain} ${printed(text)}`));
  return nat(own, rules);
}

/** iptables-save puts addresses first. */
function printed(text: string): string {
  const addresses = text.match(/(?:! )?-[sd] \S+/g) ?? [];
  return addresses.reduceRight(
    (rest, address) => `${address} ${rest.replace(address, "").replace("  ", " ").trim()}`,
    text,
  );
}

function execute(chains: Chains, line: string): void {
  const [command, chain = "", ...rest] = line.split(" ");
  const rules = chains.get(chain) ?? [];
  const fail = (): never => {
    throw new Error(`refused: ${line}`);
  };
  if (line === "" || line === "*nat" || line === "* nat" || line === "COMMIT" || line.startsWith("#")) return;
  if (command!.startsWith(":")) chains.set(command!.slice(1), []);
  else if (command === "-N") chains.has(chain) ? fail() : chains.set(chain, []);
  else if (command === "-X") chains.get(chain)?.length === 0 ? chains.delete(chain) : fail();
  else if (!chains.has(chain)) fail();
  else if (command === "-A") rules.push(rest.join(" "));
  else if (command === "-I") {
    const at = Number(rest[0]);
    if (at < 1 || at > rules.length + 1) fail();
    rules.splice(at - 1, 0, rest.slice(1).join(" "));
  } else if (command === "-D") {
    const at = rules.findIndex((rule) => normalForm(rule.split(" ")) === normalForm(rest));
    if (at < 0) fail();
    rules.splice(at, 1);
  } else fail();
}

/** All rules of the state as lines, in order: what must not change. */
export function lines(state: readonly SavedTable[]): string[] {
  return state.flatMap(({ rules }) => rules.map(({ chain, text }) => `-A ${chain} ${text}`)).sort(byChain);
}

/** Stable: keeps the order within a chain. */
function byChain(a: string, b: string): number {
  const [, left = ""] = a.split(" ");
  const [, right = ""] = b.split(" ");
  return left < right ? -1 : left > right ? 1 : 0;
}
