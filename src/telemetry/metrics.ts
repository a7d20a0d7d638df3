// Istio's standard metrics and the agent's own counters, in memory. Pure. hot path
// Series are found by small numbers (direction, cluster, status, flag), so that a request costs no look-up by text;
// prometheus.ts and envoy-stats.ts turn `families()` into text.
import type { Direction, RecordSink, RequestRecord, ResponseFlag } from "../proxy/record.ts";
import { Histogram, ISTIO_BOUNDS } from "./histogram.ts";
import { istioLabels, securityPolicy } from "./istio-labels.ts";
import type { HistogramFamily, Labels, MetricFamily, ScalarFamily, ScalarSample } from "./metric-family.ts";
import type { Workload } from "./workload.ts";

/** Label sets at most. One is 67 lines of about 900 bytes in a scrape, so this bounds a scrape to some 15 MB. */
const MAX_SERIES = 256;
/** Status codes have three digits. */
const MAX_CODE = 999;

const FLAGS = {
  "": 0,
  UF: 1,
  UC: 2,
  UT: 3,
  UPE: 4,
  DC: 5,
  DPE: 6,
  DT: 7,
  NR: 8,
  DI: 9,
  FI: 10,
  UO: 11,
  SI: 12,
} as const satisfies Record<ResponseFlag, number>;

/** What only the agent counts. The data path adds to these fields directly. */
export class AgentCounters {
  /** Downstream connections open at this moment. */
  connectionsActive = 0;
  /** Connections closed because they came from one of our own upstream sockets. */
  loopsDetected = 0;
  /** Connections refused because no rule had redirected them. */
  directConnectionsRefused = 0;
  /** Connections refused because they were meant for a port of the agent that is not for others. */
  ownPortConnectionsRefused = 0;
  /** Connections refused because as many as allowed were open. */
  connectionsOverLimit = 0;
  /** Access log entries thrown away because nobody read them fast enough. */
  accessLogDropped = 0;
  /** Requests and connections not in the istio_ metrics because of the limit of series. */
  seriesDropped = 0;
}

/** Requests of one status and flag of one cluster. */
class HttpSeries {
  requests = 0;
  readonly durationMs = new Histogram();
  readonly requestBytes = new Histogram();
  readonly responseBytes = new Histogram();
  constructor(readonly labels: Labels) {}
}

/** Opaque connections with one flag of one cluster. */
class TcpSeries {
  sentBytes = 0;
  receivedBytes = 0;
  opened = 0;
  closed = 0;
  constructor(readonly labels: Labels) {}
}

/** The series of one direction and cluster: HTTP by status, then by number of the flag; TCP by number of the flag. */
class ClusterSeries {
  readonly http: ((HttpSeries | undefined)[] | undefined)[] = new Array(MAX_CODE + 1).fill(undefined);
  readonly tcp: (TcpSeries | undefined)[] = [];
  constructor(
    readonly direction: Direction,
    readonly labels: Labels,
  ) {}
}

/** The clusters of one direction by name; the last one used is at hand. */
class DirectionSeries {
  readonly clusters = new Map<string, ClusterSeries>();
  lastName: string | undefined = undefined;
  last: ClusterSeries | undefined = undefined;
  constructor(readonly direction: Direction) {}
}

/** Sink of records that keeps Istio's metrics for one workload. */
export class Metrics implements RecordSink {
  readonly counters = new AgentCounters();
  readonly #workload: Workload;
  readonly #maxSeries: number;
  readonly #inbound = new DirectionSeries("inbound");
  readonly #outbound = new DirectionSeries("outbound");
  readonly #listen = new DirectionSeries("listen");
  readonly #clusters = new Map<string, ClusterSeries>();
  readonly #http: HttpSeries[] = [];
  readonly #tcp: TcpSeries[] = [];

  constructor(workload: Workload, options: { maxSeries?: number } = {}) {
    this.#workload = workload;
    this.#maxSeries = options.maxSeries ?? MAX_SERIES;
  }

  record(record: RequestRecord): void {
    const cluster = this.#cluster(record.direction, record.upstreamCluster);
    if (record.protocol === "tcp") {
      this.#recordTcp(cluster, record);
      return;
    }
    const code = record.responseCode >= 0 && record.responseCode <= MAX_CODE ? record.responseCode : 0;
    const flag = FLAGS[record.responseFlag];
    const series = cluster?.http[code]?.[flag] ?? this.#addHttp(cluster, code, record.responseFlag);
    if (series === undefined) {
      this.counters.seriesDropped++;
      return;
    }
    series.requests++;
    series.durationMs.observe(record.durationMs);
    series.requestBytes.observe(record.bytesReceived);
    series.responseBytes.observe(record.bytesSent);
  }

  tcpOpened(direction: Direction, upstreamCluster: string): void {
    const series = this.#tcpSeries(this.#cluster(direction, upstreamCluster), "");
    if (series === undefined) this.counters.seriesDropped++;
    else series.opened++;
  }

  /** Everything counted so far, families without a sample left out. */
  families(): MetricFamily[] {
    const families = [...this.#istioFamilies(), ...agentFamilies(this.counters)];
    return families.filter((family) => family.samples.length > 0);
  }

  #recordTcp(cluster: ClusterSeries | undefined, record: RequestRecord): void {
    const series = this.#tcpSeries(cluster, record.responseFlag);
    if (series === undefined) {
      this.counters.seriesDropped++;
      return;
    }
    series.closed++;
    series.sentBytes += record.bytesSent;
    series.receivedBytes += record.bytesReceived;
  }

