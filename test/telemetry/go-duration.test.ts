import { describe, expect, test } from "bun:test";
import { formatGoDuration } from "../../src/telemetry/go-duration.ts";

describe("formatGoDuration", () => {
  test.each([
    [0, "0s"],
    [0.000_000_4, "0s"],
    [0.000_001, "1ns"],
    [0.000_999, "999ns"],
    [0.001, "1µs"],
    [0.001_1, "1.1µs"],
    [0.999_999, "999.999µs"],
    [0.999_999_9, "1ms"],
    [1, "1ms"],
    [1.979_348, "1.979348ms"],
    [2.2, "2.2ms"],
    [3.3, "3.3ms"],
    [999.999_999, "999.999999ms"],
    [1_000, "1s"],
    [1_500, "1.5s"],
    [6_001.25, "6.00125s"],
    [59_999.999_999, "59.999999999s"],
    [60_000, "1m0s"],
    [245_001, "4m5.001s"],
    [3_600_000, "1h0m0s"],
    [3_600_000 * 5 + 60_000 * 6 + 7_001, "5h6m7.001s"],
    [3_600_000 * 30, "30h0m0s"],
    [-1.5, "-1.5ms"],
  ])("%p ms is %s", (milliseconds, text) => {
    expect(formatGoDuration(milliseconds)).toBe(text);
  });
});
