// The timer wheel against a clock and a setTimeout of the test's own.
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import fc from "fast-check";
import { Deadline, Timers } from "../../src/net/timers.ts";

/** Time that only passes when told to. One timer at most is armed: that is the wheel's promise. */
class FakeTime {
  nowMs = 12_345;
  #callback: (() => void) | undefined = undefined;
  #dueMs = 0;
  #handle = 0;

  get isArmed(): boolean {
    return this.#callback !== undefined;
  }

  set(callback: () => void, timeoutMs: number): number {
    expect(this.#callback).toBeUndefined();
    expect(timeoutMs).toBeGreaterThan(0);
    this.#callback = callback;
    this.#dueMs = this.nowMs + timeoutMs;
    return ++this.#handle;
  }

  clear(handle: number): void {
    expect(handle).toBe(this.#handle);
    this.#callback = undefined;
  }

  pass(ms: number): void {
    const until = this.nowMs + ms;
    while (this.#callback !== undefined && this.#dueMs <= until) {
      const callback = this.#callback;
      this.#callback = undefined;
      this.nowMs = Math.max(this.nowMs, this.#dueMs);
      callback();
    }
    this.nowMs = until;
  }

  /** The process was busy or stopped: time passes, and the timer is late. */
  jump(ms: number): void {
    this.nowMs += ms;
  }
}

let time: FakeTime;
let timers: Timers;
let spies: { mockRestore(): void }[];

beforeEach(() => {
  time = new FakeTime();
  spies = [
    spyOn(globalThis, "setTimeout").mockImplementation(((callback: () => void, ms: number) =>
      time.set(callback, ms)) as unknown as typeof setTimeout),
    spyOn(globalThis, "clearTimeout").mockImplementation(((handle: number) =>
      time.clear(handle)) as unknown as typeof clearTimeout),
  ];
  timers = new Timers(() => time.nowMs);
});

afterEach(() => {
  for (const spy of spies) spy.mockRestore();
});

/** A deadline that notes when it fired. */
function noting(fired: number[]): Deadline {
  return new Deadline(() => fired.push(time.nowMs));
}

describe("one deadline", () => {
  test.each([1, 24, 25, 26, 100, 6_399, 6_400, 6_401, 10_000, 300_000])(
    "of %i ms fires once, at most 50 ms late",
    (ms) => {
      const fired: number[] = [];
      const start = time.nowMs;
      timers.set(noting(fired), ms);
      time.pass(ms - 1);
      expect(fired).toEqual([]);
      time.pass(51);
      expect(fired).toHaveLength(1);
      expect(fired[0]! - start).toBeWithin(ms, ms + 51);
      time.pass(1_000_000);
      expect(fired).toHaveLength(1);
      expect(time.isArmed).toBe(false);
    },
  );

  test("may move later, earlier, and be taken back", () => {
    const fired: number[] = [];
    const deadline = noting(fired);
    timers.set(deadline, 100);
    timers.set(deadline, 1_000);
    time.pass(900);
    expect(fired).toEqual([]);
    timers.set(deadline, 50);
    time.pass(100);
    expect(fired).toHaveLength(1);
    timers.set(deadline, 100);
    timers.set(deadline, 0);
    time.pass(1_000);
    expect(fired).toHaveLength(1);
    timers.set(deadline, 100);
    timers.remove(deadline);
    time.pass(1_000);
    expect(fired).toHaveLength(1);
    expect(time.isArmed).toBe(false);
  });

  test("that is set again and again never fires", () => {
    const fired: number[] = [];
    const deadline = noting(fired);
    for (let round = 0; round < 1_000; round++) {
      timers.set(deadline, 500);
      time.pass(100);
    }
    expect(fired).toEqual([]);
  });

  test("may be set by its own firing", () => {
    let count = 0;
    const deadline = new Deadline(() => {
      if (++count < 5) timers.set(deadline, 100);
    });
    timers.set(deadline, 100);
    time.pass(1_000);
    expect(count).toBe(5);
  });

  test("fires soon when the process was stopped past it", () => {
    const fired: number[] = [];
    timers.set(noting(fired), 100);
    timers.set(noting(fired), 60_000);
    time.jump(1_000_000);
    time.pass(50);
    expect(fired).toHaveLength(2);
  });
});

describe("many deadlines", () => {
  test("in one slot all fire, also when one of them takes others away", () => {
    const fired: string[] = [];
    const deadlines = ["a", "b", "c", "d", "e", "f"].map((name) => new Deadline(() => fired.push(name)));
    const killer = new Deadline(() => {
      for (const at of [1, 3, 5]) timers.remove(deadlines[at]!);
      timers.set(deadlines[4]!, 5_000);
    });
    // The one linked last is the first one looked at; the one before it is next.
    for (const deadline of [...deadlines, killer]) timers.set(deadline, 100);
    time.pass(150);
    expect(fired.sort()).toEqual(["a", "c"]);
    time.pass(5_050);
    expect(fired.sort()).toEqual(["a", "c", "e"]);
  });

  test("far away do not delay near ones that come later", () => {
    const fired: number[] = [];
    timers.set(noting([]), 300_000);
    time.pass(3_000);
    const start = time.nowMs;
    timers.set(noting(fired), 30);
    time.pass(80);
    expect(fired).toHaveLength(1);
    expect(fired[0]! - start).toBeWithin(30, 81);
  });

  test("each fires in its time, whatever is set, moved and taken back meanwhile", () => {
    const DEADLINES = 12;
    const step = fc.oneof(
      fc.record({
        do: fc.constant("set"),
        which: fc.nat(DEADLINES - 1),
        ms: fc.oneof(fc.constantFrom(50, 100, 6_500), fc.nat(20_000)),
      }),
      fc.record({ do: fc.constant("remove"), which: fc.nat(DEADLINES - 1), ms: fc.constant(0) }),
      fc.record({ do: fc.constant("pass"), which: fc.constant(0), ms: fc.oneof(fc.nat(120), fc.nat(8_000)) }),
    );
    // Firing some of them takes another away or moves it, as closing one connection closes its peer.
    const effects = fc.array(fc.option(fc.record({ which: fc.nat(DEADLINES - 1), ms: fc.nat(500) })), {
      minLength: DEADLINES,
      maxLength: DEADLINES,
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), effects, (steps, onFire) => {
        time = new FakeTime();
        timers = new Timers(() => time.nowMs);
        const due: (number | undefined)[] = new Array(DEADLINES).fill(undefined);
        const set = (which: number, ms: number): void => {
          timers.set(deadlines[which]!, ms);
          due[which] = ms === 0 ? undefined : time.nowMs + ms;
        };
        const deadlines = due.map(
          (_, at) =>
            new Deadline(() => {
              expect(due[at]).toBeDefined();
              expect(time.nowMs - due[at]!).toBeWithin(0, 51);
              due[at] = undefined;
              const effect = onFire[at];
              if (effect === null || effect === undefined || effect.which === at) return;
              if (effect.ms < 250) {
                timers.remove(deadlines[effect.which]!);
                due[effect.which] = undefined;
              } else set(effect.which, effect.ms);
            }),
        );
        for (const { do: what, which, ms } of steps) {
          if (what === "set") set(which, ms);
          else if (what === "remove") {
            timers.remove(deadlines[which]!);
            due[which] = undefined;
          } else {
            time.pass(ms);
            for (const at of due) if (at !== undefined) expect(time.nowMs - at).toBeLessThan(51);
          }
        }
      }),
      { numRuns: 300 },
    );
  });
});
