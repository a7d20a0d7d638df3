import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "citty";
import * as v from "valibot";
import { type CommandContext, defineAgentCommand } from "../../src/commands/command.ts";
import { UsageError } from "../../src/config/errors.ts";
import { Port, Text } from "../../src/config/units.ts";

const SCHEMA = v.strictObject({
  config: v.pipe(v.optional(Text), v.metadata({ flag: "config", value: "FILE", flagOnly: true })),
  statusPort: v.pipe(
    v.optional(Port, "15020"),
    v.metadata({ flag: "status-port", env: ["COMMAND_TEST_PORT"], value: "PORT" }),
  ),
});

interface Ran {
  config?: v.InferOutput<typeof SCHEMA>;
  given?: CommandContext["given"];
  exitCode: typeof process.exitCode;
  problems?: string[];
}

/** Runs a command as main.ts does and gives what it got. */
async function run(rawArgs: string[], options: { file?: boolean; lenientEnvironment?: boolean } = {}): Promise<Ran> {
  const seen: Ran = { exitCode: undefined };
  const command = defineAgentCommand({
    name: "example",
    summary: "an example",
    examples: [],
    schema: SCHEMA,
    ...options,
    run: async (config, { given }) => {
      Object.assign(seen, { config, given });
      return 7;
    },
  });
  try {
    await runCommand(command, { rawArgs });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    seen.problems = error.problems;
  }
  seen.exitCode = process.exitCode;
  process.exitCode = 0;
  return seen;
}

afterEach(() => {
  delete process.env["COMMAND_TEST_PORT"];
  delete process.env["PROXY_CONFIG"];
});

test("the parsed configuration, where it came from, and the exit code", async () => {
  const { config, given, exitCode, problems } = await run(["--statusPort", "1"]);
  expect(problems).toBeUndefined();
  expect(config).toEqual({ statusPort: 1 });
  expect(given?.get("statusPort")).toEqual({ source: "flag", name: "--statusPort" });
  expect(exitCode).toBe(7);
});

describe("flags that citty would let through", () => {
  test.each<[string[], string]>([
    [["--status-prt", "1"], "unknown flag --status-prt; did you mean --status-port?"],
    [["--status-port", "1", "--unknown"], "unknown flag --unknown"],
    [["-z"], "unknown flag -z in -z"],
    [["--no-such"], "unknown flag --no-such"],
    [["positional"], 'unexpected argument "positional"'],
    [["--status-port"], "--status-port needs a value: --status-port PORT"],
    [["--status-port", "x"], '--status-port "x": must be a port number (0-65535)'],
  ])("%j", async (rawArgs, problem) => {
    const { problems, config } = await run(rawArgs);
    expect(problems).toEqual([problem]);
    expect(config).toBeUndefined();
  });
});

describe("sources", () => {
  const folder = mkdtempSync(join(tmpdir(), "pilotfish-command-"));
  const file = join(folder, "a.yaml");
  writeFileSync(file, "statusPort: 3\n");
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

  test("the environment", async () => {
    process.env["COMMAND_TEST_PORT"] = "2";
    expect((await run([])).config?.statusPort).toBe(2);
  });

  test("a file and PROXY_CONFIG, for a command that has them", async () => {
    expect((await run(["--config", file], { file: true })).config?.statusPort).toBe(3);
    process.env["PROXY_CONFIG"] = "statusPort: 4";
    expect((await run(["--config", file], { file: true })).config?.statusPort).toBe(4);
    expect((await run([])).config?.statusPort).toBe(15_020);
  });

  test("problems of flags, files and values are reported together", async () => {
    process.env["COMMAND_TEST_PORT"] = "http";
    const { problems } = await run(["--confg", "--config", join(folder, "none.yaml")], { file: true });
    expect(problems).toEqual([
      "unknown flag --confg; did you mean --config?",
      `--config "${join(folder, "none.yaml")}": there is no such file`,
      'COMMAND_TEST_PORT="http": must be a port number (0-65535)',
    ]);
  });

  test("a lenient environment", async () => {
    process.env["COMMAND_TEST_PORT"] = "http";
    expect((await run([], { lenientEnvironment: true })).config?.statusPort).toBe(15_020);
  });
});
