// `agent proxy`: the one place that knows everybody. Reads top to bottom: settings, parts, listeners, signals, drain.
import packageJson from "../../package.json" with { type: "json" };
import { standardBinds, startAdmin } from "../admin/servers.ts";
import { UsageError } from "../config/errors.ts";
import { type ProxyConfig, ProxySchema } from "../config/proxy-schema.ts";
import { eventTime } from "../net/connection.ts";
import { Pool } from "../net/pool.ts";
import { dropRoot } from "../net/privileges.ts";
import { Timers } from "../net/timers.ts";
import { Traffic } from "../net/traffic.ts";
import { ForwardingPipeline } from "../pipeline/forwarding-pipeline.ts";
import type { OwnPorts } from "../proxy/admission.ts";
import { formatEndpoint } from "../proxy/endpoint.ts";
import type { ProxySettings, Services } from "../proxy/services.ts";
import { AccessLog } from "../telemetry/access-log.ts";
import { compileAccessLog, type EntryFormatter, FormatError } from "../telemetry/access-log-format.ts";
import { Metrics } from "../telemetry/metrics.ts";
import { LogWriter } from "../telemetry/sinks.ts";
import { workloadFromEnvironment } from "../telemetry/workload.ts";
import { defineAgentCommand } from "./command.ts";
import { talk } from "./talk.ts";

export const proxyCommand = defineAgentCommand({
  name: "proxy",
  summary: "Forward, measure and change the traffic that the rules redirect here.",
  details:
    "Redirected connections arrive at the inbound and the outbound port and go on to where they were going: HTTP/1 through the codec, with metrics and an access log, everything else untouched. Started as root, it becomes --proxy-uid after binding. With --listen and --target it is a plain reverse proxy and needs no rules.",
  examples: [
    ["agent proxy", "the sidecar, as the injector starts it"],
    ["agent proxy --config rules.yaml --access-log-encoding JSON", "with rules, logging in JSON"],
    ["agent proxy --listen 8080 --target 127.0.0.1:80", "a reverse proxy without any rules"],
  ],
  schema: ProxySchema,
  file: true,
  run: runProxy,
});

async function runProxy(config: ProxyConfig): Promise<number> {
  const startedAt = performance.now();
  const signals = new Signals();
  const workload = workloadFromEnvironment(process.env);
  const metrics = new Metrics(workload);
  const formatEntry = compileFormat(config);
  const log = openLog(config, metrics);
  const idle = new Latch();

  const traffic = new Traffic({
    timers: new Timers(() => performance.now(), eventTime),
    counters: metrics.counters,
    ownPorts: ownPortsOf(config),
    maxConnections: config.maxConnections,
    connectTimeoutMs: config.connectTimeout,
  });
  const pool = new Pool(traffic);
  const pipeline = new ForwardingPipeline(
    { inbound: config.inbound.http, outbound: config.outbound.http },
    {
      sleep,
      onMiddlewareError: (route, error) => talk.error(`rule ${route}: a middleware failed:`, error),
    },
  );
  const services: Services = {
    settings: settingsOf(config),
    pool,
    dialer: traffic,
    pipeline,
    sinks: log === undefined ? [metrics] : [metrics, new AccessLog(formatEntry, (entry) => log.write(entry))],
    now: () => performance.now(),
    eventTime,
    wallClock: () => Date.now(),
    requestId: () => crypto.randomUUID(),
    inFlight: 0,
    isDraining: false,
    onIdle: () => {
      if (unfinished(services, traffic) === undefined) idle.release();
    },
  };
  pool.services = services;
  traffic.services = services;

  // Everything is bound before root is given up, and everything is bound before anything is called ready.
  listenAll(traffic, config);
  const admin = startAdmin(standardBinds(adminPortsOf(config)), {
    isReady: () => !services.isDraining,
    families: () => metrics.families(),
    serverInfo: () => ({
      version: packageJson.version,
      state: services.isDraining ? "DRAINING" : "LIVE",
      uptimeMs: performance.now() - startedAt,
      pid: process.pid,
      concurrency: config.concurrency,
      settings: config,
      node: workload,
    }),
  });
  if (dropRoot(config.proxyUid, config.proxyGid)) {
    talk.info(`running as uid ${config.proxyUid}, gid ${config.proxyGid}`);
  }
  talk.success(`ready: ${describeListeners(config)}`);

  await signals.next();
  services.isDraining = true;
  const draining = unfinished(services, traffic);
  if (draining !== undefined) {
    talk.info(`draining: ${draining}; a second signal ends at once`);
    await Promise.race([idle.released, signals.next(), sleep(config.terminationDrainDuration)]);
  }
  traffic.stopListening();
  pool.closeIdle();
  const cut = unfinished(services, traffic);
  if (cut !== undefined) talk.warn(`ended with ${cut}, cut off`);
  await Promise.all([admin.stop(), log?.close()]);
  return 0;
}

