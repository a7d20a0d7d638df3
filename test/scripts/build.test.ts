// scripts/build: a binary that does not answer is no binary, and a fresh one is left alone.
import { expect, test } from "bun:test";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Project } from "./project.ts";

const ANSWERS = `console.log("trial 1.2.3");`;
/** Compiling copies the whole of Bun. */
const COMPILE_TIMEOUT_MS = 60_000;

test(
  "compiles, leaves a fresh binary alone, and compiles again after a change",
  () => {
    using project = new Project([]);
    const agent = join(project.root, "dist/agent");
    project.write("src/main.ts", ANSWERS);
    const first = project.run("build");
    expect(first).toMatchObject({ code: 0, stdout: "" });
    expect(first.stderr).toContain("trial 1.2.3");
    const made = statSync(agent).ino;

    expect(project.run("build")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(statSync(agent).ino).toBe(made);

    project.write("src/added.ts", "");
    expect(project.run("build").code).toBe(0);
    expect(statSync(agent).ino).not.toBe(made);
  },
  COMPILE_TIMEOUT_MS,
);

test.each([
  ["does not compile", "const =", "bun build failed"],
  ["ends with 1", "process.exit(1);", "does not answer --version"],
  ["answers something else", `console.log("hello");`, 'answers --version with "hello"'],
])(
  "a program that %s leaves nothing behind",
  (_name, source, message) => {
    using project = new Project([]);
    project.write("src/main.ts", source);
    const outcome = project.run("build");
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain(message);
    expect(existsSync(join(project.root, "dist/agent"))).toBe(false);
    expect(readdirSync(join(project.root, "dist"))).toEqual([]);
  },
  COMPILE_TIMEOUT_MS,
);

test("refuses a target that Bun or the image does not know", () => {
  using project = new Project([]);
  const outcome = project.run("build", "--target", "riscv64");
  expect(outcome.code).toBe(2);
  expect(outcome.stderr).toContain('--target is amd64 or arm64, not "riscv64"');
});
