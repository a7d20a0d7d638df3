// hot path
// Idle upstream connections, by endpoint and source address; the last one returned is the first one taken (it is the
// least likely to have been closed by the server). Shell: it dials.
import { HttpUpstream } from "../proxy/http-upstream.ts";
import type { Dialer, Route, Services, UpstreamPool } from "../proxy/services.ts";
import type { Wire } from "../proxy/wire.ts";

export class Pool implements UpstreamPool {
  readonly #idle = new Map<string, HttpUpstream[]>();
  services!: Services;

  constructor(private readonly dialer: Dialer) {}

  acquire(route: Route): HttpUpstream {
    const idle = this.#idle.get(route.poolKey);
    if (idle === undefined) return this.connect(route);
    const upstream = idle.pop()!;
    // No empty list stays: outbound there are as many endpoints as there are servers in the world.
    if (idle.length === 0) this.#idle.delete(route.poolKey);
    return upstream;
  }

  connect(route: Route): HttpUpstream {
    const upstream = new HttpUpstream(route.poolKey, this.services);
    upstream.wire = this.dialer.dial(route.upstream, route.source, upstream);
    return upstream;
  }

  adopt(route: Route, wire: Wire): void {
    const upstream = new HttpUpstream(route.poolKey, this.services);
    upstream.adopt(wire);
    this.#keep(upstream);
    if (upstream.isEstablished) wire.setDeadline(this.services.settings.upstreamIdleTimeoutMs);
  }

  release(upstream: HttpUpstream): void {
    this.#keep(upstream);
    upstream.wire.setDeadline(this.services.settings.upstreamIdleTimeoutMs);
  }

  #keep(upstream: HttpUpstream): void {
    let idle = this.#idle.get(upstream.poolKey);
    if (idle === undefined) {
      idle = [];
      this.#idle.set(upstream.poolKey, idle);
    }
    if (idle.length >= this.services.settings.maxIdleConnectionsPerEndpoint) idle.shift()!.onDeadline();
    idle.push(upstream);
  }

  forget(upstream: HttpUpstream): void {
    const idle = this.#idle.get(upstream.poolKey);
    const at = idle?.indexOf(upstream) ?? -1;
    if (idle === undefined || at < 0) return;
    idle.splice(at, 1);
    if (idle.length === 0) this.#idle.delete(upstream.poolKey);
  }

  /** Number of endpoints that idle connections are kept for. */
  get endpointCount(): number {
    return this.#idle.size;
  }

  /** Closes every idle connection: the last step of a drain. */
  closeIdle(): void {
    for (const idle of [...this.#idle.values()]) for (const upstream of [...idle]) upstream.onDeadline();
  }
}
