// The supervisor's side of the guardian: starts it, keeps it informed, and starts another when somebody kills it. Shell.
import { talk } from "../commands/talk.ts";
import { CommandError } from "../config/errors.ts";
import { HURRY, WATCHING } from "./guardian.ts";
import { selfCommand, selfEnvironment } from "./self.ts";
import { formatWatchState, type WatchState } from "./watch-state.ts";

/** Between the end of a guardian and the next one, so that a guardian that cannot live does not burn the processor. */
const RESTART_PAUSE_MS = 100;

type Child = Bun.Subprocess<"pipe", "pipe", "inherit">;

export class GuardianLink {
  #child: Child | undefined;
  #isReleased = false;
  readonly #lost = Promise.withResolvers<CommandError>();

  private constructor(private state: WatchState) {}

  /** Resolves when it is watching. */
  static async start(state: WatchState): Promise<GuardianLink> {
    const link = new GuardianLink(state);
    await link.#launch();
    return link;
  }

  /** Resolves when there is no guardian and another cannot be started. */
  get lost(): Promise<CommandError> {
    return this.#lost.promise;
  }

  update(change: Partial<WatchState>): void {
    this.state = { ...this.state, ...change };
    this.#send();
  }

  /** Has it clean up, and waits for the end of that; false when it could not. */
  async handOver(hurry: Promise<void>): Promise<boolean> {
    this.#isReleased = true;
    this.update({ isOrderly: true });
    const child = this.#child;
    if (child === undefined) return false;
    await Promise.resolve(child.stdin.end()).catch(() => {});
    void hurry.then(() => child.kill(HURRY));
    return (await child.exited) === 0;
  }

  async #launch(): Promise<void> {
    const child = Bun.spawn([...selfCommand("/proc/self/exe"), "run", "--role", "guardian"], {
      argv0: "agent",
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
      env: selfEnvironment(),
      // A session of its own: neither Ctrl-C nor the end of the terminal reaches it.
      detached: true,
    });
    this.#child = child;
    this.#send();
    const reader = child.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    if (value === undefined || !new TextDecoder().decode(value).startsWith(WATCHING)) {
      throw new CommandError(`the guardian of agent run did not start (exit code ${await child.exited})`);
    }
    void child.exited.then(() => this.#replace());
  }

  async #replace(): Promise<void> {
    if (this.#isReleased) return;
    talk.warn("the guardian of agent run was killed; starting another");
    await Bun.sleep(RESTART_PAUSE_MS);
    if (this.#isReleased) return;
    try {
      await this.#launch();
    } catch (error) {
      this.#lost.resolve(error instanceof CommandError ? error : new CommandError(String(error), { cause: error }));
    }
  }

  #send(): void {
    const stdin = this.#child?.stdin;
    if (stdin === undefined) return;
    try {
      stdin.write(formatWatchState(this.state));
      // A guardian that was just killed: its successor gets the state.
      Promise.resolve(stdin.flush()).catch(() => {});
    } catch {
      // The same, noticed earlier.
    }
  }
}