/** What the end of the process would cut off, as text; undefined when nothing. */
function unfinished({ inFlight }: Services, { unsent }: Traffic): string | undefined {
  if (inFlight > 0) return `${inFlight} in flight`;
  return unsent > 0 ? `${unsent} not sent in full` : undefined;
}

function compileFormat(config: ProxyConfig): EntryFormatter {
  try {
    return compileAccessLog(config.accessLogEncoding, config.accessLogFormat);
  } catch (error) {
    if (error instanceof FormatError) throw new UsageError(`--access-log-format: ${error.message}`);
    throw error;
  }
}

/** Undefined when the access log is off. */
function openLog(config: ProxyConfig, metrics: Metrics): LogWriter | undefined {
  if (config.accessLogFile === "") return undefined;
  return LogWriter.open(config.accessLogFile, {
    onDropped: (entries) => {
      metrics.counters.accessLogDropped += entries;
    },
    onProblem: (message) => talk.warn(message),
  });
}

function listenAll(traffic: Traffic, config: ProxyConfig): void {
  if (config.inboundPort !== 0) traffic.listen({ direction: "inbound", port: config.inboundPort });
  if (config.outboundPort !== 0) traffic.listen({ direction: "outbound", port: config.outboundPort });
  if (config.listen !== undefined && config.target !== undefined) {
    const target = { address: config.target.host, port: config.target.port };
    traffic.listen({ direction: "listen", host: config.listen.host, port: config.listen.port, target });
  }
}

function settingsOf(config: ProxyConfig): ProxySettings {
  return {
    maxHeaderBytes: config.maxHeaderBytes,
    maxHeaderFields: config.maxHeaderFields,
    protocolDetectionTimeoutMs: config.protocolDetectionTimeout,
    requestHeaderTimeoutMs: config.requestHeaderTimeout,
    downstreamIdleTimeoutMs: config.downstreamIdleTimeout,
    streamIdleTimeoutMs: config.streamIdleTimeout,
    upstreamIdleTimeoutMs: config.upstreamIdleTimeout,
    connectTimeoutMs: config.connectTimeout,
    maxIdleConnectionsPerEndpoint: config.maxIdleConnectionsPerEndpoint,
    serverHeader: config.serverHeader === "pass" ? undefined : config.serverHeader,
    appendsForwardedFor: config.forwardedFor === "append",
  };
}

function ownPortsOf(config: ProxyConfig): OwnPorts {
  const open = (ports: readonly number[]): Set<number> => new Set(ports.filter((port) => port !== 0));
  return {
    readable: open([config.statusPort, config.healthPort, config.prometheusPort]),
    closed: open([config.proxyAdminPort, config.inboundPort, config.outboundPort]),
  };
}

function adminPortsOf(config: ProxyConfig): Parameters<typeof standardBinds>[0] {
  return {
    admin: config.proxyAdminPort,
    status: config.statusPort,
    health: config.healthPort,
    prometheus: config.prometheusPort,
  };
}

function describeListeners(config: ProxyConfig): string {
  const parts: string[] = [];
  if (config.inboundPort !== 0) parts.push(`inbound ${config.inboundPort}`);
  if (config.outboundPort !== 0) parts.push(`outbound ${config.outboundPort}`);
  if (config.listen !== undefined && config.target !== undefined) {
    parts.push(
      `${formatEndpoint({ address: config.listen.host, port: config.listen.port })} to ${config.target.host}:${config.target.port}`,
    );
  }
  if (config.proxyAdminPort !== 0) parts.push(`admin 127.0.0.1:${config.proxyAdminPort}`);
  return parts.join(", ");
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A promise that `release` resolves. */
class Latch {
  release: () => void = () => {};
  readonly released = new Promise<void>((resolve) => {
    this.release = resolve;
  });
}

/** SIGTERM and SIGINT, one after the other: the first begins the drain, the second ends it. */
class Signals {
  #unheard = 0;
  #waiting: (() => void) | undefined = undefined;

  constructor() {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => {
        if (this.#waiting === undefined) this.#unheard++;
        else this.#waiting();
        this.#waiting = undefined;
      });
    }
  }

  /** Resolves at the next signal that nobody has waited for. */
  next(): Promise<void> {
    if (this.#unheard > 0) {
      this.#unheard--;
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}
