// An address range as the rules name it. Pure; the flags' schemas and the comparison of rules use it.
import ipaddr from "ipaddr.js";
import type { Family } from "./rule.ts";

export interface Cidr {
  readonly family: Family;
  /** Canonical text with its prefix length. Host bits are kept (10.1.2.3/8): the kernel masks them. */
  readonly text: string;
  /** The address before the slash is a loopback address. */
  readonly isLoopback: boolean;
  readonly prefix: number;
}

/** `10.0.0.0/8`, `fd00::/8`; undefined for anything else: a prefix length is required, zones and short forms are not known. */
export function parseCidr(text: string): Cidr | undefined {
  const [, host, digits] = /^([0-9A-Fa-f:.]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  if (host === undefined || digits === undefined) return undefined;
  const prefix = Number(digits);
  if (ipaddr.IPv4.isValidFourPartDecimal(host) && !/(^|\.)0\d/.test(host)) {
    const address = ipaddr.IPv4.parse(host);
    const isLoopback = address.range() === "loopback";
    return prefix > 32 ? undefined : { family: 4, text: `${address}/${prefix}`, isLoopback, prefix };
  }
  if (host.includes(":") && ipaddr.IPv6.isValid(host)) {
    const address = ipaddr.IPv6.parse(host);
    const isLoopback = address.range() === "loopback";
    return prefix > 128 ? undefined : { family: 6, text: `${address.toRFC5952String()}/${prefix}`, isLoopback, prefix };
  }
  return undefined;
}

/** The text the kernel gives back: host bits masked. What is no CIDR comes back unchanged. */
export function maskedCidr(text: string): string {
  if (!ipaddr.isValidCIDR(text)) return text;
  const [address, prefix] = ipaddr.parseCIDR(text);
  const bytes = address.toByteArray().map((byte, index) => byte & (0xff00 >> clamp(prefix - index * 8)) & 0xff);
  const network = ipaddr.fromByteArray(bytes);
  return `${network instanceof ipaddr.IPv6 ? network.toRFC5952String() : network}/${prefix}`;
}

/** Bits of the prefix within one byte. */
const clamp = (bits: number): number => Math.max(0, Math.min(8, bits));
