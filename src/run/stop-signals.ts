// The signals that end `agent run`, in the order in which they come. Shell.
import { readFileSync } from "node:fs";

const SIGNALS = [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGTERM", 15],
] as const;

export class StopSignals {
  readonly #first = Promise.withResolvers<void>();
  readonly #second = Promise.withResolvers<void>();
  #count = 0;

  constructor() {
    const ignored = ignoredSignals();
    for (const [name, number] of SIGNALS) {
      // nohup(1) asks for SIGHUP to be ignored; a handler would undo that.
      if (name === "SIGHUP" && ((ignored >> BigInt(number - 1)) & 1n) === 1n) continue;
      process.on(name, () => this.#add());
    }
  }

  get hasCome(): boolean {
    return this.#count > 0;
  }

  /** The person wants it to end. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** The person does not want to wait. */
  get second(): Promise<void> {
    return this.#second.promise;
  }

  #add(): void {
    this.#count++;
    if (this.#count === 1) this.#first.resolve();
    else this.#second.resolve();
  }
}

/** Cleaning up must not fail for want of somebody to tell: writing to a closed terminal is an error. */
export function outliveTerminal(): void {
  process.stderr.on("error", () => {});
}

/** Bit n-1 is signal n: proc(5), SigIgn. */
function ignoredSignals(): bigint {
  const status = readFileSync("/proc/self/status", "utf8");
  return BigInt(`0x${/^SigIgn:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
}
