// The one list of the proxy's settings: types, flags, environment, file keys, defaults and texts derive from it. Pure.
// Names are those of Istio's ProxyConfig and MeshConfig where they have the setting; what they have and we lack is refused.
import * as v from "valibot";
import { HttpRoutes } from "./http-route-schema.ts";
import { checkListeners } from "./proxy-checks.ts";
import { Duration, DurationOrSeconds, HostPort, Id, ListenAddress, Port, PositiveInt, Size, Text } from "./units.ts";

/** Keys of Istio's ProxyConfig and of the part of MeshConfig that a proxy reads, which are refused by name. */
const UNSUPPORTED: readonly string[] = [
  // ProxyConfig
  "configPath",
  "binaryPath",
  "serviceCluster",
  "tracingServiceName",
  "drainDuration",
  "parentShutdownDuration",
  "discoveryAddress",
  "discoveryRefreshDelay",
  "zipkinAddress",
  "statsdUdpAddress",
  "envoyMetricsServiceAddress",
  "availabilityZone",
  "controlPlaneAuthPolicy",
  "customConfigFile",
  "statNameLength",
  "proxyBootstrapTemplatePath",
  "interceptionMode",
  "tracing",
  "sds",
  "envoyAccessLogService",
  "envoyMetricsService",
  "proxyMetadata",
  "runtimeValues",
  "extraStatTags",
  "gatewayTopology",
  "meshId",
  "readinessProbe",
  "proxyStatsMatcher",
  "holdApplicationUntilProxyStarts",
  "caCertificatesPem",
  "image",
  "privateKeyProvider",
  "proxyHeaders",
  "fileFlushInterval",
  "fileFlushMinSizeKb",
  "statsCompression",
  // MeshConfig
  "outboundTrafficPolicy",
  "inboundTrafficPolicy",
  "tcpKeepalive",
  "h2UpgradePolicy",
  "pathNormalization",
  "meshMTLS",
  "tlsDefaults",
  "trustDomain",
  "enableTracing",
  "extensionProviders",
  "defaultProviders",
  "defaultConfig",
  "enablePrometheusMerge",
  "enableEnvoyAccessLogService",
  "disableEnvoyListenerLog",
  "inboundClusterStatName",
  "outboundClusterStatName",
  "dnsRefreshRate",
];

