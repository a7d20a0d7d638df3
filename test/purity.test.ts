// Holds the line between the pure core and the shell: reads what each pure file of src imports and which ambient globals
// it uses. Also holds the length of every file. The one place that says which folders and files are which.
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const SRC = join(import.meta.dir, "../src");

/** Folders in which everything decides and nothing touches the world … */
const PURE_FOLDERS = ["codec", "config", "inject", "netfilter", "proxy", "route", "telemetry"];
/** … except these files. */
const SHELL_FILES = new Set([
  "config/load.ts",
  "inject/webhook.ts",
  "netfilter/apply.ts",
  "netfilter/host.ts",
  "netfilter/uninterrupted.ts",
  "netfilter/loopback-address.ts",
  "netfilter/tools.ts",
  "telemetry/sinks.ts",
]);
/** Packages that only compute. */
const PURE_PACKAGES = new Set(["valibot", "yaml", "ipaddr.js"]);

const IMPURE_GLOBALS = [
  ...["Bun", "process", "globalThis", "global", "window", "self", "require", "module"],
  ...["Date", "performance", "setTimeout", "setInterval", "setImmediate", "clearTimeout", "clearInterval"],
  ...[
    "clearImmediate",
    "queueMicrotask",
    "crypto",
    "fetch",
    "WebSocket",
    "Worker",
    "console",
    "navigator",
    "Math.random",
  ],
];
const MAX_LINES = 600;

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((file) => /\.tsx?$/.test(file))
  .sort();

function isPure(file: string): boolean {
  return PURE_FOLDERS.some((folder) => file.startsWith(`${folder}/`)) && !SHELL_FILES.has(file);
}

/** The transpiler resolves scopes: only free names are replaced, never properties, strings, comments or types. */
const marked = (name: string) => `impure_${name.replace(".", "_")}`;
const transpiler = new Bun.Transpiler({
  loader: "ts",
  target: "browser",
  define: Object.fromEntries(IMPURE_GLOBALS.map((name) => [name, marked(name)])),
});

function impureGlobals(source: string): string[] {
  const output = transpiler.transformSync(source);
  return IMPURE_GLOBALS.filter((name) => new RegExp(`\\b${marked(name)}\\b`).test(output));
}

/** Why `file` may not import `path`; undefined when it may. */
function importProblem(file: string, path: string): string | undefined {
  if (!path.startsWith(".")) return PURE_PACKAGES.has(path) ? undefined : `imports ${path}`;
  const imported = normalize(join(dirname(file), path));
  return isPure(imported) ? undefined : `imports the shell module ${imported}`;
}

describe("reading a source", () => {
  test.each([
    ["a clock", "export const now = () => Date.now();", ["Date"]],
    ["a timer", "setTimeout(() => {}, 1);", ["setTimeout"]],
    ["a runtime", "export const x = typeof Bun, y = process.env.HOME;", ["Bun", "process"]],
    ["randomness", "export const x = Math.random() + crypto.getRandomValues(y);", ["crypto", "Math.random"]],
    ["a way round", "export const x = globalThis['process'];", ["globalThis"]],
    [
      "names that only look like it",
      "// Date\nexport const x = { process: 'fetch', y: z.Date, m: Math.floor(1) };",
      [],
    ],
    ["a local of that name", "export function f(performance: number) { return performance; }", []],
    ["types", "export interface A { at: Date; process: typeof process }", []],
  ])("finds %s", (_name, source, globals) => {
    expect(impureGlobals(source)).toEqual(globals);
  });

  test.each([
    ["config/a.ts", "node:fs", "imports node:fs"],
    ["config/a.ts", "bun:ffi", "imports bun:ffi"],
    ["config/a.ts", "consola", "imports consola"],
    ["config/a.ts", "./load.ts", "imports the shell module config/load.ts"],
    ["proxy/a.ts", "../net/pool.ts", "imports the shell module net/pool.ts"],
    ["proxy/a.ts", "../codec/head.ts", undefined],
    ["config/a.ts", "valibot", undefined],
  ])("%s importing %s", (file, path, problem) => {
    expect(importProblem(file, path)).toBe(problem);
  });
});

describe("pure files", () => {
  test.each(files.filter(isPure).map((file) => [file]))("%s", (file) => {
    const source = readFileSync(join(SRC, file), "utf8");
    const imports = transpiler.scanImports(source).map(({ path }) => importProblem(file, path));
    const globals = impureGlobals(source).map((name) => `uses ${name}`);
    expect([...imports.filter((problem) => problem !== undefined), ...globals]).toEqual([]);
  });
});

test.each(files.map((file) => [file]))(`src/%s has at most ${MAX_LINES} lines`, (file) => {
  expect(readFileSync(join(SRC, file), "utf8").trimEnd().split("\n").length).toBeLessThanOrEqual(MAX_LINES);
});
