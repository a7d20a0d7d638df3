// The README's reference tables: one row a setting, from the same schemas that read the settings. Run by scripts/docs.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DemoSchema } from "../../src/config/demo-schema.ts";
import { InitSchema } from "../../src/config/init-schema.ts";
import { ProxySchema } from "../../src/config/proxy-schema.ts";
import { RulesSchema } from "../../src/config/rules-schema.ts";
import { type CommandSchema, type Setting, settingsOf } from "../../src/config/setting.ts";

/** The verbs that have a table, and whether their settings are keys of a file too. */
const TABLES: Readonly<Record<string, { schema: CommandSchema; file: boolean }>> = {
  init: { schema: InitSchema, file: false },
  rules: { schema: RulesSchema, file: false },
  proxy: { schema: ProxySchema, file: true },
  demo: { schema: DemoSchema, file: false },
};
const MARKED = /(<!-- settings:([\w-]+) -->\n)[\s\S]*?(<!-- \/settings -->)/g;

const code = (text: string) => `\`${text.replaceAll("|", "\\|")}\``;
const cell = (text: string) => text.replaceAll("|", "\\|");

/** A Markdown table; columns that would be empty in every row are left out. */
function settingsTable(settings: readonly Setting[], file: boolean): string {
  const columns: [title: string, of: (setting: Setting) => string][] = [
    ["flag", flagCell],
    ["file key", ({ key, flagOnly }) => (file && !flagOnly ? code(key) : "")],
    ["environment", ({ env }) => env.map(code).join(", ")],
    ["default", ({ defaultValue }) => defaultCell(defaultValue)],
    ["meaning", ({ description }) => cell(description)],
  ];
  const visible = settings.filter((setting) => !setting.hidden);
  const used = columns.filter(([, of]) => visible.some((setting) => of(setting) !== ""));
  const rows = visible.map((setting) => used.map(([, of]) => of(setting)));
  return [used.map(([title]) => title), used.map(() => "---"), ...rows]
    .map((row) => `| ${row.join(" | ")} |\n`)
    .join("");
}

function flagCell({ flag, short, value }: Setting): string {
  if (flag === undefined) return "";
  const long = code(`--${flag}${value === undefined ? "" : ` ${value}`}`);
  return short === undefined ? long : `${code(`-${short}`)}, ${long}`;
}

function defaultCell(value: unknown): string {
  if (value === undefined || value === "" || typeof value === "object") return "";
  return code(String(value));
}

const file = join(import.meta.dir, "../../README.md");
const before = readFileSync(file, "utf8");
const names: string[] = [];
const after = before.replace(MARKED, (_, open: string, name: string, close: string) => {
  const table = TABLES[name];
  if (table === undefined)
    throw new Error(`README.md asks for settings:${name}; there are ${Object.keys(TABLES).join(", ")}`);
  names.push(name);
  return `${open}${settingsTable(settingsOf(table.schema), table.file)}${close}`;
});
const missing = Object.keys(TABLES).filter((name) => !names.includes(name));
if (missing.length > 0) {
  process.stderr.write(`scripts/docs: README.md has no <!-- settings:${missing[0]} --> … <!-- /settings -->\n`);
  process.exit(1);
}
if (process.argv.includes("--check")) {
  if (after !== before) {
    process.stderr.write("scripts/docs: the tables of README.md are out of date; run scripts/docs\n");
    process.exit(1);
  }
} else if (after !== before) {
  writeFileSync(file, after);
}
