// Runs one scenario against one subject with wrk, and says what a request cost. Refuses to count answers that are wrong.
import { join } from "node:path";
import { coreBusyMicros } from "./process.ts";
import { CONNECTIONS, type Scenario } from "./scenarios.ts";
import { LOAD_CORE, PROXY_CORE, type Running } from "./subjects.ts";

/** One measurement of a few seconds. */
export interface Sample {
  /** CPU time of the proxy's processes for each completed request; undefined without a proxy. Microseconds. */
  readonly cpuMicros: number | undefined;
  readonly requestsPerSecond: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
  /** Share of the proxy's core that it used itself, and that something else on the machine used; 0 to 1. */
  readonly ownShare: number;
  readonly foreignShare: number;
}

interface WrkReport {
  readonly requests: number;
  readonly bytes: number;
  readonly durationMicros: number;
  readonly statusErrors: number;
  readonly socketErrors: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
}

/** Loads the subject for some seconds; throws when any answer was an error or too short. */
export async function measure(subject: Running, scenario: Scenario, seconds: number): Promise<Sample> {
  const coreBefore = coreBusyMicros(PROXY_CORE);
  const cpuBefore = subject.process?.cpuMicros() ?? 0;
  const report = await runWrk(subject.port, scenario, seconds);
  const cpu = (subject.process?.cpuMicros() ?? 0) - cpuBefore;
  const coreBusy = coreBusyMicros(PROXY_CORE) - coreBefore;

  if (report.statusErrors > 0 || report.socketErrors > 0)
    throw new Error(
      `${scenario.name}: of ${report.requests} requests ${report.statusErrors} had an error status, and ${report.socketErrors} socket errors were seen`,
    );
  if (report.bytes < report.requests * scenario.answerBytes)
    throw new Error(`${scenario.name}: ${report.requests} answers had only ${report.bytes} bytes together`);
  return {
    cpuMicros: subject.process === undefined ? undefined : cpu / report.requests,
    requestsPerSecond: report.requests / (report.durationMicros / 1e6),
    p50Micros: report.p50Micros,
    p99Micros: report.p99Micros,
    ownShare: cpu / report.durationMicros,
    foreignShare: Math.max(0, coreBusy - cpu) / report.durationMicros,
  };
}

async function runWrk(port: number, scenario: Scenario, seconds: number): Promise<WrkReport> {
  const wrk = Bun.spawn(
    [
      ...["setpriv", "--pdeathsig", "TERM", "taskset", "-c", `${LOAD_CORE}`],
      ...["wrk", "--threads", "1", "--connections", `${CONNECTIONS}`, "--duration", `${seconds}s`, "--timeout", "10s"],
      ...["--script", join(import.meta.dir, "wrk-report.lua")],
      ...scenario.headers.flatMap((header) => ["--header", header]),
      `http://127.0.0.1:${port}${scenario.path}`,
    ],
    { stdout: "ignore", stderr: "pipe", env: { ...process.env, BENCH_POST_BYTES: `${scenario.postBytes}` } },
  );
  const text = await new Response(wrk.stderr).text();
  if ((await wrk.exited) !== 0) throw new Error(`wrk failed: ${text.trim()}`);
  const report = JSON.parse(text) as WrkReport;
  if (report.requests === 0) throw new Error(`${scenario.name}: no request was answered`);
  return report;
}
