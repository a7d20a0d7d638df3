// Where a redirected connection was going before netfilter changed it. Shell: getsockopt through FFI.
import { dlopen, type Pointer, ptr } from "bun:ffi";
import ipaddr from "ipaddr.js";
import type { Endpoint } from "../proxy/endpoint.ts";

/** linux/netfilter_ipv4.h and linux/netfilter_ipv6/ip6_tables.h: both options have the number 80. */
const SO_ORIGINAL_DST = 80;
const SOL_IP = 0;
const SOL_IPV6 = 41;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;

const libc = dlopen("libc.so.6", {
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
});

// An explicit ArrayBuffer: the storage of a small typed array may move when code is compiled again, and the pointer
// would go stale without a word.
const address = new Uint8Array(new ArrayBuffer(SOCKADDR_IN6_BYTES));
const length = new Uint32Array(new ArrayBuffer(4));
const addressPointer: Pointer = ptr(address);
const lengthPointer: Pointer = ptr(length);

/**
 * Original destination of the accepted socket `fd`; undefined when conntrack knows none. A connection that was not
 * redirected has its own local address here. About 0.7 µs.
 */
export function originalDestination(fd: number, isIpv6: boolean): Endpoint | undefined {
  length[0] = isIpv6 ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES;
  const level = isIpv6 ? SOL_IPV6 : SOL_IP;
  if (libc.symbols.getsockopt(fd, level, SO_ORIGINAL_DST, addressPointer, lengthPointer) !== 0) return undefined;
  const port = (address[2]! << 8) | address[3]!;
  if (!isIpv6) return { address: `${address[4]}.${address[5]}.${address[6]}.${address[7]}`, port };
  return { address: new ipaddr.IPv6(Array.from(address.subarray(8, 24))).toRFC5952String(), port };
}
