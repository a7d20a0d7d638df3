// An address and a port, as the kernel gives them and as logs print them. Pure.

/** One end of a connection. `address` is textual IPv4 or IPv6 (never v4-mapped, no brackets). */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** `10.0.0.1:80` or `[2001:db8::1]:80`, as Envoy prints addresses. */
export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.address.includes(":")
    ? `[${endpoint.address}]:${endpoint.port}`
    : `${endpoint.address}:${endpoint.port}`;
}

/** `::ffff:10.0.0.1` (a v4 peer of a `[::]` listener) becomes `10.0.0.1`; anything else is returned as it is. */
export function unmapAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
