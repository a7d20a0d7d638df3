// The access log as a sink of records: format, then hand the text to whoever writes. Pure.
// commands/proxy.ts gives it the writer of sinks.ts.
import type { RecordSink, RequestRecord } from "../proxy/record.ts";
import type { EntryFormatter } from "./access-log-format.ts";

/** One entry per finished request or opaque connection; the start of a connection is not logged. */
export class AccessLog implements RecordSink {
  readonly #format: EntryFormatter;
  readonly #write: (entry: string) => void;

  constructor(format: EntryFormatter, write: (entry: string) => void) {
    this.#format = format;
    this.#write = write;
  }

  record(record: RequestRecord): void {
    this.#write(this.#format(record));
  }

  tcpOpened(): void {}
}
