// What one record costs in the telemetry: formatting an access log entry, counting it in the metrics. No sockets.
// Run: bun scripts/bench/access-log.ts
import { HeaderList } from "../../src/codec/header-list.ts";
import { RequestRecord } from "../../src/proxy/record.ts";
import { type AccessLogEncoding, compileAccessLog } from "../../src/telemetry/access-log-format.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { workloadFromEnvironment } from "../../src/telemetry/workload.ts";

const ROUNDS = 9;
const RECORDS = 200_000;
const FLUSH = 240;

/** A GET through the sidecar as curl sends it. Texts differ from record to record, as those cut out of received bytes do. */
function sampleRecord(index: number): RequestRecord {
  const record = new RequestRecord("inbound");
  record.startTimeMs = 1_785_000_000_000 + index / 40;
  record.durationMs = 1.979348 + (index % 7);
  record.upstreamServiceTimeMs = 1.5;
  record.method = "GET";
  record.target = `/get?query=${index}`;
  record.httpVersion = "HTTP/1.1";
  record.authority = "10.77.0.2:80";
  record.requestId = `3f2a${(0x10000000 + index).toString(16)}-8d1c-4f0e-9b7a-2c5d8e9f0a1b`;
  record.forwardedFor = "10.77.0.1";
  record.requestHeaders = new HeaderList(["Host", "10.77.0.2:80", "User-Agent", "curl/8.5.0", "Accept", "*/*"]);
  record.responseHeaders = new HeaderList(["Content-Type", "application/json", "Content-Length", "508"]);
  record.responseCode = 200;
  record.responseCodeDetails = "via_upstream";
  record.bytesSent = 508;
  record.originalDestination = "10.77.0.2:80";
  record.originalPort = 80;
  record.upstreamHost = "10.77.0.2:80";
  record.upstreamCluster = "InboundPassthroughCluster";
  record.upstreamLocalAddress = `127.0.0.6:${30000 + (index % 64)}`;
  record.downstreamLocalAddress = "10.77.0.2:80";
  record.downstreamRemoteAddress = `10.77.0.1:${40000 + (index % 64)}`;
  return record;
}

/** CPU nanoseconds of making a record, handing it to `use` and, every `FLUSH` records, encoding what came back, as the log writer does. */
function cpuPerRecord(use: (record: RequestRecord) => string): number {
  let pending = "";
  let bytes = 0;
  const before = process.cpuUsage();
  for (let at = 0; at < RECORDS; at++) {
    pending += use(sampleRecord(at));
    if (at % FLUSH === 0) {
      bytes += Buffer.from(pending).length;
      pending = "";
    }
  }
  const { user, system } = process.cpuUsage(before);
  if (bytes < 0) throw new Error("unreachable: keeps the encoding from being optimised away");
  return ((user + system) * 1000) / RECORDS;
}

/** Subtracts what making the records costs, so that records and their texts are as warm in the cache as in the proxy. */
function report(name: string, use: (record: RequestRecord) => string): void {
  const costs = Array.from({ length: ROUNDS }, () => cpuPerRecord(use) - cpuPerRecord(() => ""));
  costs.sort((a, b) => a - b);
  const [best, median] = [costs[0]!, costs[ROUNDS >> 1]!].map((ns) => ns.toFixed(0).padStart(6));
  console.log(`${name.padEnd(20)} ${median} ns CPU per record (best round ${best})`);
}

for (const encoding of ["TEXT", "JSON", "BLOCK"] satisfies AccessLogEncoding[]) {
  report(`access log ${encoding}`, compileAccessLog(encoding));
}

const metrics = new Metrics(workloadFromEnvironment({}));
report("metrics", (record) => {
  metrics.record(record);
  return "";
});
