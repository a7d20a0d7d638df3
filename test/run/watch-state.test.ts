// The pipe between supervisor and guardian: whatever arrives before the end, the last whole line counts.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatWatchState, lastWatchState, type WatchState } from "../../src/run/watch-state.ts";

const state: fc.Arbitrary<WatchState> = fc.record({
  proxy: fc.option(fc.record({ pid: fc.nat(), startTime: fc.stringMatching(/^\d{1,9}$/) })),
  rules: fc.constantFrom("none", "pending", "there"),
  midstream: fc.option(fc.constantFrom("0", "1")),
  drainMs: fc.nat(),
  isOrderly: fc.boolean(),
});

test("the last whole line, cut anywhere", () => {
  fc.assert(
    fc.property(fc.array(state), state, fc.nat(), (earlier, last, cut) => {
      const whole = earlier.map(formatWatchState).join("");
      const line = formatWatchState(last);
      expect(lastWatchState(whole + line)).toEqual(last);
      const before = earlier.at(-1);
      if (before === undefined) expect(lastWatchState(line.slice(0, cut % line.length))).toBeUndefined();
      else expect(lastWatchState(whole + line.slice(0, cut % line.length))).toEqual(before);
    }),
  );
});

test("nothing came", () => expect(lastWatchState("")).toBeUndefined());
