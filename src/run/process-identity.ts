// Which process a number means, and who it is: proc(5). Shell. Numbers are reused, so the start time belongs to them.
import { readFileSync } from "node:fs";

/** Clock ticks after boot, as text: the number of a process and this together mean one process for ever. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
}

/** Undefined when there is no such process, or it is a zombie. */
export function identify(pid: number): ProcessIdentity | undefined {
  const stat = procFile(pid, "stat");
  // The name, in brackets, may contain anything, brackets and spaces too.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, startTime] = [fields?.[0], fields?.[19]];
  return state === undefined || state === "Z" || startTime === undefined ? undefined : { pid, startTime };
}

export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  return identify(pid)?.startTime === startTime;
}

/** The effective user; undefined when there is no such process. */
export function effectiveUid(pid: number): number | undefined {
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(procFile(pid, "status") ?? "")?.[1];
  return uid === undefined ? undefined : Number(uid);
}

/** Sends a signal unless the process has ended. */
export function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, name);
  } catch {
    // It ended in between.
  }
}

function procFile(pid: number, name: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return undefined;
  }
}
