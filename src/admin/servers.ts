// Binds the agent's own HTTP surfaces. Shell: called by commands/proxy.ts, before root is given up.
import type { Server } from "bun";
import type { Hono } from "hono";
import { CommandError } from "../config/errors.ts";
import { formatEndpoint } from "../proxy/endpoint.ts";
import { type AdminSource, adminApp, healthApp, prometheusApp, statusApp } from "./apps.ts";

/** Address and port of one surface; port 0 leaves it out. `::` is every address of both families. */
export interface Bind {
  readonly host: string;
  readonly port: number;
}

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

/** `listen` at the address; where the machine has no IPv6, `::` becomes `0.0.0.0`. Failures become CommandErrors. */
export function bindWithFallback<T>(bind: Bind, listen: (hostname: string) => T): T {
  try {
    return listen(bind.host);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (bind.host === "::" && (code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL")) {
      return bindWithFallback({ ...bind, host: "0.0.0.0" }, listen);
    }
    const where = formatEndpoint({ address: bind.host, port: bind.port });
    throw new CommandError(`cannot bind ${where}: ${BIND_REASONS[code ?? ""] ?? message}`, { cause: error });
  }
}

const BIND_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "address in use (is another proxy running in this pod?)",
  EACCES: "permission denied (ports below 1024 need root)",
  EADDRNOTAVAIL: "this machine does not have that address",
};
