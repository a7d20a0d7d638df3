// Entry of scripts/bench/run: reads the options, runs interleaved rounds, prints the table on stdout and the talk on stderr.
// `memory` as the first argument measures memory under slow readers instead (memory.ts).
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, cpus, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { measure, type Sample } from "./load.ts";
import { benchMemory } from "./memory.ts";
import { type Cell, renderTable, type Summary, summarize } from "./report.ts";
import { CONNECTIONS, SCENARIOS, type Scenario } from "./scenarios.ts";
import {
  PROXY_CORE,
  type Running,
  SUBJECT_NOTES,
  SUBJECTS,
  type SubjectName,
  startBackend,
  startSubject,
} from "./subjects.ts";

const USAGE = `Usage: scripts/bench/run [memory] [options]

CPU time of one request through the agent, nginx and HAProxy, each on core ${PROXY_CORE} with its access log on.
  --rounds N         interleaved rounds; the table shows medians (7)
  --seconds N        length of one measurement (2)
  --subjects A,B     of ${SUBJECTS.join(", ")} (all)
  --scenarios A,B    of ${SCENARIOS.map(({ name }) => name).join(", ")} (all)
  --max-ratio X      end with 1 when the agent's small GET costs more than X times nginx's
  -o, --output FORM  table or json (table)

memory: growth of the agent's resident memory while 1 GB goes up and 1 GB goes down, with readers that sleep; takes -o only.
The environment variable AGENT names another agent than dist/agent, for example "bun src/main.ts".`;

/** Other work on the proxy's core above this share of it makes the numbers doubtful. */
const FOREIGN_SHARE_LIMIT = 0.1;
/** Round 0 is at least this long: the agent's JIT needs some 100,000 requests before the cost of one stands still. Seconds. */
const WARM_UP_SECONDS = 4;

interface Options {
  readonly memory: boolean;
  readonly rounds: number;
  readonly seconds: number;
  readonly subjects: readonly SubjectName[];
  readonly scenarios: readonly Scenario[];
  readonly maxRatio: number | undefined;
  readonly json: boolean;
}

class Usage extends Error {}

