import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { parseFlags } from "../../src/config/flags.ts";
import { type ResolveOptions, resolve, type Sources } from "../../src/config/resolve.ts";
import { settingsOf } from "../../src/config/setting.ts";
import { Bool, Duration, Port, Text } from "../../src/config/units.ts";
import { parseYamlSource } from "../../src/config/yaml-source.ts";

const SCHEMA = v.pipe(
  v.strictObject({
    config: v.pipe(v.optional(Text), v.metadata({ flag: "config", value: "FILE", flagOnly: true })),
    statusPort: v.pipe(
      v.optional(Port, "15020"),
      v.metadata({ flag: "status-port", short: "s", env: ["STATUS_PORT"], value: "PORT" }),
    ),
    healthPort: v.pipe(v.optional(Port, "15021"), v.metadata({ flag: "health-port", value: "PORT" })),
    drain: v.pipe(
      v.optional(Duration, "5s"),
      v.metadata({ flag: "drain", env: ["DRAIN", "OLD_DRAIN"], value: "DURATION" }),
    ),
    dryRun: v.pipe(v.optional(Bool, "false"), v.metadata({ flag: "dry-run", env: ["DRY_RUN"] })),
    cidr: v.pipe(v.optional(Text, "none"), v.metadata({ flag: "cidr", env: ["CIDR"], value: "CIDR" })),
    rules: v.pipe(
      v.optional(
        v.array(
          v.pipe(v.strictObject({ name: Text, port: v.optional(Port) }), v.metadata({ unsupported: ["retries"] })),
        ),
        [],
      ),
      v.metadata({ fileOnly: true }),
    ),
  }),
  v.metadata({ unsupported: ["drainDuration"] }),
  v.rawCheck(({ dataset, addIssue }) => {
    if (dataset.typed && dataset.value.statusPort === dataset.value.healthPort) {
      addIssue({ message: "{statusPort} and {healthPort} must differ" });
    }
  }),
);

interface Given {
  argv?: string[];
  env?: Sources["environment"];
  file?: string;
  inline?: string;
  options?: ResolveOptions;
}

function run({ argv = [], env = {}, file, inline, options }: Given) {
  const documents: Sources["documents"][number][] = [];
  const add = (kind: "file" | "PROXY_CONFIG", name: string, text: string | undefined) => {
    if (text === undefined) return;
    const parsed = parseYamlSource(name, text);
    if ("problems" in parsed) throw new Error(parsed.problems.join("\n"));
    documents.push({ kind, yaml: parsed.source });
  };
  add("file", "a.yaml", file);
  add("PROXY_CONFIG", "PROXY_CONFIG", inline);
  const flags = parseFlags(settingsOf(SCHEMA), argv);
  expect(flags.problems).toEqual([]);
  return resolve(SCHEMA, { flags: flags.values, environment: env, documents }, options);
}

