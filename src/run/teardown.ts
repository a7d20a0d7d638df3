// The end of `agent run`, in its order: first the rules, so that nothing new is captured, then the proxy. Shell.
// The supervisor does it when it ends, the guardian when the supervisor was killed.
import { removeRules } from "../netfilter/apply.ts";
import type { Rule } from "../netfilter/rule.ts";
import { restoreMidstream } from "./midstream.ts";
import { isAlive, type ProcessIdentity, signal } from "./process-identity.ts";

const POLL_MS = 10;
/** Added to the proxy's own time to drain. */
const GRACE_MS = 1_000;

/** Removes the rules; `planned` helps to recognise them. */
export async function removeCapture(planned: readonly Rule[], midstream: string | null): Promise<void> {
  await removeRules(planned);
  restoreMidstream(midstream ?? undefined);
}

/** SIGTERM, then patience, then SIGKILL. `hurry` resolves when somebody wants it to end at once. */
export async function endProxy(proxy: ProcessIdentity, drainMs: number, hurry?: Promise<void>): Promise<void> {
  let waited = 0;
  let patience = drainMs + GRACE_MS;
  signal(proxy, "SIGTERM");
  void hurry?.then(() => {
    patience = Math.min(patience, waited + GRACE_MS);
    // A second signal ends its drain.
    signal(proxy, "SIGTERM");
  });
  for (; isAlive(proxy); waited += POLL_MS) {
    if (waited >= patience) signal(proxy, "SIGKILL");
    await Bun.sleep(POLL_MS);
  }
}
