// The agent's own HTTP surfaces as Hono apps: admin (15000), health (15021), metrics (15090), status (15020).
// They only read; servers.ts binds them. Shapes and paths are Envoy's and pilot-agent's.
import { type Context, Hono } from "hono";
import { renderStats, type StatsSelection, statsJson } from "../telemetry/envoy-stats.ts";
import type { MetricFamily } from "../telemetry/metric-family.ts";
import { EXPOSITION_CONTENT_TYPE, renderExposition } from "../telemetry/prometheus.ts";
import { isLoopbackHost } from "./loopback-host.ts";

/** Envoy's states of a server, in the order of its `server.state` numbers. */
export const SERVER_STATES = ["LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING"] as const;
export type ServerState = (typeof SERVER_STATES)[number];

export interface ServerInfo {
  readonly version: string;
  readonly state: ServerState;
  readonly uptimeMs: number;
  readonly pid: number;
  readonly concurrency: number;
  /** Settings as given and defaulted, by their configuration names. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Who the proxy works for; see telemetry/workload.ts. */
  readonly node: object;
}

/** Where the surfaces get their answers. */
export interface AdminSource {
  isReady(): boolean;
  families(): readonly MetricFamily[];
  serverInfo(): ServerInfo;
}

const ADMIN_ENDPOINTS: readonly (readonly [path: string, does: string])[] = [
  ["/", "this list"],
  ["/help", "this list"],
  ["/ready", "LIVE when traffic is served, else the state and status 503"],
  ["/server_info", "version, state, uptime and settings, as JSON"],
  ["/stats", "all metrics as text: ?filter=REGEX &usedonly &format=json|prometheus"],
  ["/stats/prometheus", "all metrics for Prometheus"],
];

/** For 127.0.0.1 alone. */
export function adminApp(source: AdminSource): Hono {
  const app = readOnlyApp("GET /help lists what there is");
  app.use(async (context, next) => {
    const host = context.req.header("host");
    if (host !== undefined && !isLoopbackHost(host)) {
      return context.text("the admin port answers to loopback names only, like localhost\n", 403);
    }
    return next();
  });
  app.get("/", help);
  app.get("/help", help);
  app.get("/ready", (context) => {
    if (source.isReady()) return context.text("LIVE\n");
    const { state } = source.serverInfo();
    return context.text(`${state === "LIVE" ? "INITIALIZING" : state}\n`, 503);
  });
  app.get("/server_info", (context) => context.json(serverInfoJson(source.serverInfo())));
  app.get("/stats", (context) => stats(context, source));
  app.get("/stats/prometheus", (context) => exposition(context, source));
  return app;
}

/** For the kubelet. */
export function healthApp(source: AdminSource): Hono {
  const app = readOnlyApp("this port serves /healthz/ready");
  app.get("/healthz/ready", (context) => ready(context, source));
  return app;
}

/** For Prometheus: the proxy's own metrics. */
export function prometheusApp(source: AdminSource): Hono {
  const app = readOnlyApp("this port serves /stats/prometheus");
  app.get("/stats/prometheus", (context) => exposition(context, source));
  return app;
}

/** For the kubelet and Prometheus together. */
export function statusApp(source: AdminSource): Hono {
  const app = readOnlyApp("this port serves /healthz/ready, /stats/prometheus and /metrics");
  app.get("/healthz/ready", (context) => ready(context, source));
  app.get("/stats/prometheus", (context) => exposition(context, source));
  app.get("/metrics", (context) => exposition(context, source));
  return app;
}

/** HEAD is answered as GET without a body by Hono; nothing else is allowed. */
function readOnlyApp(whatThereIs: string): Hono {
  const app = new Hono();
  app.use(async (context, next) => {
    if (context.req.method === "GET" || context.req.method === "HEAD") return next();
    return context.text(`${context.req.method} is not allowed here\n`, 405, { Allow: "GET, HEAD" });
  });
  app.notFound((context) => context.text(`not found: ${whatThereIs}\n`, 404));
  return app;
}

function help(context: Context): Response {
  const width = Math.max(...ADMIN_ENDPOINTS.map(([path]) => path.length));
  return context.text(ADMIN_ENDPOINTS.map(([path, does]) => `${path.padEnd(width)}  ${does}\n`).join(""));
}

function ready(context: Context, source: AdminSource): Response {
  return context.body(null, source.isReady() ? 200 : 503);
}

function exposition(context: Context, source: AdminSource): Response {
  return context.body(renderExposition(source.families()), 200, { "Content-Type": EXPOSITION_CONTENT_TYPE });
}

function stats(context: Context, source: AdminSource): Response {
  const selection = selectionOf(context);
  if (selection === undefined) return context.text("filter is not a regular expression\n", 400);
  const families = [...source.families(), ...serverFamilies(source.serverInfo())];
  const format = context.req.query("format") ?? "text";
  switch (format) {
    case "text":
      return context.text(renderStats(families, selection));
    case "json":
      return context.json(statsJson(families, selection) as object);
    case "prometheus":
      return exposition(context, source);
    default:
      return context.text("format must be text, json or prometheus\n", 400);
  }
}

/** `undefined` when the filter is no regular expression. */
function selectionOf(context: Context): StatsSelection | undefined {
  const usedOnly = context.req.query("usedonly") !== undefined;
  const filter = context.req.query("filter");
  if (filter === undefined) return { usedOnly };
  try {
    return { filter: new RegExp(filter), usedOnly };
  } catch {
    return undefined;
  }
}

/** Envoy's `server.` gauges; their names are not Prometheus names, so scrapes go without them. */
function serverFamilies(info: ServerInfo): MetricFamily[] {
  const gauges: [string, number][] = [
    ["server.concurrency", info.concurrency],
    ["server.live", info.state === "LIVE" ? 1 : 0],
    ["server.state", SERVER_STATES.indexOf(info.state)],
    ["server.uptime", Math.floor(info.uptimeMs / 1000)],
  ];
  return gauges.map(([name, value]) => ({ type: "gauge", name, help: "", samples: [{ labels: [], value }] }));
}

/** Envoy's shape, with our settings as its command line options, and the process id. */
function serverInfoJson(info: ServerInfo): object {
  const uptime = `${Math.floor(info.uptimeMs / 1000)}s`;
  return {
    version: info.version,
    state: info.state,
    uptime_current_epoch: uptime,
    uptime_all_epochs: uptime,
    hot_restart_version: "disabled",
    pid: info.pid,
    command_line_options: info.settings,
    node: { metadata: info.node },
  };
}
