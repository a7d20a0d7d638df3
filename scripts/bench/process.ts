// Processes that the bench starts: pinned to one core, ended with the bench, their CPU time and memory read from /proc.
// Not a supervisor: a process that dies is an error of the run.
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { createServer } from "node:net";

/** USER_HZ, the unit of utime and stime in /proc/PID/stat: 100 on every Linux architecture that Bun runs on. */
const TICKS_PER_SECOND = 100;

/** A started process together with its children, on one core. */
export class PinnedProcess implements AsyncDisposable {
  readonly pid: number;
  readonly #process: Bun.Subprocess;

  /**
   * @param command program and arguments
   * @param core the only CPU it may run on
   * @param outputFile receives stdout and stderr
   */
  constructor(
    private readonly command: readonly string[],
    core: number,
    private readonly outputFile: string,
  ) {
    const output = openSync(outputFile, "a");
    try {
      // The signal on the parent's death ends it even when the bench itself is killed.
      this.#process = Bun.spawn(["setpriv", "--pdeathsig", "TERM", "taskset", "-c", `${core}`, ...command], {
        stdin: "ignore",
        stdout: output,
        stderr: output,
      });
    } finally {
      closeSync(output);
    }
    this.pid = this.#process.pid;
  }

  /** CPU time of the process and its children since they started: user and system, threads that ended included. Microseconds. */
  cpuMicros(): number {
    return processTree(this.pid).reduce((sum, pid) => sum + cpuTicks(pid), 0) * (1e6 / TICKS_PER_SECOND);
  }

  /** The end of what it printed, for an error message. */
  lastWords(): string {
    return readFileSync(this.outputFile, "utf8").trim().split("\n").slice(-12).join("\n");
  }

  /** Resolves when something accepts on the port; throws with the process's output when it ended first. */
  async untilListening(port: number): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (performance.now() < deadline) {
      if (this.#process.exitCode !== null) break;
      if (await accepts(port)) return;
      await Bun.sleep(20);
    }
    throw new Error(`${this.command.join(" ")} does not listen on ${port}: ${this.lastWords()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    const ended = await Promise.race([this.#process.exited.then(() => true), Bun.sleep(3000).then(() => false)]);
    if (!ended) this.#process.kill("SIGKILL");
    await this.#process.exited;
  }
}

/** A TCP port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("the kernel gave no port");
  return address.port;
}

/** Resident memory of a process (VmRSS). Bytes. */
export function residentBytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has ended`);
  return Number(kilobytes) * 1024;
}

/** Time that all processes together have used of one core since boot. Microseconds. */
export function coreBusyMicros(core: number): number {
  const line = readFileSync("/proc/stat", "utf8")
    .split("\n")
    .find((text) => text.startsWith(`cpu${core} `));
  if (line === undefined) throw new Error(`this machine has no CPU ${core}: the bench needs two`);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq) * (1e6 / TICKS_PER_SECOND);
}

function processTree(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  if (!existsSync(file)) return [pid];
  const children = readFileSync(file, "utf8").split(" ").filter(Boolean).map(Number);
  return [pid, ...children.flatMap(processTree)];
}

function cpuTicks(pid: number): number {
  // Fields after the command name in parentheses (which may hold blanks): utime and stime are 14 and 15 of proc(5).
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

async function accepts(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: "127.0.0.1", port, socket: { data() {} } });
    socket.end();
    return true;
  } catch {
    return false;
  }
}
