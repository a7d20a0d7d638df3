// Keeps a change of the rules whole when somebody presses Ctrl-C in the middle of it. Shell; apply.ts is its caller.
import { talk } from "../commands/talk.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs `work` to its end whatever ordinary signal arrives meanwhile. The programs it starts must not be in our process group. */
export async function uninterrupted<T>(work: () => Promise<T>): Promise<T> {
  const onSignal = (): void => talk.info("finishing the change of the rules first, so that none is left half done");
  for (const signal of SIGNALS) process.on(signal, onSignal);
  try {
    return await work();
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}
