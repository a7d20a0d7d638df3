// hot path
// Idle upstream connections, by endpoint and source address; the last one returned is the first one taken (it is the
// least likely to have been closed by the server). Shell: it dials.
import { HttpUpstream } from "../proxy/http-upstream.ts";
import type { Dialer, Route, Services, UpstreamPool } from "../proxy/services.ts";

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

  release(upstream: HttpUpstream): void {
    const { settings } = this.services;
    let idle = this.#idle.get(upstream.poolKey);
    if (idle === undefined) {
      idle = [];
      this.#idle.set(upstream.poolKey, idle);
    }
    if (idle.length >= settings.maxIdleConnectionsPerEndpoint) idle.shift()!.onDeadline();
    idle.push(upstream);
    upstream.wire.setDeadline(settings.upstreamIdleTimeoutMs);
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