describe("precedence", () => {
  const file = "statusPort: 1\n";
  const inline = "statusPort: 2\n";
  const env = { STATUS_PORT: "3" };
  const argv = ["--statusPort", "4"];
  test.each<[string, Given, number, string | undefined]>([
    ["defaults", {}, 15_020, undefined],
    ["the file", { file }, 1, "a.yaml:1:13: statusPort"],
    ["PROXY_CONFIG over the file", { file, inline }, 2, "PROXY_CONFIG:1:13: statusPort"],
    ["the environment over both", { file, inline, env }, 3, "STATUS_PORT"],
    ["a flag over everything", { file, inline, env, argv }, 4, "--statusPort"],
    ["a flag over the file alone", { file, argv: ["-s4"] }, 4, "-s"],
    ["PROXY_CONFIG alone", { inline }, 2, "PROXY_CONFIG:1:13: statusPort"],
    ["a file that does not have the setting", { file: "drain: 1s" }, 15_020, undefined],
    ["a file key without a value", { file: "statusPort:" }, 15_020, undefined],
    ["an empty variable is not there", { file, env: { STATUS_PORT: "" } }, 1, "a.yaml:1:13: statusPort"],
  ])("%s", (_name, given, port, name) => {
    const { config, given: names, problems } = run(given);
    expect(problems).toEqual([]);
    expect(config?.statusPort).toBe(port);
    expect(names.get("statusPort")?.name).toBe(name);
  });

  test("each setting has its own source", () => {
    const { config, given } = run({
      file: "drain: 1s\nrules: [{ name: a }]",
      env: { DRY_RUN: "t" },
      argv: ["--status-port=7"],
    });
    expect(config).toEqual({
      statusPort: 7,
      healthPort: 15_021,
      drain: 1_000,
      dryRun: true,
      cidr: "none",
      rules: [{ name: "a" }],
    });
    expect([...given].map(([key, { source }]) => [key, source])).toEqual([
      ["drain", "file"],
      ["rules", "file"],
      ["statusPort", "flag"],
      ["dryRun", "env"],
    ]);
  });

  test("the first variable that is set wins", () => {
    expect(run({ env: { OLD_DRAIN: "2s" } }).config?.drain).toBe(2_000);
    expect(run({ env: { DRAIN: "1s", OLD_DRAIN: "2s" } }).config?.drain).toBe(1_000);
  });

  test("an empty flag is a value", () => {
    expect(run({ argv: ["--cidr", ""] }).config?.cidr).toBe("");
  });

  test("a stronger source replaces a list as a whole", () => {
    expect(run({ file: "rules: [{ name: a }, { name: b }]", inline: "rules: [{ name: c }]" }).config?.rules).toEqual([
      { name: "c" },
    ]);
  });
});

describe("problems", () => {
  test.each<[string, Given, string[]]>([
    ["a flag", { argv: ["--status-port", "abc"] }, ['--status-port "abc": must be a port number (0-65535)']],
    ["a short flag", { argv: ["-s", "abc"] }, ['-s "abc": must be a port number (0-65535)']],
    ["an empty flag", { argv: ["-s", ""] }, ['-s "": must be a port number (0-65535)']],
    ["a variable", { env: { STATUS_PORT: "http" } }, ['STATUS_PORT="http": must be a port number (0-65535)']],
    ["a boolean flag", { argv: ["--dry-run=maybe"] }, ['--dry-run "maybe": must be true or false']],
    ["control characters", { argv: ["-s", "a\nb\x1b"] }, ['-s "a\\nb\\u001b": must be a port number (0-65535)']],
    ["a long value", { argv: ["-s", "a".repeat(100)] }, [`-s "${"a".repeat(60)}…": must be a port number (0-65535)`]],
    ["a file", { file: "# c\n\nstatusPort: http\n" }, ["a.yaml:3:13: statusPort: must be a port number (0-65535)"]],
    [
      "PROXY_CONFIG",
      { inline: "{ statusPort: [1] }" },
      ["PROXY_CONFIG:1:15: statusPort: must be a port number (0-65535)"],
    ],
    [
      "a duration without unit",
      { file: "drain: 5" },
      ["a.yaml:1:8: drain: must be a duration such as 250ms, 5s or 1m30s, at most 596h"],
    ],
    ["an unknown key", { file: "statusPrt: 1" }, ["a.yaml:1:1: statusPrt: unknown key; did you mean statusPort?"]],
    [
      "an unknown key without a value",
      { file: "statusPrt:" },
      ["a.yaml:1:1: statusPrt: unknown key; did you mean statusPort?"],
    ],
    [
      "keys that objects have anyway",
      { file: "toString: 1\nconstructor: 2\n__proto__: 3" },
      [
        "a.yaml:1:1: toString: unknown key",
        "a.yaml:2:1: constructor: unknown key",
        "a.yaml:3:1: __proto__: unknown key",
      ],
    ],
    [
      "a key of Istio's",
      { file: "drainDuration: 45s" },
      ["a.yaml:1:1: drainDuration: known to Istio, not supported yet"],
    ],
    ["a flag in a file", { file: "config: x" }, ["a.yaml:1:1: config: only a flag, not a key of a file"]],
    [
      "a nested type",
      { file: "rules:\n  - name: 5\n" },
      ["a.yaml:2:11: rules[0].name: must be text; put it in quotes"],
    ],
    [
      "a nested unknown key",
      { file: "rules:\n  - { name: a, prt: 1 }\n" },
      ["a.yaml:2:16: rules[0].prt: unknown key; did you mean port?"],
    ],
    [
      "a nested key of Istio's",
      { file: "rules: [{ name: a, retries: {} }]" },
      ["a.yaml:1:20: rules[0].retries: known to Istio, not supported yet"],
    ],
    ["a nested key that is missing", { file: "rules: [{ port: 1 }]" }, ["a.yaml:1:9: rules[0].name: is missing"]],
    ["no list", { file: "rules: { name: a }" }, ["a.yaml:1:8: rules: must be a list"]],
    ["no mapping", { file: "rules: [a]" }, ["a.yaml:1:9: rules[0]: must be a mapping of keys to values"]],
    [
      "a file is checked where a flag overrides it",
      { file: "statusPort: http", argv: ["-s", "1"] },
      ["a.yaml:1:13: statusPort: must be a port number (0-65535)"],
    ],
    ["a variable is not looked at where a flag is given", { env: { STATUS_PORT: "http" }, argv: ["-s", "1"] }, []],
    ["settings that do not go together", { argv: ["-s", "15021"] }, ["-s and --health-port (by default) must differ"]],
    [
      "the same from a file",
      { file: "statusPort: 1\nhealthPort: 1" },
      ["a.yaml:1:13: statusPort and a.yaml:2:13: healthPort must differ"],
    ],
    [
      "nothing misleading about a setting that is wrong anyway",
      { file: "statusPort: x", argv: ["--health-port", "15020"] },
      ["a.yaml:1:13: statusPort: must be a port number (0-65535)"],
    ],
  ])("%s", (_name, given, problems) => {
    const result = run(given);
    expect(result.problems).toEqual(problems);
    expect(result.config === undefined).toBe(problems.length > 0);
  });

  test("all at once: files in the order of their text, then variables and flags in the order of the settings", () => {
    const { problems } = run({
      file: "rules: [{ prt: 1, name: 2 }]\ndrain: x\nstatusPrt: 1\n",
      inline: "dryRun: maybe",
      env: { STATUS_PORT: "x" },
      argv: ["--drain", "y", "--health-port", "z"],
    });
    expect(problems.map((problem) => problem.replace(/: must be .*/, ""))).toEqual([
      "a.yaml:1:11: rules[0].prt: unknown key; did you mean port?",
      "a.yaml:1:25: rules[0].name",
      "a.yaml:2:8: drain",
      "a.yaml:3:1: statusPrt: unknown key; did you mean statusPort?",
      "PROXY_CONFIG:1:9: dryRun",
      'STATUS_PORT="x"',
      '--health-port "z"',
      '--drain "y"',
    ]);
  });
});

