// Reads the text of iptables-save: tables, chains, rules, counters; all rules, not only ours. Pure.

/** One rule of the kernel. */
export interface SavedRule {
  readonly chain: string;
  /** Everything after the chain, as printed: it can be fed back. */
  readonly text: string;
  /** The same in words, quotes removed. */
  readonly words: readonly string[];
  /** With `iptables-save -c` only. */
  readonly packets?: number;
  readonly bytes?: number;
}

export interface SavedChain {
  readonly name: string;
  /** ACCEPT or DROP; "-" for chains that are not built in. */
  readonly policy: string;
}

export interface SavedTable {
  readonly name: string;
  readonly chains: readonly SavedChain[];
  /** In the order printed: that is the kernel's order within each chain. */
  readonly rules: readonly SavedRule[];
}

/** A line that iptables-save does not print: a version we do not know, or not its output at all. */
export class SaveFormatError extends Error {
  override name = "SaveFormatError";
}

/** Reads the output of iptables-save, with or without `-c`. Throws SaveFormatError. */
export function parseSave(text: string): SavedTable[] {
  const tables: { name: string; chains: SavedChain[]; rules: SavedRule[] }[] = [];
  let isOpen = false;
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const fail = (what: string): never => {
      throw new SaveFormatError(`line ${index + 1} of iptables-save: ${what}: ${JSON.stringify(line)}`);
    };
    if (line.startsWith("*")) {
      tables.push({ name: line.slice(1).trim(), chains: [], rules: [] });
      isOpen = true;
      continue;
    }
    const table = tables.at(-1);
    if (table === undefined || !isOpen) return fail("outside of a table");
    if (line === "COMMIT") isOpen = false;
    else if (line.startsWith(":")) table.chains.push(parseChain(line) ?? fail("not a chain"));
    else table.rules.push(parseRule(line) ?? fail("not a rule"));
  }
  return tables;
}

function parseChain(line: string): SavedChain | undefined {
  const [, name, policy] = /^:(\S+) (\S+)(?: \[\d+:\d+\])?$/.exec(line) ?? [];
  return name === undefined || policy === undefined ? undefined : { name, policy };
}

function parseRule(line: string): SavedRule | undefined {
  const [, packets, bytes, chain, text] = /^(?:\[(\d+):(\d+)\] )?-A (\S+)(?: (.*))?$/.exec(line) ?? [];
  if (chain === undefined) return undefined;
  const counters = packets === undefined ? {} : { packets: Number(packets), bytes: Number(bytes) };
  return { chain, text: text ?? "", words: splitWords(text ?? ""), ...counters };
}

/** Words as iptables writes them: double quotes around what has spaces, a backslash before `"`, `'` and `\` in them. */
function splitWords(text: string): string[] {
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"(?=\s|$)|(\S+)/g)].map(
    ([, quoted, plain]) => plain ?? quoted!.replace(/\\(.)/g, "$1"),
  );
}

/** Where a rule leads: the word after `-j` or `-g`. Undefined for a rule that only counts. */
export function jumpTarget(words: readonly string[]): string | undefined {
  const at = words.findIndex((word) => word === "-j" || word === "-g");
  return at < 0 ? undefined : words[at + 1];
}
