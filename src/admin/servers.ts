// Binds the agent's own HTTP surfaces. Shell: called by commands/proxy.ts, before root is given up.
import type { Server } from "bun";
import type { Hono } from "hono";
import { type Bind, bindWithFallback } from "../net/bind.ts";
import { type AdminSource, adminApp, healthApp, prometheusApp, statusApp } from "./apps.ts";

export interface AdminBinds {
  readonly admin: Bind;
  readonly status: Bind;
  readonly health: Bind;
  readonly prometheus: Bind;
}

/** Where the surfaces belong: the admin on the loopback address alone, the others everywhere. */
export function standardBinds(ports: {
  admin: number;
  status: number;
  health: number;
  prometheus: number;
}): AdminBinds {
  return {
    admin: { host: "127.0.0.1", port: ports.admin },
    status: { host: "::", port: ports.status },
    health: { host: "::", port: ports.health },
    prometheus: { host: "::", port: ports.prometheus },
  };
}

/** Nothing that is asked here has a body. */
const MAX_BODY_BYTES = 64 * 1024;
/** A client that says nothing, or does not read, is closed after this. (seconds) */
const IDLE_TIMEOUT_S = 30;

/** The surfaces that are up. */
export class AdminServers {
  readonly #servers: Server<undefined>[];

  constructor(servers: Server<undefined>[]) {
    this.#servers = servers;
  }

  /** Ends them at once, open connections too. */
  async stop(): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.stop(true)));
  }
}

/**
 * Binds the surfaces whose port is not 0.
 * @throws CommandError when one cannot be bound; none is left running then
 */
export function startAdmin(binds: AdminBinds, source: AdminSource): AdminServers {
  const apps: [Bind, Hono][] = [
    [binds.admin, adminApp(source)],
    [binds.status, statusApp(source)],
    [binds.health, healthApp(source)],
    [binds.prometheus, prometheusApp(source)],
  ];
  const servers: Server<undefined>[] = [];
  try {
    for (const [bind, app] of apps) if (bind.port !== 0) servers.push(serve(bind, app));
  } catch (error) {
    for (const server of servers) server.stop(true);
    throw error;
  }
  return new AdminServers(servers);
}

function serve(bind: Bind, app: Hono): Server<undefined> {
  return bindWithFallback(bind, (hostname) =>
    Bun.serve({
      hostname,
      port: bind.port,
      fetch: (request) => app.fetch(request),
      maxRequestBodySize: MAX_BODY_BYTES,
      idleTimeout: IDLE_TIMEOUT_S,
      // Not what Bun takes by itself: outside of development it shares the port with whoever has it.
      development: false,
      reusePort: false,
    }),
  );
}
