import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { type HelpTexts, renderHelp, renderOverview } from "../../src/config/help.ts";
import { settingsOf } from "../../src/config/setting.ts";
import { Bool, Port, Text } from "../../src/config/units.ts";
import { expectGolden } from "../golden.ts";

const TEXTS: HelpTexts = {
  name: "example",
  summary: "show what a help text looks like",
  details:
    "A paragraph about the command, long enough to be broken into lines where the terminal is narrow.\n\nAnd one more.",
  examples: [["agent example --inbound-port 1", "What this command does, in a sentence that may be long."]],
  file: true,
};
const SETTINGS = settingsOf(
  v.strictObject({
    inboundPort: v.pipe(
      v.optional(Port, "15006"),
      v.description("Where redirected inbound connections arrive, which is a sentence of some length."),
      v.metadata({ flag: "inbound-port", short: "p", env: ["INBOUND_PORT"], value: "PORT", group: "Ports" }),
    ),
    long: v.pipe(
      v.optional(Text, ""),
      v.description("A flag whose name does not fit into its column."),
      v.metadata({ flag: "a-flag-with-a-very-long-name-indeed", value: "TEXT", group: "Ports" }),
    ),
    dryRun: v.pipe(
      v.optional(Bool, "false"),
      v.description("Change nothing."),
      v.metadata({ flag: "dry-run", short: "n" }),
    ),
    verify: v.pipe(v.optional(Bool, "true"), v.description("Look again afterwards."), v.metadata({ flag: "verify" })),
    user: v.pipe(
      v.optional(Text, "istio-proxy"),
      v.description("A setting that is a variable only."),
      v.metadata({ env: ["ENVOY_USER"], value: "NAME" }),
    ),
    secret: v.pipe(v.optional(Text), v.description("Not shown."), v.metadata({ flag: "secret", hidden: true })),
    rules: v.pipe(v.optional(v.array(Text), []), v.description("Rules."), v.metadata({ fileOnly: true })),
  }),
);

test.each([60, 100])("%d columns", (width) => {
  const text = renderHelp(TEXTS, SETTINGS, { width, color: false });
  for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(width);
  expectGolden(`help-example-${width}.txt`, text);
});

test("a terminal of any width is treated as one that can be read", () => {
  const at = (width: number) => renderHelp(TEXTS, SETTINGS, { width, color: false });
  expect(at(1)).toBe(at(60));
  expect(at(1000)).toBe(at(110));
});

test("colour only adds escapes", () => {
  const colored = renderHelp(TEXTS, SETTINGS, { width: 80, color: true });
  expect(colored).toContain("\x1b[1mPorts\x1b[22m\n");
  expect(colored.replace(/\x1b\[\d+m/g, "")).toBe(renderHelp(TEXTS, SETTINGS, { width: 80, color: false }));
});

describe("overview", () => {
  test("lists the verbs in columns", () => {
    const text = renderOverview(
      [
        ["init", "program the rules"],
        ["proxy", "be the proxy"],
      ],
      { width: 80, color: false },
    );
    expect(text).toContain("  init   program the rules\n  proxy  be the proxy\n");
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });
});
