// The address ::6 on the loopback interface, from which the proxy connects to the application over IPv6. Shell.
// By ioctl, not by `ip`: the image has no iproute2. IPv4 needs nothing, all of 127.0.0.0/8 is there.
import { dlopen } from "bun:ffi";
import { readFileSync } from "node:fs";
import { CommandError } from "../config/errors.ts";

/** Column 1 of /proc/net/if_inet6. */
const ADDRESS_HEX = "00000000000000000000000000000006";
const PREFIX_BITS = 128;
/** The same in every network namespace (LOOPBACK_IFINDEX, linux/netdevice.h). */
const LOOPBACK_INDEX = 1;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
/** linux/sockios.h */
const SIOCSIFADDR = 0x8916;
const SIOCDIFADDR = 0x8936;

/** Makes sure that lo has ::6/128; true when it had not. Throws CommandError. */
export function addPassthroughAddress(): boolean {
  if (hasPassthroughAddress()) return false;
  changeAddress(SIOCSIFADDR);
  if (hasPassthroughAddress()) return true;
  throw new CommandError("cannot add ::6/128 to lo, from where the proxy reaches the application over IPv6", {
    hint: "is IPv6 disabled on lo (sysctl net.ipv6.conf.lo.disable_ipv6)? --ip-family 4 leaves IPv6 out",
  });
}

/** Takes ::6/128 from lo; true when it was there. Nothing else uses the address, so it is ours. */
export function removePassthroughAddress(): boolean {
  if (!hasPassthroughAddress()) return false;
  changeAddress(SIOCDIFADDR);
  if (!hasPassthroughAddress()) return true;
  throw new CommandError("cannot remove ::6/128 from lo");
}

export function hasPassthroughAddress(): boolean {
  try {
    const lines = readFileSync("/proc/net/if_inet6", "latin1").split("\n");
    return lines.some((line) => line.startsWith(ADDRESS_HEX) && line.trim().endsWith(" lo"));
  } catch {
    // A kernel without IPv6 has no such file.
    return false;
  }
}

/** Whether it worked is asked of /proc: errno does not survive the way out of the call. */
function changeAddress(request: number): void {
  const libc = dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
    close: { args: ["i32"], returns: "i32" },
  });
  try {
    const socket = libc.symbols.socket(AF_INET6, SOCK_DGRAM, 0);
    if (socket < 0) return;
    libc.symbols.ioctl(socket, request, inet6Request());
    libc.symbols.close(socket);
  } finally {
    libc.close();
  }
}

/** struct in6_ifreq (linux/ipv6.h): the address, its prefix length, the interface. */
function inet6Request(): Uint8Array {
  // Storage of its own: the collector may move what a plain Uint8Array keeps inline.
  const buffer = new ArrayBuffer(24);
  const view = new DataView(buffer);
  view.setUint8(15, 6);
  view.setUint32(16, PREFIX_BITS, true);
  view.setInt32(20, LOOPBACK_INDEX, true);
  return new Uint8Array(buffer);
}
