// The bench's arithmetic: a wrong median or ratio would make the claim about cost wrong without anybody seeing it.
import { describe, expect, test } from "bun:test";
import type { Sample } from "../../scripts/bench/load.ts";
import { type Cell, median, renderTable, summarize } from "../../scripts/bench/report.ts";

const sample = (cpuMicros: number | undefined, requestsPerSecond = 1000): Sample => ({
  cpuMicros,
  requestsPerSecond,
  p50Micros: 500,
  p99Micros: 1500,
  ownShare: 0.5,
  foreignShare: 0,
});
const cell = (subject: string, cpu: readonly (number | undefined)[], scenario = "small-get"): Cell => ({
  scenario,
  subject,
  rounds: cpu.map((value) => sample(value)),
});

describe("median", () => {
  test.each([
    ["one value", [7], 7],
    ["odd count, unsorted", [9, 1, 5], 5],
    ["even count", [1, 10, 2, 4], 3],
    ["numbers are not sorted as text", [100, 9, 20], 20],
  ])("%s", (_name, values, want) => {
    expect(median(values)).toBe(want);
  });

  test("refuses an empty list", () => {
    expect(() => median([])).toThrow(RangeError);
  });
});

describe("summarize", () => {
  test("compares with nginx round by round, not median by median", () => {
    const [agent] = summarize([cell("agent", [10, 40, 30]), cell("nginx", [10, 20, 30])]);
    // Ratios 1, 2, 1; the medians alone would give 30 / 20.
    expect(agent).toMatchObject({ cpuMicros: 30, bestCpuMicros: 10, ratioToNginx: 1, spread: 1 });
  });

  test("compares within a scenario only", () => {
    const rows = summarize([cell("agent", [10]), cell("nginx", [100], "close"), cell("nginx", [5])]);
    expect(rows.map((row) => row.ratioToNginx)).toEqual([2, 1, 1]);
  });

  test("direct has no CPU column, and without nginx there is no ratio", () => {
    const [direct, haproxy] = summarize([cell("direct", [undefined, undefined]), cell("haproxy", [12, 14])]);
    expect(direct).toMatchObject({ cpuMicros: undefined, ratioToNginx: undefined, spread: undefined });
    expect(haproxy).toMatchObject({ cpuMicros: 13, ratioToNginx: undefined, requestsPerSecond: 1000 });
  });
});

test("renderTable aligns the columns", () => {
  const rows = summarize([cell("direct", [undefined]), cell("agent", [12, 13.02, 14]), cell("nginx", [13, 13.02, 14])]);
  expect(renderTable("small GET", rows)).toBe(
    [
      "small GET",
      "          CPU µs/req  best  vs nginx  spread  req/s  core used  p99 ms",
      "  direct           -     -         -       -   1000          -     1.5",
      "  agent         13.0  12.0      1.00    15 %   1000       50 %     1.5",
      "  nginx         13.0  13.0      1.00     8 %   1000       50 %     1.5",
    ].join("\n"),
  );
});
