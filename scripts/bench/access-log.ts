// What one record costs in the telemetry: formatting an access log entry, counting it in the metrics. No sockets.
// Run: bun scripts/bench/access-log.ts
import { HeaderList } from "../../src/codec/header-list.ts";
import { RequestRecord } from "../../src/proxy/record.ts";
import { type AccessLogEncoding, compileAccessLog } from "../../src/telemetry/access-log-format.ts";

const ROUNDS = 9;
const BATCHES = 100;
const BATCH = 1000;

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

/**
 * Nanoseconds per record: the median and the best of the rounds. Entries are joined and encoded by the thousand, as the
 * writer does; making the records is not counted, collecting the garbage of the entries is.
 */
function measure(name: string, run: (record: RequestRecord) => string | undefined): void {
  const rounds = Array.from({ length: ROUNDS }, () => {
    let elapsedNs = 0;
    let bytes = 0;
    for (let batch = 0; batch < BATCHES; batch++) {
      const records = Array.from({ length: BATCH }, (_, index) => sampleRecord(batch * BATCH + index));
      let entries = "";
      const start = Bun.nanoseconds();
      for (let at = 0; at < BATCH; at++) {
        const entry = run(records[at]!);
        if (entry !== undefined) entries += entry;
      }
      bytes += Buffer.from(entries).length;
      elapsedNs += Bun.nanoseconds() - start;
    }
    return { perRecord: elapsedNs / (BATCH * BATCHES), bytes };
  }).toSorted((a, b) => a.perRecord - b.perRecord);
  const { perRecord, bytes } = rounds[ROUNDS >> 1]!;
  const size = (bytes / (BATCH * BATCHES)).toFixed(0);
  console.log(
    `${name.padEnd(20)} ${perRecord.toFixed(0).padStart(6)} ns/record (best ${rounds[0]!.perRecord.toFixed(0)}), ${size} bytes`,
  );
}

for (const encoding of ["TEXT", "JSON", "BLOCK"] satisfies AccessLogEncoding[]) {
  measure(`access log ${encoding}`, compileAccessLog(encoding));
}
