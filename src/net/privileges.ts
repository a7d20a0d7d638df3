// Giving up root after everything is bound. Shell.
import { CommandError } from "../config/errors.ts";

/**
 * Becomes `uid` and `gid`, without supplementary groups; all threads, and with the uid all capabilities go. Does nothing
 * for a process that is not root. Returns whether it did.
 */
export function dropRoot(uid: number, gid: number): boolean {
  if (process.getuid?.() !== 0 || uid === 0) return false;
  try {
    process.setgroups!([gid]);
    process.setgid!(gid);
    process.setuid!(uid);
  } catch (error) {
    throw new CommandError(
      `cannot become uid ${uid} and gid ${gid}: ${error instanceof Error ? error.message : error}`,
      {
        hint: "start the proxy as that user, or as root with the capabilities SETUID and SETGID",
      },
    );
  }
  return true;
}
