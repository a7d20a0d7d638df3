import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDocuments } from "../../src/config/load.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pilotfish-load-"));
  writeFileSync(join(folder, "good.yaml"), "statusPort: 1\n");
  writeFileSync(join(folder, "bad.yaml"), "a: [1\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

const load = (file: string | undefined, environment: Record<string, string> = {}) =>
  loadDocuments(new Map(file === undefined ? [] : [["config", { text: file, name: "--config" }]]), environment);

test("the file, then PROXY_CONFIG", () => {
  const { documents, problems } = load(join(folder, "good.yaml"), { PROXY_CONFIG: "{ statusPort: 2 }" });
  expect(problems).toEqual([]);
  expect(documents.map(({ kind, yaml }) => [kind, yaml.name, yaml.values])).toEqual([
    ["file", join(folder, "good.yaml"), { statusPort: 1 }],
    ["PROXY_CONFIG", "PROXY_CONFIG", { statusPort: 2 }],
  ]);
});

test.each([[{}], [{ PROXY_CONFIG: "" }]])("nothing to read: %j", (environment) => {
  expect(load(undefined, environment)).toEqual({ documents: [], problems: [] });
});

test.each([
  ["a file that is not there", "none.yaml", "there is no such file"],
  ["a folder", ".", "is a directory, not a file"],
])("%s", (_name, file, reason) => {
  expect(load(join(folder, file)).problems).toEqual([`--config "${join(folder, file)}": ${reason}`]);
});

test("an empty name", () => {
  expect(load("").problems).toEqual(['--config "": there is no such file']);
});

test("syntax errors of both", () => {
  const { documents, problems } = load(join(folder, "bad.yaml"), { PROXY_CONFIG: "- a" });
  expect(documents).toEqual([]);
  expect(problems).toEqual([
    expect.stringMatching(/bad\.yaml:2:1: /),
    expect.stringMatching(/^PROXY_CONFIG:1:1: must be a mapping of settings/),
  ]);
});