export const ProxySchema = v.pipe(
  v.strictObject({
    config: v.pipe(
      v.optional(Text),
      v.description("Configuration file: YAML with these settings under their camelCase names, and rules."),
      v.metadata({ flag: "config", value: "FILE", group: "Configuration", flagOnly: true }),
    ),

    inboundPort: v.pipe(
      v.optional(Port, "15006"),
      v.description("Where redirected inbound connections arrive."),
      v.metadata({ flag: "inbound-port", value: "PORT", group: "Ports" }),
    ),
    outboundPort: v.pipe(
      v.optional(Port, "15001"),
      v.description("Where redirected outbound connections arrive."),
      v.metadata({ flag: "outbound-port", value: "PORT", group: "Ports" }),
    ),
    proxyAdminPort: v.pipe(
      v.optional(Port, "15000"),
      v.description("Administration, on the loopback address only."),
      v.metadata({ flag: "proxy-admin-port", value: "PORT", group: "Ports" }),
    ),
    statusPort: v.pipe(
      v.optional(Port, "15020"),
      v.description("Port for health checks and merged Prometheus metrics."),
      v.metadata({ flag: "status-port", env: ["STATUS_PORT"], value: "PORT", group: "Ports" }),
    ),
    healthPort: v.pipe(
      v.optional(Port, "15021"),
      v.description("Readiness for the kubelet: GET /healthz/ready."),
      v.metadata({ flag: "health-port", env: ["ENVOY_STATUS_PORT"], value: "PORT", group: "Ports" }),
    ),
    prometheusPort: v.pipe(
      v.optional(Port, "15090"),
      v.description("The proxy's own metrics: GET /stats/prometheus."),
      v.metadata({ flag: "prometheus-port", env: ["ENVOY_PROMETHEUS_PORT"], value: "PORT", group: "Ports" }),
    ),

    listen: v.pipe(
      v.optional(ListenAddress),
      v.description("Be a plain reverse proxy at this address, without any rules; a bare port is every address."),
      v.metadata({ flag: "listen", value: "[HOST:]PORT", group: "Reverse proxy" }),
    ),
    target: v.pipe(
      v.optional(HostPort),
      v.description("Where --listen forwards to."),
      v.metadata({ flag: "target", value: "HOST:PORT", group: "Reverse proxy" }),
    ),

    serverHeader: v.pipe(
      v.optional(v.pipe(Text, v.regex(/^[\t\x20-\x7e\x80-\xff]+$/, "must be a header value, or pass")), "pilotfish"),
      v.description("Server header of inbound answers; pass keeps the application's."),
      v.metadata({ flag: "server-header", value: "NAME|pass", group: "HTTP" }),
    ),
    forwardedFor: v.pipe(
      v.optional(v.picklist(["append", "off"], "must be append or off"), "append"),
      v.description("Whether inbound requests get the client's address appended to x-forwarded-for."),
      v.metadata({ flag: "forwarded-for", value: "append|off", group: "HTTP" }),
    ),
    maxHeaderBytes: v.pipe(
      v.optional(Size, "64KiB"),
      v.description("Longest message head; a longer request is answered 431."),
      v.metadata({ flag: "max-header-bytes", value: "SIZE", group: "HTTP" }),
    ),
    maxHeaderFields: v.pipe(
      v.optional(PositiveInt, "100"),
      v.description("Most header lines of a message; a request with more is answered 431."),
      v.metadata({ flag: "max-header-fields", value: "COUNT", group: "HTTP" }),
    ),

    connectTimeout: v.pipe(
      v.optional(Duration, "10s"),
      v.description("How long connecting to an upstream may take."),
      v.metadata({ flag: "connect-timeout", value: "DURATION", group: "Timeouts and limits" }),
    ),
    protocolDetectionTimeout: v.pipe(
      v.optional(Duration, "30ms"),
      v.description("How long a silent client is waited for before its upstream is connected too; 0s waits for ever."),
      v.metadata({ flag: "protocol-detection-timeout", value: "DURATION", group: "Timeouts and limits" }),
    ),
    requestHeaderTimeout: v.pipe(
      v.optional(Duration, "10s"),
      v.description("How long a request head may take from its first to its last byte; 0s is no limit."),
      v.metadata({ flag: "request-header-timeout", value: "DURATION", group: "Timeouts and limits" }),
    ),
    downstreamIdleTimeout: v.pipe(
      v.optional(Duration, "5m"),
      v.description("A client's keep-alive connection without a request is closed after this; 0s never."),
      v.metadata({ flag: "downstream-idle-timeout", value: "DURATION", group: "Timeouts and limits" }),
    ),
    upstreamIdleTimeout: v.pipe(
      v.optional(Duration, "3s"),
      v.description("A pooled upstream connection without a request is closed after this; 0s never."),
      v.metadata({ flag: "upstream-idle-timeout", value: "DURATION", group: "Timeouts and limits" }),
    ),
    streamIdleTimeout: v.pipe(
      v.optional(Duration, "5m"),
      v.description("A request or tunnel on which no byte moves is ended after this; 0s never."),
      v.metadata({ flag: "stream-idle-timeout", value: "DURATION", group: "Timeouts and limits" }),
    ),
    maxConnections: v.pipe(
      v.optional(PositiveInt, "8000"),
      v.description("Most client connections at once; further ones are reset."),
      v.metadata({ flag: "max-connections", value: "COUNT", group: "Timeouts and limits" }),
    ),
    maxIdleConnectionsPerEndpoint: v.pipe(
      v.optional(PositiveInt, "64"),
      v.description("Most idle upstream connections kept for one endpoint."),
      v.metadata({ flag: "max-idle-connections-per-endpoint", value: "COUNT", group: "Timeouts and limits" }),
    ),

    accessLogFile: v.pipe(
      v.optional(Text, "/dev/stdout"),
      v.description('Where access log entries go; "" turns them off.'),
      v.metadata({ flag: "access-log-file", value: "FILE", group: "Access log" }),
    ),
    accessLogEncoding: v.pipe(
      v.optional(v.picklist(["TEXT", "JSON", "BLOCK"], "must be TEXT, JSON or BLOCK"), "TEXT"),
      v.description("Istio's line, Istio's JSON keys, or six readable lines a request."),
      v.metadata({ flag: "access-log-encoding", value: "TEXT|JSON|BLOCK", group: "Access log" }),
    ),
    accessLogFormat: v.pipe(
      v.optional(Text, ""),
      v.description("Envoy format string for TEXT; empty is Istio's."),
      v.metadata({ flag: "access-log-format", value: "FORMAT", group: "Access log" }),
    ),

    proxyUid: v.pipe(
      v.optional(Id, "1337"),
      v.description("User to become after binding, when started as root; the rules leave this user's traffic alone."),
      v.metadata({ flag: "proxy-uid", value: "UID", group: "Process" }),
    ),
    proxyGid: v.pipe(
      v.optional(Id, "1337"),
      v.description("Group to become after binding, when started as root."),
      v.metadata({ flag: "proxy-gid", value: "GID", group: "Process" }),
    ),
    terminationDrainDuration: v.pipe(
      v.optional(DurationOrSeconds, "5s"),
      v.description("How long requests in flight may finish after SIGTERM."),
      v.metadata({
        flag: "termination-drain-duration",
        env: ["TERMINATION_DRAIN_DURATION_SECONDS"],
        value: "DURATION",
        group: "Process",
      }),
    ),
    concurrency: v.pipe(
      v.optional(
        v.pipe(
          PositiveInt,
          v.check((workers) => workers === 1, "must be 1: more worker processes are not supported yet"),
        ),
        "1",
      ),
      v.description("Worker processes; only 1 is supported yet."),
      v.metadata({ flag: "concurrency", value: "COUNT", group: "Process" }),
    ),

    inbound: v.pipe(
      v.optional(HttpRoutes, {}),
      v.description("Rules for requests that come in: { http: [ … ] }, in VirtualService's words."),
      v.metadata({ group: "Rules", fileOnly: true }),
    ),
    outbound: v.pipe(
      v.optional(HttpRoutes, {}),
      v.description("Rules for requests that go out: { http: [ … ] }, in VirtualService's words."),
      v.metadata({ group: "Rules", fileOnly: true }),
    ),
  }),
  v.metadata({ unsupported: UNSUPPORTED }),
  checkListeners(),
);

/** Durations are milliseconds, sizes bytes. `listen` and `target` are there both or not at all. */
export type ProxyConfig = v.InferOutput<typeof ProxySchema>;
