// The guardian: a small root process beside `agent run` that cleans up when its parent is gone without doing so. Shell.
// The proxy cannot, being no root. It holds the read end of a pipe from the parent, which the kernel closes however the
// parent ends; it ignores the signals that end the parent in order, and ends when the parent says that all is done.
import { writeFileSync } from "node:fs";
import { talk } from "../commands/talk.ts";
import { tearDown } from "./teardown.ts";
import { lastWatchState, type WatchState } from "./watch-state.ts";

/** Written on stdout as soon as it watches. */
export const WATCHING = "watching";
/** A program that the parent had started may still be changing rules. */
const SETTLE_MS = 500;
const ATTEMPTS = 5;

export async function guard(): Promise<number> {
  // It was started through /proc/self/exe, and would be called "exe".
  writeFileSync("/proc/self/comm", "agent");
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(name, () => {});
  process.stdout.write(`${WATCHING}\n`);
  let received = "";
  const decoder = new TextDecoder();
  for await (const chunk of Bun.stdin.stream()) {
    received += decoder.decode(chunk, { stream: true });
    // Only the last whole line counts.
    received = received.slice(received.lastIndexOf("\n", received.lastIndexOf("\n") - 1) + 1);
  }
  const state = lastWatchState(received);
  if (state === undefined || state.isDone) return 0;
  return cleanUpAfter(state);
}

async function cleanUpAfter({ proxy, midstream, rules, drainMs }: WatchState): Promise<number> {
  // Not later: with the proxy gone its ports are free, and the rules may be those of another run.
  if (rules === "pending") await Bun.sleep(SETTLE_MS);
  const remains = {
    planned: [],
    hasRules: rules !== "none",
    midstream: midstream ?? undefined,
    proxy: proxy ?? undefined,
    drainMs,
  };
  for (let attempt = 1; ; attempt++) {
    try {
      await tearDown(remains, () => talk.warn("agent run was killed; the rules are removed"));
      return 0;
    } catch (error) {
      if (attempt < ATTEMPTS) await Bun.sleep(SETTLE_MS);
      else throw error;
    }
  }
}
