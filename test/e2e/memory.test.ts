// Memory does not follow the size of a body: 1 GB up and 1 GB down at the same time through the real agent process,
// each with a reader that sleeps 2 s after every 100 MB. About 25 s.
import { expect, test } from "bun:test";
import { GROWTH_LIMIT_BYTES, measureMemory } from "../../scripts/bench/memory.ts";

test("1 GB each way past sleeping readers: intact, and memory grows by less than 64 MB", async () => {
  const results = await measureMemory(["upload", "download"]);
  for (const result of results) expect(result).toMatchObject({ bytes: 1_000_000_000, intact: true, sleeps: 9 });
  expect(results.map(({ direction }) => direction)).toEqual(["upload", "download"]);
  expect(Math.max(...results.map(({ growthBytes }) => growthBytes))).toBeLessThan(GROWTH_LIMIT_BYTES);
}, 80_000);
