// `agent proxy`: the one place that knows everybody. Reads top to bottom: settings, parts, listeners, signals, drain.
import type { ProxyConfig } from "../config/proxy-schema.ts";
import { ProxySchema } from "../config/proxy-schema.ts";
import { Pool } from "../net/pool.ts";
import { dropRoot } from "../net/privileges.ts";
import { Timers } from "../net/timers.ts";
import { Traffic } from "../net/traffic.ts";
import { ForwardingPipeline } from "../pipeline/forwarding-pipeline.ts";
import type { OwnPorts } from "../proxy/admission.ts";
import { formatEndpoint } from "../proxy/endpoint.ts";
import type { ProxySettings, Services } from "../proxy/services.ts";
import { AccessLog } from "../telemetry/access-log.ts";
import { compileAccessLog } from "../telemetry/access-log-format.ts";
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
  const now = (): number => performance.now();
  const counters = {
    connectionsActive: 0,
    loopsDetected: 0,
    directConnectionsRefused: 0,
    ownPortConnectionsRefused: 0,
    connectionsOverLimit: 0,
  };
  const accessLog = new AccessLog(compileAccessLog(config.accessLogEncoding, config.accessLogFormat), (e) =>
    process.stdout.write(e),
  );

  const timers = new Timers(now);
  const traffic = new Traffic({
    timers,
    counters,
    ownPorts: ownPortsOf(config),
    maxConnections: config.maxConnections,
    connectTimeoutMs: config.connectTimeout,
  });
  const pool = new Pool(traffic);
  const pipeline = new ForwardingPipeline(
    { inbound: config.inbound.http, outbound: config.outbound.http },
    {
      sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      onMiddlewareError: (route, error) => talk.error(`rule ${route}: a middleware failed:`, error),
    },
  );
  const idle = new IdleSignal();
  const services: Services = {
    settings: settingsOf(config),
    pool,
    dialer: traffic,
    pipeline,
    sinks: [accessLog],
    now,
    wallClock: Date.now,
    requestId: () => crypto.randomUUID(),
    inFlight: 0,
    isDraining: false,
    onIdle: () => idle.fire(),
  };
  pool.services = services;
  traffic.services = services;

  if (config.inboundPort !== 0) traffic.listen({ direction: "inbound", port: config.inboundPort });
  if (config.outboundPort !== 0) traffic.listen({ direction: "outbound", port: config.outboundPort });
  if (config.listen !== undefined && config.target !== undefined) {
    const { host, port } = config.listen;
    const target = { address: config.target.host, port: config.target.port };
    traffic.listen({ direction: "listen", host, port, target });
  }
  if (dropRoot(config.proxyUid, config.proxyGid))
    talk.info(`running as uid ${config.proxyUid}, gid ${config.proxyGid}`);
  talk.success(`ready: ${describeListeners(config)}`);

  const signals = new Signals();
  await signals.next();
  services.isDraining = true;
  if (services.inFlight > 0) {
    talk.info(`draining: ${services.inFlight} in flight, at most ${config.terminationDrainDuration} ms`);
    await Promise.race([idle.fired, signals.next(), sleep(config.terminationDrainDuration)]);
  }
  traffic.stopListening();
  pool.closeIdle();
  if (services.inFlight > 0) talk.warn(`ended with ${services.inFlight} requests or tunnels cut`);
  return 0;
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

/** Resolves when the last request in flight is over. */
class IdleSignal {
  fire: () => void = () => {};
  readonly fired = new Promise<void>((resolve) => {
    this.fire = resolve;
  });
}

/** SIGTERM and SIGINT, one after the other: the first begins the drain, the second ends it. */
class Signals {
  #waiting: (() => void) | undefined;

  constructor() {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#waiting?.());
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}
