// Keeps redirected connections working for the time between the end of the rules and the end of the proxy. Shell.
// The kernel tracks connections, and translates their addresses, only as long as some rule needs it: with the last
// REDIRECT gone, the answer to a request in flight would leave with the proxy's port and never arrive. A rule that asks
// for tracking in a chain that nothing jumps to is enough to keep it on.
import { findTools, restore } from "../netfilter/tools.ts";

const CHAIN = "PILOTFISH_DRAIN";
/** Declaring a chain makes it, or empties it. */
const DECLARED = `*nat\n:${CHAIN} - [0:0]\n`;
const HOLD = `${DECLARED}-A ${CHAIN} -m conntrack --ctstate INVALID -j RETURN\nCOMMIT\n`;
const RELEASE = `${DECLARED}-X ${CHAIN}\nCOMMIT\n`;

/** To be called while the rules are still there. */
export function holdConnections(): Promise<void> {
  return feed(HOLD);
}

export function releaseConnections(): Promise<void> {
  return feed(RELEASE);
}

async function feed(input: string): Promise<void> {
  for (const family of [4, 6] as const) {
    const tools = findTools(family);
    try {
      if (tools !== undefined) await restore(tools, input);
    } catch {
      // A kernel without the family, or without the match: requests in flight may be lost, the end is the same.
    }
  }
}
