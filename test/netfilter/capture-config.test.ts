import { expect, test } from "bun:test";
import { captureWarnings } from "../../src/netfilter/capture-config.ts";
import { captureOfFlags } from "./flags.ts";

test.each<[flags: string, warnings: string[]]>([
  ["--preset sidecar", []],
  ["--preset vm", []],
  ["-b 80", []],
  ["-q 80 -x 10.0.0.0/8 -o 81", []],
  ["", ["nothing will be captured"]],
  ["-c eth1", ["nothing will be captured"]],
  ["-b 80 -d 81", ["-d has no effect"]],
  ["-i '*' -q 80", ["-q has no effect"]],
  ["-b 80 -x 10.0.0.0/8", ["-x has no effect"]],
  ["-b 80 -o 80", ["-o has no effect"]],
  ["-b 80 -k kv0", ["-k captures nothing without -i"]],
  ["-b 80 -p 1 -z 1", ["-p and -z are both 1"]],
])("%s", (flags, warnings) => {
  const given = captureWarnings(captureOfFlags(flags));
  expect(given.map((warning, index) => warning.slice(0, warnings[index]?.length))).toEqual(warnings);
});
