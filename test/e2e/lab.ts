// Throw-away network for end-to-end tests: a "node" and a "pod" network namespace joined by a veth pair, with the
// real kernel's netfilter in each. Not a container: files, processes and users are the host's. Every e2e test uses it.
// `nsenter --net` runs the commands, since `ip netns exec` would also remount /sys.

import { readdirSync } from "node:fs";

const ROOT = new URL("../..", import.meta.url).pathname.replace(/\/$/, "");
/** The executable under test. */
export const AGENT: string = process.env["AGENT"] ?? `${ROOT}/dist/agent`;

/** Debian keeps `ip` in /usr/sbin, which an ordinary user's PATH lacks. */
const TOOL_PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`;
const RUN_TIMEOUT_MS = 30_000;
const WAIT_TIMEOUT_MS = 10_000;

const tool = (name: string): string => {
  const path = Bun.which(name, { PATH: TOOL_PATH });
  if (!path) throw new Error(`the end-to-end tests need ${name} (packages iproute2 and util-linux): run scripts/setup`);
  return path;
};

/** Runs a command on the host side to the end; throws on a non-zero exit code. */
function host(...cmd: [string, ...string[]]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([tool(cmd[0]), ...cmd.slice(1)], { timeout: RUN_TIMEOUT_MS });
  if (exitCode !== 0) throw new Error(`${cmd.join(" ")}: exit ${exitCode}: ${stderr.toString().trim()}`);
  return stdout.toString();
}

export interface RunOptions {
  /** Runs as this user, without capabilities or supplementary groups. `gid` defaults to the same number. */
  readonly uid?: number;
  readonly gid?: number;
  /** Added to the test's own environment. */
  readonly env?: Record<string, string>;
  readonly stdin?: string;
  /** After this the process is killed; `run` then throws. Default 30 s for `run`, none for `spawn`. */
  readonly timeoutMs?: number;
}

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A running process of a namespace, with all it has printed so far. */
export class Proc {
  readonly pid: number;
  /** The exit code; 128 + signal number when a signal ended it. Resolves after all output has been read. */
  readonly exited: Promise<number>;
  #texts = { stdout: "", stderr: "" };
  #hasExited = false;
  #changed: (() => void)[] = [];
  readonly #process: Bun.Subprocess<"ignore" | Blob, "pipe", "pipe">;

  constructor(
    readonly command: string,
    process: Bun.Subprocess<"ignore" | Blob, "pipe", "pipe">,
  ) {
    this.#process = process;
    this.pid = process.pid;
    const readers = (["stdout", "stderr"] as const).map((name) => this.#read(name));
    this.exited = process.exited.then(async (code) => {
      // A grandchild may hold the pipes open for ever: its output is then not waited for.
      await Promise.race([Promise.all(readers), Bun.sleep(500)]);
      this.#hasExited = true;
      this.#notify();
      return code;
    });
  }

  get stdout(): string {
    return this.#texts.stdout;
  }

  get stderr(): string {
    return this.#texts.stderr;
  }

  kill(signal: NodeJS.Signals = "SIGTERM"): void {
    this.#process.kill(signal);
  }

  /** Resolves when the output so far matches; rejects, with all the output, at the end of the process or of the time. */
  async waitFor(
    pattern: RegExp,
    where: "stdout" | "stderr" = "stdout",
    timeoutMs = WAIT_TIMEOUT_MS,
  ): Promise<RegExpMatchArray> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const match = this.#texts[where].match(pattern);
      if (match) return match;
      const left = deadline - performance.now();
      if (this.#hasExited || left <= 0) {
        const reason = this.#hasExited ? "the process ended" : `${timeoutMs} ms passed`;
        throw new Error(
          `${reason} without ${pattern} on ${where} of: ${this.command}\n--- stdout\n${this.stdout}\n--- stderr\n${this.stderr}`,
        );
      }
      const change = new Promise<void>((resolve) => this.#changed.push(resolve));
      await Promise.race([change, Bun.sleep(left)]);
    }
  }

  async #read(name: "stdout" | "stderr"): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#process[name]) {
      this.#texts[name] += decoder.decode(chunk, { stream: true });
      this.#notify();
    }
  }

  #notify(): void {
    for (const wake of this.#changed.splice(0)) wake();
  }
}

/** One network namespace and its two addresses. */
export class Namespace {
  readonly #spawned: Proc[] = [];

  constructor(
    readonly name: string,
    readonly v4: string,
    readonly v6: string,
  ) {}

  async run(cmd: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const timeoutMs = options.timeoutMs ?? RUN_TIMEOUT_MS;
    const proc = this.spawn(cmd, { ...options, timeoutMs });
    const start = performance.now();
    const code = await proc.exited;
    this.#spawned.splice(this.#spawned.indexOf(proc), 1);
    if (performance.now() - start >= timeoutMs) {
      throw new Error(`${proc.command}: killed after ${timeoutMs} ms\n${proc.stdout}\n${proc.stderr}`);
    }
    return { code, stdout: proc.stdout, stderr: proc.stderr };
  }

  /** Like `run`, but throws on a non-zero exit code and returns stdout. */
  async check(cmd: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(cmd, options);
    if (code !== 0) throw new Error(`${cmd.join(" ")}: exit ${code}\n${stdout}\n${stderr}`);
    return stdout;
  }

  spawn(cmd: readonly string[], options: RunOptions = {}): Proc {
    const { uid, gid = uid } = options;
    const identity = [
      ...(uid === undefined ? [] : [`--reuid=${uid}`, "--inh-caps=-all"]),
      ...(gid === undefined ? [] : [`--regid=${gid}`, "--clear-groups"]),
    ];
    // The environment goes through env(1), so that a test may empty PATH without losing nsenter and setpriv.
    const full = [
      tool("nsenter"),
      `--net=/run/netns/${this.name}`,
      ...(identity.length > 0 ? [tool("setpriv"), ...identity] : []),
      ...(options.env ? [tool("env"), ...Object.entries(options.env).map(([key, value]) => `${key}=${value}`)] : []),
      ...cmd,
    ];
    const child = Bun.spawn(full, {
      stdin: options.stdin === undefined ? "ignore" : new Blob([options.stdin]),
      stdout: "pipe",
      stderr: "pipe",
      env: { ...process.env, PATH: TOOL_PATH },
      ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: "SIGKILL" as const }),
    });
    const proc = new Proc(cmd.join(" "), child);
    this.#spawned.push(proc);
    return proc;
  }

  /** Ends what was spawned here, then whatever those left behind in the namespace, then the namespace. */
  delete(): void {
    for (const proc of this.#spawned.splice(0)) proc.kill("SIGKILL");
    deleteNamespace(this.name);
  }
}

function deleteNamespace(name: string): void {
  const ip = tool("ip");
  const pids = Bun.spawnSync([ip, "netns", "pids", name]).stdout.toString().split("\n").filter(Boolean);
  for (const pid of pids) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended by itself.
    }
  }
  Bun.spawnSync([ip, "netns", "delete", name]);
}

const live = new Set<Lab>();
let count = 0;

export class Lab implements AsyncDisposable {
  private constructor(
    /** The traffic's other end: 10.77.n.1, fd77:n::1. Peers and "the outside" live here. */
    readonly node: Namespace,
    /** Where rules, proxy and application run: 10.77.n.2, fd77:n::2, default routes via the node. */
    readonly pod: Namespace,
  ) {}

  static async create(): Promise<Lab> {
    if (process.getuid?.() !== 0) throw new Error("the end-to-end tests make network namespaces: run them as root");
    deleteOrphans();
    const n = ++count;
    const name = (role: string) => `pft-${process.pid}-${n}-${role}`;
    const lab = new Lab(
      new Namespace(name("node"), `10.77.${n}.1`, `fd77:${n}::1`),
      new Namespace(name("pod"), `10.77.${n}.2`, `fd77:${n}::2`),
    );
    live.add(lab);
    try {
      await lab.#build();
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      throw error;
    }
    return lab;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.dispose();
  }

  /** The same without a promise, for the end of the process. */
  dispose(): void {
    if (!live.delete(this)) return;
    for (const namespace of [this.pod, this.node]) namespace.delete();
  }

  async #build(): Promise<void> {
    const { node, pod } = this;
    for (const { name } of [node, pod]) {
      host("ip", "netns", "add", name);
      // Without this, link-local addresses stay tentative for a second and neighbour discovery waits for them.
      host("nsenter", `--net=/run/netns/${name}`, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad");
      host("ip", "-n", name, "link", "set", "lo", "up");
    }
    host("ip", "-n", node.name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", pod.name);
    for (const { name, v4, v6 } of [node, pod]) {
      host("ip", "-n", name, "address", "add", `${v4}/24`, "dev", "eth0");
      host("ip", "-n", name, "address", "add", `${v6}/64`, "dev", "eth0", "nodad");
    }
    for (const { name } of [node, pod]) host("ip", "-n", name, "link", "set", "eth0", "up");
    host("ip", "-n", pod.name, "route", "add", "default", "via", node.v4);
    host("ip", "-n", pod.name, "-6", "route", "add", "default", "via", node.v6);
    for (const { name } of [node, pod]) await untilUsable(name);
  }
}

/** Addresses of a link without carrier are tentative: binding to them fails. A link that is not up yet is listed without any. */
async function untilUsable(namespace: string): Promise<void> {
  const deadline = performance.now() + 5_000;
  const isUsable = (): boolean =>
    host("ip", "-n", namespace, "link", "show", "dev", "eth0").includes("state UP") &&
    host("ip", "-n", namespace, "-6", "address", "show", "tentative").trim() === "";
  while (!isUsable()) {
    if (performance.now() > deadline) throw new Error(`${namespace}: eth0 does not come up`);
    await Bun.sleep(10);
  }
}

/** Namespaces of test runs that were killed before they could clean up. */
function deleteOrphans(): void {
  let names: string[] = [];
  try {
    names = readdirSync("/run/netns");
  } catch {
    // No namespace was ever made on this machine.
  }
  for (const name of names) {
    const owner = /^pft-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && !isAlive(Number(owner))) deleteNamespace(name);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

process.on("exit", () => {
  for (const lab of live) lab.dispose();
});
