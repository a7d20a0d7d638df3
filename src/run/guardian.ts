// The guardian: a small root process beside `agent run` that cleans up at the end, whatever the end is. Shell.
// It holds the read end of a pipe from the supervisor, which closes it when it wants the end, and the kernel when it was
// killed. It has a session of its own, so that no Ctrl-C hits it or the programs with which it removes the rules.
import { writeFileSync } from "node:fs";
import { talk } from "../commands/talk.ts";
import { outliveTerminal } from "./stop-signals.ts";
import { tearDown } from "./teardown.ts";
import { lastWatchState, type WatchState } from "./watch-state.ts";

/** Written on stdout as soon as it watches. */
export const WATCHING = "watching";
/** Sent by the supervisor: the person does not want to wait for the proxy's drain. */
export const HURRY = "SIGUSR2";
/** A program that a killed supervisor had started may still be changing rules. */
const SETTLE_MS = 500;

export async function guard(): Promise<number> {
  // It was started through /proc/self/exe, and would be called "exe".
  writeFileSync("/proc/self/comm", "agent");
  outliveTerminal();
  const hurry = new Promise<void>((resolve) => process.once(HURRY, () => resolve()));
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
  if (state !== undefined) await cleanUp(state, hurry);
  return 0;
}

async function cleanUp(state: WatchState, hurry: Promise<void>): Promise<void> {
  const { proxy, midstream, rules, drainMs, isOrderly } = state;
  // Not later: with the proxy gone its ports are free, and the rules may be those of another run.
  if (rules === "pending" && !isOrderly) await Bun.sleep(SETTLE_MS);
  const remains = {
    hasRules: rules !== "none",
    midstream: midstream ?? undefined,
    proxy: proxy ?? undefined,
    drainMs,
  };
  const removed = () => {
    if (isOrderly) talk.info("rules removed");
    else talk.warn("agent run was killed; the rules are removed");
  };
  await tearDown(remains, removed, hurry);
}
