// Live rules for a reader and for scripts: the lines of `iptables -S`. Pure; `init` and `rules` print them.
import { leadsToOwnChain } from "./ownership.ts";
import type { SavedTable } from "./parse.ts";
import { FAMILY_NAME, TOOL } from "./render.ts";
import { type Family, isOwnChain } from "./rule.ts";

export interface FamilyState {
  readonly family: Family;
  readonly tables: readonly SavedTable[];
}

/** One table: its rules as `iptables -t TABLE -S` prints them; with counters (`-c PACKETS BYTES`) when those are known. */
export interface TableListing {
  readonly family: "IPv4" | "IPv6";
  readonly table: string;
  /** `-P`, `-N` and `-A` lines. */
  readonly rules: readonly string[];
}

/** The tables that hold chains of ours, with everything in them: others' rules decide with ours. */
export function listTables(states: readonly FamilyState[]): TableListing[] {
  return states.flatMap(({ family, tables }) =>
    tables.filter(isOurs).map((table) => ({
      family: FAMILY_NAME[family],
      table: table.name,
      rules: [
        ...table.chains.map(({ name, policy }) => (policy === "-" ? `-N ${name}` : `-P ${name} ${policy}`)),
        ...table.rules.map(({ chain, text, packets, bytes }) =>
          ["-A", chain, ...(packets === undefined ? [] : ["-c", packets, bytes]), text].join(" ").trimEnd(),
        ),
      ],
    })),
  );
}

function isOurs({ chains, rules }: SavedTable): boolean {
  return chains.some(({ name }) => isOwnChain(name)) || rules.some(leadsToOwnChain);
}

/** Text with a heading for each table that says which command prints the same. */
export function renderListing(listings: readonly TableListing[]): string {
  return listings
    .map(({ family, table, rules }) => {
      const tool = TOOL[family === "IPv4" ? 4 : 6];
      return [`# ${family}: ${tool} -t ${table} -S`, ...rules, ""].join("\n");
    })
    .join("\n");
}
