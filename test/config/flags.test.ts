import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { parseFlags } from "../../src/config/flags.ts";
import { settingsOf } from "../../src/config/setting.ts";

const SETTINGS = settingsOf(
  v.strictObject({
    inboundPort: v.pipe(v.optional(v.string()), v.metadata({ flag: "inbound-port", short: "p", value: "PORT" })),
    serviceExcludeCidr: v.pipe(
      v.optional(v.string()),
      v.metadata({ flag: "istio-service-exclude-cidr", short: "x", value: "CIDRS" }),
    ),
    dryRun: v.pipe(v.optional(v.string()), v.metadata({ flag: "dry-run", short: "n" })),
    verbose: v.pipe(v.optional(v.string()), v.metadata({ flag: "verbose", short: "v" })),
    secret: v.pipe(v.optional(v.string()), v.metadata({ flag: "secret-words", value: "TEXT", hidden: true })),
    inbound: v.pipe(v.optional(v.string()), v.metadata({ fileOnly: true })),
  }),
);

/** `key=text` by key, as typed, and the problems. */
function parse(...argv: string[]) {
  const { values, help, problems } = parseFlags(SETTINGS, argv);
  return {
    values: Object.fromEntries([...values].map(([key, { text }]) => [key, text])),
    names: [...values.values()].map(({ name }) => name),
    help,
    problems,
  };
}

describe("accepts", () => {
  test.each<[string[], Record<string, string>]>([
    [[], {}],
    [["--inbound-port", "1"], { inboundPort: "1" }],
    [["--inbound-port=1"], { inboundPort: "1" }],
    [["--inboundPort", "1"], { inboundPort: "1" }],
    [["-p", "1"], { inboundPort: "1" }],
    [["-p1"], { inboundPort: "1" }],
    [["-p=1"], { inboundPort: "1" }],
    [["-x", ""], { serviceExcludeCidr: "" }],
    [["-x="], { serviceExcludeCidr: "" }],
    [["--istio-service-exclude-cidr="], { serviceExcludeCidr: "" }],
    [["-x", "*"], { serviceExcludeCidr: "*" }],
    [["-x", "-"], { serviceExcludeCidr: "-" }],
    [["-x", "-1"], { serviceExcludeCidr: "-1" }],
    [["-x", "--other"], { serviceExcludeCidr: "--other" }],
    [["--inbound-port=a=b"], { inboundPort: "a=b" }],
    [["--inbound-port=--dry-run"], { inboundPort: "--dry-run" }],
    [["--dry-run"], { dryRun: "true" }],
    [["-n"], { dryRun: "true" }],
    [["--dry-run=false"], { dryRun: "false" }],
    [["-n=false"], { dryRun: "false" }],
    [["--dry-run=maybe"], { dryRun: "maybe" }],
    [["--no-dry-run"], { dryRun: "false" }],
    [["--no-dryRun"], { dryRun: "false" }],
    [["-nv"], { dryRun: "true", verbose: "true" }],
    [["-nvp", "1"], { dryRun: "true", verbose: "true", inboundPort: "1" }],
    [["-np1"], { dryRun: "true", inboundPort: "1" }],
    [["-p", "1", "--inboundPort=2"], { inboundPort: "2" }],
    [["--dry-run", "--no-dry-run"], { dryRun: "false" }],
    [["--secret-words", "a"], { secret: "a" }],
    [["-p", "1", "--"], { inboundPort: "1" }],
  ])("%j", (argv, values) => {
    expect(parse(...argv)).toMatchObject({ values, problems: [], help: false });
  });

  test("the name is the one the user typed, the last time", () => {
    expect(parse("--inbound-port", "1", "-p=2").names).toEqual(["-p"]);
    expect(parse("--inboundPort=1").names).toEqual(["--inboundPort"]);
  });

  test.each([[["--help"]], [["-h"]], [["-nh"]], [["--inbound-port", "1", "--help"]], [["--wrong", "-h"]]])(
    "help: %j",
    (argv) => {
      expect(parse(...argv).help).toBe(true);
    },
  );
});

describe("refuses", () => {
  test.each<[string[], string[]]>([
    [["--inbund-port", "1"], ["unknown flag --inbund-port; did you mean --inbound-port?"]],
    [["--inbund-port=1"], ["unknown flag --inbund-port; did you mean --inbound-port?"]],
    [["--zzz"], ["unknown flag --zzz"]],
    [["--secret-word"], ["unknown flag --secret-word"]],
    [["--inbound"], ["unknown flag --inbound; did you mean --inbound-port?"]],
    [["-q"], ["unknown flag -q in -q"]],
    [["-nq"], ["unknown flag -q in -nq"]],
    [
      ["-inbound-port", "1"],
      ["unknown flag -inbound-port; did you mean --inbound-port?", 'unexpected argument "1"'],
    ],
    [["--no-inbound-port"], ["--no-inbound-port: only a flag without a value can be negated; use --inbound-port PORT"]],
    [["--no-dry-run=false"], ["--no-dry-run takes no value; use --dry-run=false"]],
    [["--no-zzz"], ["unknown flag --no-zzz"]],
    [["--inbound-port"], ["--inbound-port needs a value: --inbound-port PORT"]],
    [["-p"], ["-p needs a value: -p PORT"]],
    [
      ["--inbound-port", "--dry-run"],
      [
        "--inbound-port needs a value: --inbound-port PORT, but --dry-run follows; if that is the value, write --inbound-port=--dry-run",
      ],
    ],
    [["-p", "-n"], ["-p needs a value: -p PORT, but -n follows; if that is the value, write -p=-n"]],
    [["stray"], ['unexpected argument "stray"']],
    [["-"], ['unexpected argument "-"']],
    [["--dry-run", "false"], ['unexpected argument "false"; write --dry-run=false']],
    [["--", "--dry-run"], ['unexpected argument "--dry-run"']],
    [
      ["--toString", "--constructor=1"],
      ["unknown flag --toString", "unknown flag --constructor"],
    ],
    [
      ["--wrong-1", "--wrong-2", "-p", "1"],
      ["unknown flag --wrong-1", "unknown flag --wrong-2"],
    ],
  ])("%j", (argv, problems) => {
    expect(parse(...argv).problems).toEqual(problems);
  });
});

test("any arguments end in values and problems, and what is a value was in the arguments", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "--",
      "-p",
      "-x",
      "-nv",
      "--dry-run",
      "--no-dry-run",
      "--inbound-port",
      "--inbound-port=",
      "-",
      "=",
      "--=",
    ),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (argv) => {
      for (const { text } of parseFlags(SETTINGS, argv).values.values()) {
        expect(["true", "false"].includes(text) || argv.some((argument) => argument.endsWith(text))).toBe(true);
      }
    }),
  );
});
