// Which process a number means: it has to survive the reuse of numbers.

import { expect, test } from "bun:test";
import { effectiveUid, identify, isAlive, signal } from "../../src/run/process-identity.ts";

test("this process", () => {
  const self = identify(process.pid)!;
  expect(self.pid).toBe(process.pid);
  expect(self.startTime).toMatch(/^\d+$/);
  expect(isAlive(self)).toBe(true);
  expect(effectiveUid(process.pid)).toBe(process.geteuid!());
});

test("a process with brackets and spaces in its name, alive and ended", async () => {
  const child = Bun.spawn(["sh", "-c", "printf 'a) S 1 (b' >/proc/self/comm; echo named; read _"], {
    stdin: "pipe",
    stdout: "pipe",
  });
  await child.stdout.getReader().read();
  const identity = identify(child.pid)!;
  expect(identity.startTime).toMatch(/^\d{3,}$/);
  expect(isAlive(identity)).toBe(true);
  signal(identity, "SIGKILL");
  expect(await child.exited).toBe(137);
  expect(isAlive(identity)).toBe(false);
  signal(identity, "SIGKILL");
});

test("another process with the number of one that ended", () => {
  expect(isAlive({ pid: process.pid, startTime: "1" })).toBe(false);
});

test("no process", () => {
  expect(identify(2 ** 22 + 1)).toBeUndefined();
  expect(effectiveUid(2 ** 22 + 1)).toBeUndefined();
});
