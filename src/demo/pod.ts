// A throw-away pod: two network namespaces joined by a veth pair, and the processes started in them. Shell.
// `node` is where the pod's clients are and where "the outside" is; `pod` is where rules, proxy and application are.
import { readdirSync, readFileSync } from "node:fs";
import { CommandError } from "../config/errors.ts";
import { selfEnvironment } from "../run/self.ts";
import { DemoProcess } from "./process.ts";

const NAMESPACES_DIRECTORY = "/run/netns";
const NAME = /^pilotfish-demo-(\d+)-(?:node|pod)$/;

/** The namespaces are no part of the machine's network: the same addresses serve every demo. */
export const NODE_ADDRESS = "10.77.0.1";
export const POD_ADDRESS = "10.77.0.2";
/** A documentation address (RFC 5737) on the node's loopback interface: to the pod, the world outside. */
export const OUTSIDE_ADDRESS = "203.0.113.10";

const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";
const LINK_WAIT_MS = 3_000;
const LINK_POLL_MS = 10;

export type Side = "node" | "pod";

export interface RunResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class ThrowAwayPod implements AsyncDisposable {
  readonly #processes = new Set<DemoProcess>();
  readonly #made: Side[] = [];

  private constructor(
    private readonly tools: DemoTools,
    private readonly interruption: AbortSignal,
  ) {
    interruption.addEventListener("abort", () => this.#killAll());
    process.once("exit", this.#atExit);
  }

  /** Removes what killed demos left, then builds. An abort of `interruption` ends every process and every call. */
  static async create(tools: DemoTools, interruption: AbortSignal): Promise<ThrowAwayPod> {
    const pod = new ThrowAwayPod(tools, interruption);
    try {
      for (const name of orphans()) deleteNamespace(tools, name);
      await pod.#build();
      return pod;
    } catch (error) {
      await pod[Symbol.asyncDispose]();
      throw error;
    }
  }

  name(side: Side): string {
    return `pilotfish-demo-${process.pid}-${side}`;
  }

  /** The words that run a command on that side, for a reader to copy. */
  enter(side: Side): string[] {
    return ["nsenter", `--net=${NAMESPACES_DIRECTORY}/${this.name(side)}`];
  }

  /** Starts a command on that side. It ends with the pod. */
  spawn(side: Side, command: readonly string[]): DemoProcess {
    return this.#start([this.tools.nsenter, ...this.enter(side).slice(1), ...command]);
  }

  /** Runs a command on that side to its end. */
  async run(side: Side, command: readonly string[]): Promise<RunResult> {
    return this.#finish(this.spawn(side, command));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#killAll();
    await Promise.all([...this.#processes].map(({ exited }) => exited));
    this.#deleteNamespaces();
    process.off("exit", this.#atExit);
  }

  /** A process that ends without a disposal: the reader of its output left, or a bug. */
  readonly #atExit = (): void => {
    this.#killAll();
    this.#deleteNamespaces();
  };

  async #build(): Promise<void> {
    const [node, pod] = [this.name("node"), this.name("pod")];
    for (const side of ["node", "pod"] as const) {
      this.#made.push(side);
      await this.#ip("netns", "add", this.name(side));
      await this.#ip("-n", this.name(side), "link", "set", "lo", "up");
    }
    await this.#ip("-n", node, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", pod);
    await this.#ip("-n", node, "address", "add", `${NODE_ADDRESS}/24`, "dev", "eth0");
    await this.#ip("-n", pod, "address", "add", `${POD_ADDRESS}/24`, "dev", "eth0");
    await this.#ip("-n", node, "address", "add", `${OUTSIDE_ADDRESS}/32`, "dev", "lo");
    await this.#ip("-n", node, "link", "set", "eth0", "up");
    await this.#ip("-n", pod, "link", "set", "eth0", "up");
    await this.#ip("-n", pod, "route", "add", "default", "via", NODE_ADDRESS);
    for (const name of [node, pod]) await this.#untilUp(name);
  }

  /** The kernel activates a link some milliseconds later, up to a second: until then it drops packets. */
  async #untilUp(name: string): Promise<void> {
    for (let waited = 0; waited < LINK_WAIT_MS; waited += LINK_POLL_MS) {
      if ((await this.#ip("-n", name, "-o", "link", "show", "eth0")).includes("state UP")) return;
      await Bun.sleep(LINK_POLL_MS);
    }
    throw new CommandError(`the veth pair of the demo does not come up in ${name}`);
  }

  /** What it printed. */
  async #ip(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.#finish(this.#start([this.tools.ip, ...args]));
    if (code === 0) return stdout;
    throw new CommandError(`ip ${args.join(" ")}: ${stderr.trim() || `exit code ${code}`}`, {
      hint: "the demo makes network namespaces: in a container it needs CAP_SYS_ADMIN and CAP_NET_ADMIN",
    });
  }

  #start(command: readonly string[]): DemoProcess {
    this.interruption.throwIfAborted();
    const started = new DemoProcess(command, selfEnvironment());
    this.#processes.add(started);
    return started;
  }

  async #finish(started: DemoProcess): Promise<RunResult> {
    const code = await started.exited;
    this.#processes.delete(started);
    this.interruption.throwIfAborted();
    return { code, stdout: started.stdout, stderr: started.stderr };
  }

  #killAll(): void {
    for (const started of this.#processes) started.kill();
  }

  #deleteNamespaces(): void {
    for (const side of this.#made.splice(0)) deleteNamespace(this.tools, this.name(side));
  }
}

/** With everything that runs in it. What is gone already is no failure. */
function deleteNamespace({ ip }: DemoTools, name: string): void {
  // In sessions of their own: a Ctrl-C now must not stop the cleaning up.
  const netns = (verb: "pids" | "delete") => Bun.spawnSync([ip, "netns", verb, name], { detached: true });
  for (const pid of netns("pids").stdout.toString().split("\n").filter(Boolean)) kill(Number(pid));
  netns("delete");
}

export interface DemoTools {
  readonly ip: string;
  readonly nsenter: string;
}

/** The programs of the demo, with the package to install where one is missing. */
export function findDemoTools(): DemoTools {
  // The PATH of an ordinary user's `su` lacks sbin.
  const path = (process.env["PATH"] ?? DEFAULT_PATH).replaceAll(/([^:]*\/)bin(?=:|$)/g, "$1bin:$1sbin");
  const find = (name: string, packageName: string): string => {
    const found = Bun.which(name, { PATH: path });
    if (found !== null) return found;
    throw new CommandError(`${name} is not installed, and the demo needs it`, {
      hint: `install the package ${packageName}: apt-get install ${packageName}`,
    });
  };
  find("iptables-restore", "iptables");
  return { ip: find("ip", "iproute2"), nsenter: find("nsenter", "util-linux") };
}

/** Namespaces of demos that did not get to remove them. */
function orphans(): string[] {
  return namespaces().filter((name) => {
    const owner = NAME.exec(name)?.[1];
    return owner !== undefined && !isDemo(Number(owner));
  });
}

function namespaces(): string[] {
  try {
    return readdirSync(NAMESPACES_DIRECTORY);
  } catch {
    // No namespace was ever made on this machine.
    return [];
  }
}

/** The number alone would not do: it may be another program's by now. */
function isDemo(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").includes("demo");
  } catch {
    return false;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}
