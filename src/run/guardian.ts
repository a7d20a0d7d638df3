// The guardian: a small root process beside `agent run` that cleans up when its parent is gone without doing so. Shell.
// The proxy cannot, being no root. It holds the read end of a pipe from the parent, which the kernel closes however the
// parent ends; it ignores the signals that end the parent in order, and ends when the parent says that all is done.
import { talk } from "../commands/talk.ts";
import { hasRules } from "../netfilter/apply.ts";
import { endProxy, removeCapture } from "./teardown.ts";
import { lastWatchState, type WatchState } from "./watch-state.ts";

/** Written on stdout as soon as it watches. */
export const WATCHING = "watching";
/** A program that the parent had started may still be changing rules: a moment later they are looked at again. */
const SECOND_LOOK_MS = 500;
const ATTEMPTS = 5;

export async function guard(): Promise<number> {
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

async function cleanUpAfter({ proxy, hasRules: mayHaveRules, midstream, drainMs }: WatchState): Promise<number> {
  const isClean = !mayHaveRules || (await removeAll(midstream));
  if (proxy !== null) await endProxy(proxy, drainMs);
  if (mayHaveRules && isClean) talk.warn("agent run was killed; the rules are removed and the proxy is ended");
  return isClean ? 0 : 1;
}

async function removeAll(midstream: string | null): Promise<boolean> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      await removeCapture([], midstream);
      await Bun.sleep(SECOND_LOOK_MS);
      if (!(await hasRules())) return true;
    } catch (error) {
      if (attempt === ATTEMPTS) talk.error("agent run was killed, and its rules cannot be removed:", error);
      await Bun.sleep(SECOND_LOOK_MS);
    }
  }
  talk.info("remove them by hand: agent init --cleanup-only");
  return false;
}
