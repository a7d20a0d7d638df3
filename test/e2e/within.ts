// Runs code of the test process itself inside a network namespace of the lab: a socket made there stays there, so raw
// peers are written in the test instead of in child processes. Only what makes its socket at once may be called: Bun.listen,
// and Bun.connect with an address.
import { dlopen } from "bun:ffi";
import { closeSync, openSync } from "node:fs";
import type { Namespace } from "./lab.ts";

const CLONE_NEWNET = 0x40000000;
const { symbols: libc } = dlopen("libc.so.6", { setns: { args: ["i32", "i32"], returns: "i32" } });
const home = openSync("/proc/thread-self/ns/net", "r");

/** Calls `make` with the thread in the namespace, and returns what it returns. */
export function within<T>(namespace: Namespace, make: () => T): T {
  const there = openSync(`/run/netns/${namespace.name}`, "r");
  try {
    if (libc.setns(there, CLONE_NEWNET) !== 0) throw new Error(`cannot enter the namespace ${namespace.name}`);
    return make();
  } finally {
    libc.setns(home, CLONE_NEWNET);
    closeSync(there);
  }
}
