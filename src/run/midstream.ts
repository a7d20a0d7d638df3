// Keeps connections that are older than the rules out of the rules: an SSH session must survive `agent run`. Shell.
// Connection tracking begins with the first rule that needs it. It takes a packet from the middle of an older connection
// for the first of a new one, whose direction it guesses, and NAT redirects it: the connection dies. With
// nf_conntrack_tcp_loose = 0 such packets belong to no connection, and NAT leaves them alone.
// (Documentation/networking/nf_conntrack-sysctl.rst; the setting is the network namespace's own.)
import { readFileSync, writeFileSync } from "node:fs";

const SETTING = "/proc/sys/net/netfilter/nf_conntrack_tcp_loose";

/** Returns what to give to `restoreMidstream`; undefined when there is nothing to restore, or nothing could be done. */
export function spareMidstream(): string | undefined {
  const before = read() ?? loadModule();
  if (before === undefined || before === "0") return undefined;
  return write("0") ? before : undefined;
}

export function restoreMidstream(before: string | undefined): void {
  if (before !== undefined) write(before);
}

/** Whether connections older than the rules are safe. */
export function isMidstreamSpared(): boolean {
  return read() === "0";
}

/** The setting does not exist before the kernel's module does. */
function loadModule(): string | undefined {
  const modprobe = Bun.which("modprobe", { PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` });
  if (modprobe !== null) Bun.spawnSync([modprobe, "-q", "nf_conntrack"], { stdout: "ignore", stderr: "ignore" });
  return read();
}

function read(): string | undefined {
  try {
    return readFileSync(SETTING, "utf8").trim();
  } catch {
    return undefined;
  }
}

function write(value: string): boolean {
  try {
    writeFileSync(SETTING, value);
    return true;
  } catch {
    // A container may have /proc/sys read-only.
    return false;
  }
}