  #cluster(direction: Direction, name: string): ClusterSeries | undefined {
    const series = direction === "inbound" ? this.#inbound : direction === "outbound" ? this.#outbound : this.#listen;
    return name === series.lastName ? series.last : this.#otherCluster(series, name);
  }

  #otherCluster(series: DirectionSeries, name: string): ClusterSeries | undefined {
    const cluster = series.clusters.get(name) ?? this.#addCluster(series, name);
    if (cluster !== undefined) {
      series.lastName = name;
      series.last = cluster;
    }
    return cluster;
  }

  /** Several clusters may have the same labels (`inbound|80||` and `inbound|81||`), and must share their series: a scrape with a label set twice is refused whole. */
  #addCluster(series: DirectionSeries, name: string): ClusterSeries | undefined {
    const labels = istioLabels(this.#workload, series.direction, name);
    const key = JSON.stringify(labels);
    let cluster = this.#clusters.get(key);
    if (cluster === undefined) {
      if (this.#isFull()) return undefined;
      cluster = new ClusterSeries(series.direction, labels);
      this.#clusters.set(key, cluster);
    }
    if (series.clusters.size < this.#maxSeries) series.clusters.set(name, cluster);
    return cluster;
  }

  #addHttp(cluster: ClusterSeries | undefined, code: number, flag: ResponseFlag): HttpSeries | undefined {
    if (cluster === undefined || this.#isFull()) return undefined;
    const series = new HttpSeries([
      ...cluster.labels,
      ["request_protocol", "http"],
      ["response_code", String(code)],
      ["response_flags", flag || "-"],
      ["connection_security_policy", securityPolicy(cluster.direction)],
    ]);
    this.#http.push(series);
    cluster.http[code] ??= new Array(Object.keys(FLAGS).length).fill(undefined);
    cluster.http[code][FLAGS[flag]] = series;
    return series;
  }

  #tcpSeries(cluster: ClusterSeries | undefined, flag: ResponseFlag): TcpSeries | undefined {
    const known = cluster?.tcp[FLAGS[flag]];
    if (known !== undefined || cluster === undefined || this.#isFull()) return known;
    const series = new TcpSeries([
      ...cluster.labels,
      ["request_protocol", "tcp"],
      ["response_flags", flag || "-"],
      ["connection_security_policy", securityPolicy(cluster.direction)],
    ]);
    this.#tcp.push(series);
    cluster.tcp[FLAGS[flag]] = series;
    return series;
  }

  #isFull(): boolean {
    return this.#http.length + this.#tcp.length >= this.#maxSeries;
  }

  #istioFamilies(): MetricFamily[] {
    const http = this.#http;
    const tcp = this.#tcp;
    const histogram = (name: string, help: string, of: (series: HttpSeries) => Histogram): HistogramFamily => ({
      type: "histogram",
      name,
      help,
      bounds: ISTIO_BOUNDS,
      samples: http.map((series) => ({ labels: series.labels, counts: of(series).counts, sum: of(series).sum })),
    });
    const tcpCounter = (name: string, help: string, of: (series: TcpSeries) => number): ScalarFamily =>
      counter(
        name,
        help,
        tcp.map((series) => ({ labels: series.labels, value: of(series) })),
      );
    return [
      counter(
        "istio_requests_total",
        "HTTP requests handled.",
        http.map((series) => ({ labels: series.labels, value: series.requests })),
      ),
      histogram(
        "istio_request_duration_milliseconds",
        "First byte of the request to last byte of the response.",
        (series) => series.durationMs,
      ),
      histogram("istio_request_bytes", "Sizes of request bodies.", (series) => series.requestBytes),
      histogram("istio_response_bytes", "Sizes of response bodies.", (series) => series.responseBytes),
      tcpCounter("istio_tcp_sent_bytes_total", "Bytes sent to clients of opaque connections.", (one) => one.sentBytes),
      tcpCounter(
        "istio_tcp_received_bytes_total",
        "Bytes received from clients of opaque connections.",
        (one) => one.receivedBytes,
      ),
      tcpCounter("istio_tcp_connections_opened_total", "Opaque connections opened.", (one) => one.opened),
      tcpCounter("istio_tcp_connections_closed_total", "Opaque connections closed.", (one) => one.closed),
    ];
  }
}

function agentFamilies(counters: AgentCounters): MetricFamily[] {
  const total = (name: string, help: string, value: number) => counter(name, help, [{ labels: [], value }]);
  return [
    {
      type: "gauge",
      name: "agent_connections_active",
      help: "Downstream connections open.",
      samples: [{ labels: [], value: counters.connectionsActive }],
    },
    total(
      "agent_loops_detected_total",
      "Connections closed because the proxy itself had opened them.",
      counters.loopsDetected,
    ),
    total(
      "agent_direct_connections_refused_total",
      "Connections refused because no rule had redirected them.",
      counters.directConnectionsRefused,
    ),
    total(
      "agent_own_port_connections_refused_total",
      "Connections refused because they were meant for a port of the agent itself.",
      counters.ownPortConnectionsRefused,
    ),
    total(
      "agent_connections_over_limit_total",
      "Connections refused because as many as allowed were open.",
      counters.connectionsOverLimit,
    ),
    total(
      "agent_access_log_dropped_total",
      "Access log entries dropped because they were not read fast enough.",
      counters.accessLogDropped,
    ),
    total(
      "agent_series_dropped_total",
      "Requests and connections not in the istio_ metrics because the limit of series was reached.",
      counters.seriesDropped,
    ),
  ];
}

function counter(name: string, help: string, samples: ScalarSample[]): ScalarFamily {
  return { type: "counter", name, help, samples };
}
