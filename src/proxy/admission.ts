// What an accepted connection is, before a byte of it is read. Pure.
import type { Endpoint } from "./endpoint.ts";
import type { Direction } from "./record.ts";
import type { Route } from "./services.ts";

/** Inbound connections reach the application from here, so that the rules let them through (Istio: 127.0.0.6, ::6). */
export const INBOUND_SOURCE_V4 = "127.0.0.6";
export const INBOUND_SOURCE_V6 = "::6";

/** Our own ports, as far as they are open. */
export interface OwnPorts {
  /** Health and metrics: readable through the inbound listener. */
  readonly readable: ReadonlySet<number>;
  /** Admin and the listeners themselves: never reachable through it. */
  readonly closed: ReadonlySet<number>;
}

/** What the shell knows of an accepted connection. */
export interface Arrival {
  readonly direction: Exclude<Direction, "listen">;
  readonly listenerPort: number;
  /** Our end of the accepted socket. */
  readonly localAddress: string;
  /** What the kernel says; undefined when conntrack knows none. */
  readonly original: Endpoint | undefined;
}

/** Where the connection goes, or why it goes nowhere. */
export type Verdict = { readonly route: Route } | { readonly refusal: "direct" | "own_port" };

/** Judges a connection on a redirected listener. */
export function judge(arrival: Arrival, own: OwnPorts): Verdict {
  const { direction, listenerPort, localAddress, original } = arrival;
  // Without a redirect the kernel reports the socket's own address: forwarding would connect us to ourselves.
  if (original === undefined || (original.port === listenerPort && original.address === localAddress)) {
    return { refusal: "direct" };
  }
  const isInbound = direction === "inbound";
  if (isInbound && own.closed.has(original.port)) return { refusal: "own_port" };
  const source = isInbound ? (original.address.includes(":") ? INBOUND_SOURCE_V6 : INBOUND_SOURCE_V4) : undefined;
  return {
    route: {
      direction,
      original,
      upstream: original,
      source,
      cluster: isInbound ? "InboundPassthroughCluster" : "PassthroughCluster",
      poolKey: poolKeyOf(original, source),
      isOwnPort: isInbound && own.readable.has(original.port),
    },
  };
}

/** The route of a plain reverse proxy: every connection goes to `target`. */
export function targetRoute(listener: Endpoint, target: Endpoint): Route {
  return {
    direction: "listen",
    original: listener,
    upstream: target,
    source: undefined,
    cluster: `outbound|${target.port}||${target.address}`,
    poolKey: poolKeyOf(target, undefined),
    isOwnPort: false,
  };
}

function poolKeyOf(endpoint: Endpoint, source: string | undefined): string {
  return `${endpoint.address}|${endpoint.port}|${source ?? ""}`;
}
