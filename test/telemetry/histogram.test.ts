import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Histogram, ISTIO_BOUNDS, quantile } from "../../src/telemetry/histogram.ts";

describe("Histogram", () => {
  test.each([
    [0, 0],
    [0.5, 0],
    [0.500_001, 1],
    [1, 1],
    [1.01, 2],
    [5, 2],
    [508, 9],
    [1_000, 9],
    [1_000.5, 10],
    [3_600_000, 18],
    [3_600_001, 19],
    [5e9, 19],
    [1e15, 19],
  ])("%p falls into bucket %d", (value, bucket) => {
    const histogram = new Histogram();
    histogram.observe(value);
    expect(histogram.counts.indexOf(1)).toBe(bucket);
    expect(histogram.sum).toBe(value);
  });

  test("every value falls into the first bucket that holds it", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e10, noNaN: true }), (value) => {
        const histogram = new Histogram();
        histogram.observe(value);
        const first = ISTIO_BOUNDS.findIndex((bound) => value <= bound);
        expect(histogram.counts.indexOf(1)).toBe(first < 0 ? ISTIO_BOUNDS.length : first);
      }),
    );
  });
});

describe("quantile", () => {
  const bounds = [1, 10, 100];
  test.each([
    ["nothing", [0, 0, 0, 0], 0.5, undefined],
    ["the middle of the only bucket", [0, 4, 0, 0], 0.5, 5.5],
    ["the top of the only bucket", [0, 4, 0, 0], 1, 10],
    ["the first bucket begins at 0", [10, 0, 0, 0], 0.5, 0.5],
    ["an empty bucket is skipped", [1, 0, 1, 0], 0.99, 98.2],
    ["above every bound is the highest", [0, 0, 0, 9], 0.5, 100],
  ])("%s", (_name, counts, q, want) => {
    const value = quantile(q, bounds, counts);
    expect(value === undefined ? undefined : Number(value.toFixed(6))).toBe(want);
  });
});
