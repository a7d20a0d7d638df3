// The end of `agent run`, in its order: first the rules, so that nothing new is captured, then the proxy. Shell.
// The supervisor does it when it ends, the guardian when the supervisor was killed.
import { removeRules } from "../netfilter/apply.ts";
import type { Rule } from "../netfilter/rule.ts";
import { holdConnections, releaseConnections } from "./connection-hold.ts";
import { restoreMidstream } from "./midstream.ts";
import { isAlive, type ProcessIdentity, signal } from "./process-identity.ts";

const POLL_MS = 10;
const REPEAT_MS = 100;
/** Added to the proxy's own time to drain. */
const GRACE_MS = 1_000;

export interface Remains {
  /** Help to recognise the rules. */
  readonly planned: readonly Rule[];
  readonly hasRules: boolean;
  /** See midstream.ts. */
  readonly midstream: string | undefined;
  readonly proxy: ProcessIdentity | undefined;
  /** How long the proxy may take to end. */
  readonly drainMs: number;
}

/** `removed` is told when the rules are gone; `hurry` resolves when somebody wants the rest to end at once. */
export async function tearDown(remains: Remains, removed: () => void, hurry?: Promise<void>): Promise<void> {
  const { hasRules, proxy, drainMs } = remains;
  const mustHold = hasRules && proxy !== undefined && isAlive(proxy);
  try {
    if (mustHold) await holdConnections();
    if (hasRules) {
      await removeRules(remains.planned);
      removed();
    }
  } finally {
    if (proxy !== undefined) await endProxy(proxy, drainMs, hurry);
    if (mustHold) await releaseConnections();
    restoreMidstream(remains.midstream);
  }
}

/** SIGTERM, then patience, then SIGKILL. `hurry` resolves when somebody wants it to end at once. */
async function endProxy(proxy: ProcessIdentity, drainMs: number, hurry?: Promise<void>): Promise<void> {
  let waited = 0;
  let patience = drainMs + GRACE_MS;
  let isHurried = false;
  void hurry?.then(() => {
    isHurried = true;
    patience = Math.min(patience, waited + GRACE_MS);
  });
  signal(proxy, "SIGTERM");
  for (; isAlive(proxy); waited += POLL_MS) {
    // A second signal ends its drain. Again and again: two at once would count as one.
    if (isHurried && waited % REPEAT_MS === 0) signal(proxy, "SIGTERM");
    if (waited >= patience) signal(proxy, "SIGKILL");
    await Bun.sleep(POLL_MS);
  }
}
