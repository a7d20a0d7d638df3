// A child process of the demo with all it has printed so far. Shell. pod.ts starts them.

/** How long to wait for output that should come at once. */
const WAIT_MS = 3_000;
const POLL_MS = 5;

export class DemoProcess {
  readonly pid: number;
  /** The exit code, after all output has been read; never rejects. */
  readonly exited: Promise<number>;
  readonly #child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #output = { stdout: "", stderr: "" };
  #hasExited = false;
  #follower: ((text: string) => void) | undefined;

  constructor(command: readonly string[], env: Record<string, string>) {
    // A session of its own: Ctrl-C is for the demo itself, which then ends its children in order.
    this.#child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe", env, detached: true });
    this.pid = this.#child.pid;
    this.exited = this.#read();
  }

  get stdout(): string {
    return this.#output.stdout;
  }

  get stderr(): string {
    return this.#output.stderr;
  }

  /** Gives what comes on stdout from now on to `write` too. */
  follow(write: (text: string) => void): void {
    this.#follower = write;
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** True as soon as `isThere` holds for the output; false when the process or the patience ended before. */
  async waitFor(isThere: (output: { readonly stdout: string; readonly stderr: string }) => boolean): Promise<boolean> {
    for (let waited = 0; waited < WAIT_MS; waited += POLL_MS) {
      if (isThere(this.#output)) return true;
      if (this.#hasExited) return false;
      await Bun.sleep(POLL_MS);
    }
    return isThere(this.#output);
  }

  async #read(): Promise<number> {
    const readers = (["stdout", "stderr"] as const).map(async (name) => {
      const decoder = new TextDecoder();
      for await (const chunk of this.#child[name]) {
        const text = decoder.decode(chunk, { stream: true });
        this.#output[name] += text;
        if (name === "stdout") this.#follower?.(text);
      }
    });
    const code = await this.#child.exited;
    await Promise.all(readers);
    this.#hasExited = true;
    return code;
  }
}
