// From samples to the table: medians, the spread between rounds, and the ratio to nginx. Pure; main.ts prints it.
import type { Sample } from "./load.ts";

/** All rounds of one subject in one scenario. */
export interface Cell {
  readonly scenario: string;
  readonly subject: string;
  readonly rounds: readonly Sample[];
}

/** A cell in numbers. `undefined` where there is no proxy to measure, or no nginx to compare with. */
export interface Summary {
  readonly scenario: string;
  readonly subject: string;
  /** Median of the proxy's CPU time for a request. Microseconds. */
  readonly cpuMicros: number | undefined;
  /** The smallest of the rounds: on a busy machine the one least disturbed. Microseconds. */
  readonly bestCpuMicros: number | undefined;
  /** Median over the rounds of (this / nginx in the same round): what disturbs a round disturbs both. */
  readonly ratioToNginx: number | undefined;
  /** (largest - smallest) / median of the CPU time over the rounds. */
  readonly spread: number | undefined;
  readonly requestsPerSecond: number;
  readonly p99Micros: number;
  readonly ownShare: number;
}

/** The middle value; of an even number the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("no values have no median");
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Reduces every cell to its numbers, in the order of the cells. */
export function summarize(cells: readonly Cell[]): Summary[] {
  return cells.map((cell) => {
    const cpu = cell.rounds.flatMap((round) => round.cpuMicros ?? []);
    const nginx = cells.find((other) => other.scenario === cell.scenario && other.subject === "nginx");
    const ratios = cell.rounds.flatMap((round, index) => {
      const reference = nginx?.rounds[index]?.cpuMicros;
      return round.cpuMicros === undefined || reference === undefined ? [] : round.cpuMicros / reference;
    });
    return {
      scenario: cell.scenario,
      subject: cell.subject,
      cpuMicros: cpu.length === 0 ? undefined : median(cpu),
      bestCpuMicros: cpu.length === 0 ? undefined : Math.min(...cpu),
      ratioToNginx: ratios.length === 0 ? undefined : median(ratios),
      spread: cpu.length === 0 ? undefined : (Math.max(...cpu) - Math.min(...cpu)) / median(cpu),
      requestsPerSecond: median(cell.rounds.map((round) => round.requestsPerSecond)),
      p99Micros: median(cell.rounds.map((round) => round.p99Micros)),
      ownShare: median(cell.rounds.map((round) => round.ownShare)),
    };
  });
}

const COLUMNS = ["", "CPU µs/req", "best", "vs nginx", "spread", "req/s", "core used", "p99 ms"] as const;

/** The table of one scenario: a heading and one line for each subject, columns aligned. */
export function renderTable(title: string, rows: readonly Summary[]): string {
  const cells = rows.map((row) => [
    row.subject,
    row.cpuMicros?.toFixed(1) ?? "-",
    row.bestCpuMicros?.toFixed(1) ?? "-",
    row.ratioToNginx?.toFixed(2) ?? "-",
    row.spread === undefined ? "-" : percent(row.spread),
    row.requestsPerSecond.toFixed(0),
    row.cpuMicros === undefined ? "-" : percent(row.ownShare),
    (row.p99Micros / 1000).toFixed(1),
  ]);
  const widths = COLUMNS.map((heading, column) => Math.max(heading.length, ...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row.map((text, column) => (column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!))).join("  ");
  return [title, ...[COLUMNS, ...cells].map((row) => `  ${line(row)}`.trimEnd())].join("\n");
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