function readOptions(args: string[]): Options | "help" {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      rounds: { type: "string", default: "7" },
      seconds: { type: "string", default: "2" },
      subjects: { type: "string", default: SUBJECTS.join(",") },
      scenarios: { type: "string", default: SCENARIOS.map(({ name }) => name).join(",") },
      "max-ratio": { type: "string" },
      output: { type: "string", short: "o", default: "table" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return "help";
  const [verb, ...rest] = positionals;
  if ((verb !== undefined && verb !== "memory") || rest.length > 0)
    throw new Usage(`unknown argument ${positionals.join(" ")}`);
  if (values.output !== "table" && values.output !== "json") throw new Usage("--output is table or json");
  const number = (flag: "rounds" | "seconds" | "max-ratio", pattern: RegExp): number => {
    const text = values[flag] ?? "";
    if (!pattern.test(text)) throw new Usage(`--${flag} "${text}" is not a positive number`);
    return Number(text);
  };
  return {
    memory: verb === "memory",
    rounds: number("rounds", /^[1-9]\d*$/),
    seconds: number("seconds", /^[1-9]\d*$/),
    subjects: chosen("--subjects", values.subjects, SUBJECTS, (name) => name),
    scenarios: chosen("--scenarios", values.scenarios, SCENARIOS, ({ name }) => name),
    maxRatio: values["max-ratio"] === undefined ? undefined : number("max-ratio", /^\d+(\.\d+)?$/),
    json: values.output === "json",
  };
}

function chosen<T>(flag: string, text: string, all: readonly T[], nameOf: (item: T) => string): T[] {
  return text.split(",").map((name) => {
    const item = all.find((candidate) => nameOf(candidate) === name);
    if (item === undefined) throw new Usage(`${flag}: "${name}" is none of ${all.map(nameOf).join(", ")}`);
    return item;
  });
}

/** Every subject in every scenario once a round; the order turns, so that nobody always comes after the same neighbour. */
async function runRounds(options: Options, subjects: ReadonlyMap<SubjectName, Running>): Promise<Cell[]> {
  const samples = new Map<string, Sample[]>();
  // Round 0 warms up connections, caches and the JIT, and is not counted.
  for (let round = 0; round <= options.rounds; round++) {
    const seconds = round === 0 ? Math.max(WARM_UP_SECONDS, options.seconds) : options.seconds;
    for (const scenario of options.scenarios) {
      for (let turn = 0; turn < options.subjects.length; turn++) {
        const name = options.subjects[(turn + round) % options.subjects.length]!;
        const subject = subjects.get(name)!;
        const sample = await measure(subject, scenario, seconds).catch((error: Error) => {
          throw new Error(`${name}: ${error.message}\n${subject.process?.lastWords() ?? ""}`.trim());
        });
        subject.trimLog();
        if (round === 0) continue;
        const key = `${scenario.name}/${name}`;
        samples.set(key, [...(samples.get(key) ?? []), sample]);
      }
    }
    console.error(round === 0 ? "warmed up" : `round ${round} of ${options.rounds}`);
  }
  return options.scenarios.flatMap((scenario) =>
    options.subjects.map((subject) => ({
      scenario: scenario.name,
      subject,
      rounds: samples.get(`${scenario.name}/${subject}`)!,
    })),
  );
}

async function benchRequests(options: Options): Promise<number> {
  requirePrograms(["nginx", "haproxy", "wrk", "taskset", "setpriv"]);
  if (availableParallelism() < 2)
    throw new Error("the bench needs two CPUs: one for the proxy, one for load and backend");
  const directory = mkdtempSync(join(tmpdir(), "pilotfish-bench-"));
  // At exit and not when the function ends: an interrupted run leaves nothing behind either.
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  await using cleanup = new AsyncDisposableStack();
  const backend = cleanup.use(await startBackend(directory));
  const subjects = new Map<SubjectName, Running>();
  for (const name of options.subjects)
    subjects.set(name, cleanup.use(await startSubject(name, directory, backend.port)));
  const cells = await runRounds(options, subjects);

  const rows = summarize(cells);
  const machine = `${cpus()[0]?.model ?? "unknown CPU"}, Linux ${release()}`;
  if (options.json) {
    const { rounds, seconds } = options;
    console.log(JSON.stringify({ machine, connections: CONNECTIONS, rounds, seconds, rows, cells }, null, 2));
  } else {
    printTables(options, rows, machine);
  }
  warnAboutForeignWork(cells);
  return belowLimit(rows, options.maxRatio) ? 0 : 1;
}

function printTables(options: Options, rows: readonly Summary[], machine: string): void {
  const { rounds, seconds, subjects, scenarios } = options;
  console.log(`${machine}; ${CONNECTIONS} connections; medians of ${rounds} rounds of ${seconds} s\n`);
  for (const { name, title } of scenarios)
    console.log(
      `${renderTable(
        title,
        rows.filter((row) => row.scenario === name),
      )}\n`,
    );
  const width = Math.max(...subjects.map((name) => name.length));
  for (const name of subjects) console.log(`${name.padEnd(width)}  ${SUBJECT_NOTES[name]}`);
}

function warnAboutForeignWork(cells: readonly Cell[]): void {
  const shares = cells.flatMap((cell) => cell.rounds.map((round) => round.foreignShare));
  const disturbed = shares.filter((share) => share > FOREIGN_SHARE_LIMIT);
  if (disturbed.length === 0) return;
  const worst = (Math.max(...disturbed) * 100).toFixed(0);
  console.error(
    `${disturbed.length} of ${shares.length} measurements were disturbed: other work took up to ${worst} % of core ${PROXY_CORE}`,
  );
}

function belowLimit(rows: readonly Summary[], maxRatio: number | undefined): boolean {
  if (maxRatio === undefined) return true;
  const ratio = rows.find((row) => row.subject === "agent" && row.scenario === "small-get")?.ratioToNginx;
  if (ratio === undefined)
    throw new Error("--max-ratio needs the subjects agent and nginx, and the scenario small-get");
  if (ratio <= maxRatio) return true;
  console.error(`the agent's small GET costs ${ratio.toFixed(2)} times nginx's; the limit is ${maxRatio}`);
  return false;
}

function requirePrograms(programs: readonly string[]): void {
  const missing = programs.filter((program) => Bun.which(program) === null);
  if (missing.length > 0)
    throw new Error(`missing: ${missing.join(", ")} (apt-get install nginx haproxy wrk util-linux)`);
}

async function main(): Promise<number> {
  try {
    const options = readOptions(Bun.argv.slice(2));
    if (options === "help") {
      console.log(USAGE);
      return 0;
    }
    return options.memory ? await benchMemory(options.json) : await benchRequests(options);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // parseArgs reports a wrong option as a TypeError with such a code.
    const wrongUsage =
      error instanceof Usage || (error as { code?: string }).code?.startsWith("ERR_PARSE_ARGS") === true;
    console.error(wrongUsage ? `${message}\n\n${USAGE}` : message);
    return wrongUsage ? 2 : 1;
  }
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
process.exitCode = await main();
