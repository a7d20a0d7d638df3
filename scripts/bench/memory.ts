// Measures how far the agent's resident memory grows while large bodies wait for a sleeping reader.
// Called by main.ts for `scripts/bench/run memory`, and by the end-to-end test of the same promise.
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, PinnedProcess, residentBytes } from "./process.ts";
import { Origin, type TransferDirection, type TransferPlan, type TransferResult, transfer } from "./slow-transfer.ts";
import { agentCommand, PROXY_CORE } from "./subjects.ts";

/** Growth that the agent promises not to reach, whatever the size of the body. Bytes. */
export const GROWTH_LIMIT_BYTES = 64_000_000;

/** 1 GB; the reader sleeps 2 s after every 100 MB. */
export const SLOW_READER: TransferPlan = {
  totalBytes: 1_000_000_000,
  sleepEveryBytes: 100_000_000,
  sleepMs: 2000,
  timeoutMs: 60_000,
};

const SAMPLE_EVERY_MS = 20;

/** One transfer, and the agent's memory meanwhile. */
export interface MemoryResult extends TransferResult {
  readonly direction: TransferDirection;
  /** Resident memory before the transfer, the highest while it ran, and the difference. Bytes. */
  readonly restingBytes: number;
  readonly peakBytes: number;
  readonly growthBytes: number;
}

/** Starts an agent and sends one body through it in each of the directions, all at the same time. */
export async function measureMemory(
  directions: readonly TransferDirection[],
  plan: TransferPlan = SLOW_READER,
): Promise<MemoryResult[]> {
  const directory = mkdtempSync(join(tmpdir(), "pilotfish-memory-"));
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(directory, { recursive: true, force: true }));
  // The agent writes its log here after it has given up root.
  chmodSync(directory, 0o777);

  const origin = cleanup.use(new Origin(plan));
  const port = await freePort();
  const command = agentCommand(port, origin.port, join(directory, "access.log"));
  const agent = cleanup.use(new PinnedProcess(command, PROXY_CORE, join(directory, "output.log")));
  await agent.untilListening(port);
  // A first request brings in the code of the data path: what grows afterwards is held data.
  await (await fetch(`http://127.0.0.1:${port}/`)).text();

  const restingBytes = residentBytes(agent.pid);
  let peakBytes = restingBytes;
  const sampler = setInterval(() => {
    peakBytes = Math.max(peakBytes, residentBytes(agent.pid));
  }, SAMPLE_EVERY_MS);
  try {
    const results = await Promise.all(directions.map((direction) => transfer(port, direction, plan)));
    return results.map((result, index) => ({
      ...result,
      direction: directions[index]!,
      restingBytes,
      peakBytes,
      growthBytes: peakBytes - restingBytes,
    }));
  } finally {
    clearInterval(sampler);
  }
}

/** Both directions one after the other, printed; the exit code. */
export async function benchMemory(json: boolean): Promise<number> {
  const results = [...(await measureMemory(["upload"])), ...(await measureMemory(["download"]))];
  if (json) console.log(JSON.stringify(results, null, 2));
  else for (const result of results) console.log(describe(result));
  return results.every(({ growthBytes, intact }) => intact && growthBytes < GROWTH_LIMIT_BYTES) ? 0 : 1;
}

function describe(result: MemoryResult): string {
  const { direction, bytes, intact, seconds, sleeps, restingBytes, peakBytes, growthBytes } = result;
  const mb = (value: number) => `${(value / 1e6).toFixed(1)} MB`;
  const state = intact ? "intact" : "DAMAGED";
  return (
    `${direction.padEnd(8)}  ${mb(bytes)} ${state} in ${seconds.toFixed(1)} s, the reader slept ${sleeps} times; ` +
    `memory ${mb(restingBytes)} -> ${mb(peakBytes)}: grew ${mb(growthBytes)} (limit ${mb(GROWTH_LIMIT_BYTES)})`
  );
}
