// scripts/test counts honestly: its last line and its exit code are what continuous integration believes.
import { describe, expect, test } from "bun:test";
import { Project } from "./project.ts";

const PASSES = `import { test } from "bun:test"; test("a", () => {}); test("b", () => {});`;
const FAILS = `import { expect, test } from "bun:test"; test("c", () => { expect(1).toBe(2); });`;
const SKIPS = `import { test } from "bun:test"; test.skip("d", () => {});`;
const THROWS = `throw new Error("on import");`;
const DIES = `import { test } from "bun:test"; test("e", () => { process.kill(process.pid, "SIGKILL"); });`;

function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}

describe("scripts/test unit", () => {
  test.each([
    ["all pass", { "a.test.ts": PASSES }, "2 passed, 0 failed", 0],
    ["one fails", { "a.test.ts": PASSES, "b.test.ts": FAILS }, "2 passed, 1 failed", 1],
    ["one is skipped", { "a.test.ts": PASSES, "b.test.ts": SKIPS }, "2 passed, 0 failed, 1 skipped", 1],
    ["a file throws on import", { "a.test.ts": PASSES, "b.test.ts": THROWS }, "2 passed, 1 failed", 1],
    ["the runner dies", { "a.test.ts": DIES }, "0 passed, 1 failed", 1],
    ["there is nothing to run", {}, "0 passed, 1 failed", 1],
    ["end-to-end tests are not unit tests", { "a.test.ts": PASSES, "e2e/b.test.ts": FAILS }, "2 passed, 0 failed", 0],
  ])("%s", (_name, files: Record<string, string>, summary, code) => {
    using project = new Project(["setup", "build"]);
    project.write("test/README", "");
    for (const [path, text] of Object.entries(files)) project.write(`test/${path}`, text);
    const outcome = project.run("test", "unit");
    expect({ summary: lastLine(outcome.stdout), code: outcome.code }).toEqual({ summary, code });
  });

  test("takes the files whose path has the given part", () => {
    using project = new Project(["setup", "build"]);
    project.write("test/codec/a.test.ts", PASSES);
    project.write("test/other.test.ts", FAILS);
    expect(lastLine(project.run("test", "unit", "codec/").stdout)).toBe("2 passed, 0 failed");
  });

  test("refuses an unknown argument", () => {
    using project = new Project(["setup", "build"]);
    expect(project.run("test", "--fast")).toMatchObject({ code: 2, stdout: "" });
  });
});
