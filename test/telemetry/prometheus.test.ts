import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { MetricFamily } from "../../src/telemetry/metric-family.ts";
import { ExpositionError, parseExposition, renderExposition } from "../../src/telemetry/prometheus.ts";

const labels = fc.array(fc.tuple(fc.constantFrom("a", "b_1", "le_x"), fc.string({ unit: "grapheme" })), {
  maxLength: 3,
});
const help = fc.string({ unit: "grapheme" });
const count = fc.nat({ max: 1_000_000 });
/** Without -0, which the text format writes as 0. */
const value = fc.double({ noNaN: true }).map((number) => number + 0);
const scalarFamily = fc.record({
  type: fc.constantFrom("counter" as const, "gauge" as const),
  help,
  samples: fc.array(fc.record({ labels, value }), { minLength: 1, maxLength: 3 }),
});
const histogramFamily = fc.record({
  type: fc.constant("histogram" as const),
  help,
  bounds: fc.constant([0.5, 1, 1_800_000]),
  samples: fc.array(fc.record({ labels, counts: fc.array(count, { minLength: 4, maxLength: 4 }), sum: value }), {
    minLength: 1,
    maxLength: 3,
  }),
});
const families: fc.Arbitrary<MetricFamily[]> = fc
  .array(fc.oneof(scalarFamily, histogramFamily), { maxLength: 4 })
  .map((list) => list.map((family, index) => ({ ...family, name: `family_${index}_x` })));

test("what is rendered reads back the same", () => {
  fc.assert(
    fc.property(families, (list) => {
      expect(parseExposition(renderExposition(list))).toEqual(list);
    }),
    {
      examples: [
        [
          [
            {
              type: "counter",
              name: "separators",
              help: "\u2028",
              samples: [{ labels: [["a", "\u2029\\"]], value: 1 }],
            },
          ],
        ],
      ],
    },
  );
});

test("escapes labels and help, spells infinities, makes buckets cumulative", () => {
  const text = renderExposition([
    {
      type: "gauge",
      name: "g",
      help: 'a\\b\nc"',
      samples: [{ labels: [["l", 'x"\\\n']], value: Number.POSITIVE_INFINITY }],
    },
    {
      type: "histogram",
      name: "h",
      help: "",
      bounds: [0.5, 1],
      samples: [{ labels: [], counts: [1, 2, 3], sum: 4.5 }],
    },
  ]);
  expect(text).toBe(
    '# HELP g a\\\\b\\nc"\n# TYPE g gauge\ng{l="x\\"\\\\\\n"} +Inf\n' +
      '# HELP h \n# TYPE h histogram\nh_bucket{le="0.5"} 1\nh_bucket{le="1"} 3\nh_bucket{le="+Inf"} 6\nh_sum 4.5\nh_count 6\n',
  );
});

describe("parseExposition", () => {
  test("passes over what it has no use for", () => {
    const text =
      '# a comment\n\nuntyped 1\n# TYPE s summary\ns{quantile="0.5"} 1\n# TYPE c counter\nc 2 1785740709042\n';
    expect(parseExposition(text)).toEqual([
      { type: "counter", name: "c", help: "", samples: [{ labels: [], value: 2 }] },
    ]);
  });

  test.each([
    ["c", "line 2 is not a Prometheus sample"],
    ["c{", "line 2 is not a Prometheus sample"],
    ['c{a="1} 2', "line 2 has a malformed label"],
    ["<html>", "line 2 is not a Prometheus sample"],
  ])("rejects %s", (line, message) => {
    expect(() => parseExposition(`# TYPE c counter\n${line}`)).toThrow(new ExpositionError(message));
  });
});
