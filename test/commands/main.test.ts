// The frame around the verbs, as a process: what it prints where, and its exit code.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import packageJson from "../../package.json";
import { expectGolden } from "../golden.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

async function agent(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { PROXY_CONFIG: _, AGENT_DEBUG: __, ...env } = process.env;
  const child = Bun.spawn([process.execPath, MAIN, ...args], { env, stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}

describe("help", () => {
  test.each(["init", "rules", "proxy", "run", "demo", "version"])("%s", async (verb) => {
    const { code, stdout, stderr } = await agent(verb, "--help");
    expect([code, stderr]).toEqual([0, ""]);
    expectGolden(`help-${verb}.txt`, stdout);
    expect(await agent("help", verb)).toEqual({ code: 0, stdout, stderr: "" });
  });

  test("the overview, in every way to ask for it", async () => {
    const { code, stdout, stderr } = await agent("--help");
    expect([code, stderr]).toEqual([0, ""]);
    expectGolden("help.txt", stdout);
    for (const args of [[], ["-h"], ["help"], ["help", "--help"]]) expect((await agent(...args)).stdout).toBe(stdout);
  });
});

describe("version", () => {
  test.each([[["--version"]], [["version"]]])("%j", async (args) => {
    const { code, stdout } = await agent(...args);
    expect(code).toBe(0);
    expect(stdout).toBe(
      `agent ${packageJson.version} (pilotfish; Bun ${Bun.version}, linux/${process.arch === "x64" ? "amd64" : process.arch})\n`,
    );
  });

  test.each([[["--version", "-o", "json"]], [["version", "--output=json"]]])("%j", async (args) => {
    const { stdout } = await agent(...args);
    expect(JSON.parse(stdout)).toEqual({
      name: "pilotfish",
      version: packageJson.version,
      bun: Bun.version,
      os: "linux",
      arch: process.arch === "x64" ? "amd64" : process.arch,
    });
  });
});

describe("wrong usage ends with 2 and says what to do", () => {
  test.each<[string[], string]>([
    [["versoin"], 'error: unknown command "versoin"; did you mean version?\nagent --help shows what is possible\n'],
    [["zzz"], 'error: unknown command "zzz"\nagent --help shows what is possible\n'],
    [["toString"], 'error: unknown command "toString"\nagent --help shows what is possible\n'],
    [["--verson"], "error: unknown flag --verson; did you mean --version?\nagent --help shows what is possible\n"],
    [["--x", "version"], "error: unknown flag --x\nagent --help shows what is possible\n"],
    [
      ["help", "versoin"],
      'error: unknown command "versoin"; did you mean version?\nagent --help shows what is possible\n',
    ],
    [
      ["version", "--outptu", "json", "-o", "xml"],
      'error: unknown flag --outptu; did you mean --output?\nerror: -o "xml": must be text or json\nagent version --help shows what is possible\n',
    ],
    [
      ["proxy", "--inbound-port", "abc"],
      'error: --inbound-port "abc": must be a port number (0-65535)\nagent proxy --help shows what is possible\n',
    ],
    [
      ["proxy", "--inbund-port", "1"],
      "error: unknown flag --inbund-port; did you mean --inbound-port?\nagent proxy --help shows what is possible\n",
    ],
    [
      ["proxy", "--config", "/nonexistent/pilotfish.yaml"],
      'error: --config "/nonexistent/pilotfish.yaml": there is no such file\nagent proxy --help shows what is possible\n',
    ],
  ])("%j", async (args, stderr) => {
    expect(await agent(...args)).toEqual({ code: 2, stdout: "", stderr });
  });
});

test("a wrong type in a file is found at its line", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pilotfish-main-"));
  const file = join(folder, "pilotfish.yaml");
  writeFileSync(file, "# a comment\nhealthPort: 0\nstatusPort: http\n");
  const { code, stderr } = await agent("proxy", "--config", file);
  rmSync(folder, { recursive: true });
  expect(code).toBe(2);
  expect(stderr).toStartWith(`error: ${file}:3:13: statusPort: must be a port number (0-65535)\n`);
});

test("a reader that leaves early is no error", async () => {
  const child = Bun.spawn(["sh", "-c", `"$0" "$1" proxy --help | true`, process.execPath, MAIN], { stderr: "pipe" });
  expect([await child.exited, await child.stderr.text()]).toEqual([0, ""]);
});

test("a result that cannot be written is an error", async () => {
  const child = Bun.spawn(["sh", "-c", `"$0" "$1" version >/dev/full`, process.execPath, MAIN], { stderr: "pipe" });
  expect(await child.exited).toBe(1);
  expect(await child.stderr.text()).toStartWith("error: the result cannot be written to stdout: ");
});
