// `agent run`: starts the proxy, leads the machine's traffic to it, and takes the rules away again at the end. Shell.
// In order, so that no connection meets a rule without a proxy: guardian, proxy, rules; at the end rules, then proxy.
import { ofetch } from "ofetch";
import { talk } from "../commands/talk.ts";
import { CommandError } from "../config/errors.ts";
import { applyRules } from "../netfilter/apply.ts";
import type { Rule } from "../netfilter/rule.ts";
import { GuardianLink } from "./guardian-link.ts";
import { isMidstreamSpared, spareMidstream } from "./midstream.ts";
import { effectiveUid, identify, type ProcessIdentity } from "./process-identity.ts";
import { selfCommand, selfEnvironment } from "./self.ts";
import { outliveTerminal, StopSignals } from "./stop-signals.ts";
import { tearDown } from "./teardown.ts";

export interface RunPlan {
  readonly rules: readonly Rule[];
  /** Flags of `agent proxy`. */
  readonly proxyFlags: readonly string[];
  /** Answers 200 when the proxy is ready; undefined: nobody can be asked. */
  readonly readinessUrl: string | undefined;
  /** Whom the proxy becomes when it has bound its ports. */
  readonly proxyUid: number;
  readonly drainMs: number;
}

const READY_TIMEOUT_MS = 15_000;
const READY_POLL_MS = 20;

/** Becomes the proxy when it is told to: the guardian must know of it first. Without a supervisor it ends. */
const GATE = 'read -r _ || exit 1; exec "$@" </dev/null';

type Proxy = Bun.Subprocess<"pipe", "inherit", "inherit">;

/** Why it ended. */
type Ending = "asked" | "proxy" | CommandError;

/** Returns when everything is removed: 0 when a signal asked for the end. Throws CommandError otherwise. */
export async function supervise(plan: RunPlan): Promise<number> {
  const signals = new StopSignals();
  outliveTerminal();
  const guardian = await GuardianLink.start({
    proxy: null,
    rules: "none",
    midstream: null,
    drainMs: plan.drainMs,
    isOrderly: false,
  });
  const run = new Run(plan, guardian, signals);
  let ending: Ending;
  try {
    ending = await run.untilEnd();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    // Ctrl-C also reaches the program that was making the rules.
    ending = signals.hasCome ? "asked" : error;
  }
  await run.cleanUp();
  if (ending === "asked") return 0;
  throw ending === "proxy" ? run.proxyEnded() : ending;
}

class Run {
  #proxy: Proxy | undefined;
  #identity: ProcessIdentity | undefined;
  #midstream: string | undefined;
  #hasRules = false;

  constructor(
    private readonly plan: RunPlan,
    private readonly guardian: GuardianLink,
    private readonly signals: StopSignals,
  ) {}

  /** Starts everything, and waits until something ends it. What it started is there also when it throws. */
  async untilEnd(): Promise<Ending> {
    const proxy = this.#startProxy();
    const ends: Promise<Ending>[] = [
      this.signals.first.then(() => "asked" as const),
      proxy.exited.then(() => "proxy" as const),
      this.guardian.lost,
    ];
    const early = await Promise.race([this.#untilReady(proxy), ...ends]);
    if (early !== undefined) return early;
    await this.#capture();
    return Promise.race(ends);
  }

  /** Leaves nothing behind. The guardian does it: it is out of reach of the signals that come now. */
  async cleanUp(): Promise<void> {
    if (await this.guardian.handOver(this.signals.second)) return;
    // It was killed, or failed and has said why.
    const remains = {
      hasRules: this.#hasRules,
      midstream: this.#midstream,
      proxy: this.#identity,
      drainMs: this.plan.drainMs,
    };
    await tearDown(remains, () => talk.info("rules removed"), this.signals.second);
  }

  proxyEnded(): CommandError {
    const how = this.#proxy?.signalCode ?? `exit code ${this.#proxy?.exitCode}`;
    return new CommandError(`the proxy ended by itself (${how})${this.#hasRules ? "; the rules are removed" : ""}`);
  }

  #startProxy(): Proxy {
    // As root, so that it can read its configuration and bind any port; it then becomes the proxy's user.
    const proxy = Bun.spawn(["/bin/sh", "-c", GATE, "sh", ...selfCommand(), "proxy", ...this.plan.proxyFlags], {
      stdin: "pipe",
      stdout: "inherit",
      stderr: "inherit",
      env: selfEnvironment(),
      // A session of its own: Ctrl-C must not stop it before the rules are gone.
      detached: true,
    });
    this.#proxy = proxy;
    this.#identity = identify(proxy.pid);
    this.guardian.update({ proxy: this.#identity ?? null });
    proxy.stdin.write("go\n");
    Promise.resolve(proxy.stdin.end()).catch(() => {});
    return proxy;
  }

  async #capture(): Promise<void> {
    this.#midstream = spareMidstream();
    if (!isMidstreamSpared()) {
      talk.warn("net.netfilter.nf_conntrack_tcp_loose cannot be set to 0: connections that exist already may break");
    }
    this.#hasRules = true;
    // Said before it is true: being killed in between must not leave rules.
    this.guardian.update({ rules: "pending", midstream: this.#midstream ?? null });
    await applyRules(this.plan.rules);
    this.guardian.update({ rules: "there" });
    talk.success("capturing; Ctrl-C ends it and removes the rules");
  }

  /** Resolves to undefined. A root proxy would be redirected to itself, so its user is looked at too. */
  async #untilReady(proxy: Proxy): Promise<undefined> {
    const { proxyUid, readinessUrl } = this.plan;
    const deadline = performance.now() + READY_TIMEOUT_MS;
    while (proxy.exitCode === null && proxy.signalCode === null) {
      const isBound = effectiveUid(proxy.pid) === proxyUid;
      if (isBound && (readinessUrl === undefined || (await answers(readinessUrl)))) return undefined;
      if (performance.now() > deadline) {
        throw new CommandError(`the proxy was not ready within ${READY_TIMEOUT_MS / 1000} s`);
      }
      await Bun.sleep(READY_POLL_MS);
    }
    // Its end is the other promise's news.
    return new Promise<undefined>(() => {});
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    await ofetch(url, { retry: 0, timeout: 1_000, responseType: "text" });
    return true;
  } catch {
    return false;
  }
}