describe("the environment", () => {
  test("a variable that Kubernetes sets for a service of that name is ignored with a warning", () => {
    const { config, warnings, problems } = run({ env: { STATUS_PORT: "tcp://10.96.0.7:80" } });
    expect(problems).toEqual([]);
    expect(config?.statusPort).toBe(15_020);
    expect(warnings).toEqual([
      'STATUS_PORT="tcp://10.96.0.7:80" is ignored: Kubernetes sets it for a service of that name',
    ]);
  });

  const lenient = { lenientEnvironment: true };
  test("leniently, a bad variable is ignored with a warning, and the next one is looked at", () => {
    const { config, warnings, problems } = run({
      env: { DRY_RUN: "yes", DRAIN: "x", OLD_DRAIN: "2s" },
      options: lenient,
    });
    expect(problems).toEqual([]);
    expect(config).toMatchObject({ dryRun: false, drain: 2_000 });
    expect(warnings).toEqual([
      'DRAIN="x": must be a duration such as 250ms, 5s or 1m30s, at most 596h; ignored',
      'DRY_RUN="yes": must be true or false; ignored',
    ]);
  });

  test("leniently, a variable that is set but empty counts as set", () => {
    const { config, given } = run({ env: { CIDR: "" }, options: lenient });
    expect(config?.cidr).toBe("");
    expect(given.get("cidr")).toEqual({ source: "env", name: "CIDR" });
  });

  test("leniently, a bad flag is still a problem", () => {
    expect(run({ argv: ["-s", "x"], options: lenient }).problems).toHaveLength(1);
  });
});
