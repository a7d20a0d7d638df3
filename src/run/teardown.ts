// The end of `agent run`, in its order: first the rules, so that nothing new is captured, then the proxy. Shell.
// The guardian does it; the supervisor does when somebody killed the guardian.
import { removeRules } from "../netfilter/apply.ts";
import { holdConnections, releaseConnections } from "./connection-hold.ts";
import { restoreMidstream } from "./midstream.ts";
import { isAlive, type ProcessIdentity, signal } from "./process-identity.ts";

const ATTEMPTS = 5;
const RETRY_MS = 200;
const POLL_MS = 10;
const REPEAT_MS = 100;
/** Added to the proxy's own time to drain. */
const GRACE_MS = 1_000;

export interface Remains {
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
      await removePersistently();
      removed();
    }
  } finally {
    if (proxy !== undefined) await endProxy(proxy, drainMs, hurry);
    if (mustHold) await releaseConnections();
    restoreMidstream(remains.midstream);
  }
}

/** Somebody else may be changing rules at the same time, or hold the lock. */
async function removePersistently(): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await removeRules();
      return;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await Bun.sleep(RETRY_MS);
    }
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
