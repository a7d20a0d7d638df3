// Runs iptables' programs: finds them, bounds their time, turns failures into sentences. Shell; apply.ts is its caller.
import { existsSync } from "node:fs";
import { CommandError } from "../config/errors.ts";
import { TOOL } from "./render.ts";
import type { Family } from "./rule.ts";

/** The three programs of a family, as absolute paths. */
export interface Toolset {
  readonly family: Family;
  readonly save: string;
  readonly restore: string;
}

/** What a process without PATH gets. */
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** Seconds to wait for the lock of the legacy tools; the nft ones have none and ignore it. */
const LOCK_WAIT_S = 30;
const SAVE_TIMEOUT_MS = 15_000;
/** Longer than the wait for the lock, so that its own message is seen. */
const RESTORE_TIMEOUT_MS = (LOCK_WAIT_S + 15) * 1000;

/** Undefined when they are not installed. */
export function findTools(family: Family): Toolset | undefined {
  const save = findProgram(`${TOOL[family]}-save`);
  const restore = findProgram(`${TOOL[family]}-restore`);
  return save === undefined || restore === undefined ? undefined : { family, save, restore };
}

export function requireTools(family: Family): Toolset {
  const tools = findTools(family);
  if (tools !== undefined) return tools;
  throw new CommandError(`${TOOL[family]} is not installed, or not on PATH (${process.env["PATH"] ?? DEFAULT_PATH})`, {
    hint: "install the package iptables: apt-get install iptables",
  });
}

/** Looks beside each …/bin for …/sbin too: the PATH of an ordinary user's `su` lacks it. */
function findProgram(name: string): string | undefined {
  const directories = (process.env["PATH"] ?? DEFAULT_PATH).split(":").filter((directory) => directory.startsWith("/"));
  const withSbin = directories.flatMap((directory) =>
    /\/bin\/?$/.test(directory) ? [directory, directory.replace(/bin\/?$/, "sbin")] : [directory],
  );
  return withSbin.map((directory) => `${directory}/${name}`).find((path) => existsSync(path));
}

/** The live rules as text. */
export function save(tools: Toolset, withCounters = false): Promise<string> {
  return run([tools.save, ...(withCounters ? ["-c"] : [])], SAVE_TIMEOUT_MS);
}

/** Feeds `input`; with `test` the kernel is left as it is. Throws CommandError with the program's own words. */
export async function restore(tools: Toolset, input: string, test = false): Promise<void> {
  const options = ["--noflush", `--wait=${LOCK_WAIT_S}`, ...(test ? ["--test"] : [])];
  await run([tools.restore, ...options], RESTORE_TIMEOUT_MS, input);
}

async function run(command: readonly [string, ...string[]], timeoutMs: number, input = ""): Promise<string> {
  const child = Bun.spawn([...command], {
    stdin: new Blob([input]),
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, LC_ALL: "C" },
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    // A session of its own: a terminal's Ctrl-C goes to a whole process group, and would hit half of a change.
    detached: true,
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code === 0) return stdout;
  const name = command[0].split("/").at(-1);
  const reason = child.signalCode === "SIGKILL" ? `no answer within ${timeoutMs / 1000} s` : `exit ${code}`;
  throw new CommandError(`${name}: ${firstWords(stderr) || reason}`);
}

const MAX_REASON = 300;

/** The program's message in one line, without its advice to read the manual. */
function firstWords(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.trim());
  const useful = lines.filter((line) => line !== "" && !line.startsWith("Try `") && !line.startsWith("#"));
  return useful.join(" ").slice(0, MAX_REASON);
}
