// The data path on memory wires: real exchanges, pool, tunnels and both lanes; the network, the clock and the ids are
// the test's. `inBothLanes` plays one scenario straight and through the pipeline and wants the same bytes of both.
import { expect, test } from "bun:test";
import type { HttpRoute } from "../../src/config/http-route-schema.ts";
import { Pool } from "../../src/net/pool.ts";
import { ForwardingPipeline, type PipelineHost } from "../../src/pipeline/forwarding-pipeline.ts";
import { HttpDownstream } from "../../src/proxy/http-downstream.ts";
import { type Direction, RequestRecord } from "../../src/proxy/record.ts";
import type { ProxySettings, Route, Services } from "../../src/proxy/services.ts";
import { Sniffer } from "../../src/proxy/sniffer.ts";
import { MemoryWire } from "./memory-wire.ts";

export type Lane = "straight" | "pipeline";

export const SETTINGS: ProxySettings = {
  maxHeaderBytes: 64 * 1024,
  maxHeaderFields: 100,
  protocolDetectionTimeoutMs: 30,
  requestHeaderTimeoutMs: 10_000,
  downstreamIdleTimeoutMs: 300_001,
  streamIdleTimeoutMs: 300_002,
  upstreamIdleTimeoutMs: 3_001,
  connectTimeoutMs: 10_001,
  maxIdleConnectionsPerEndpoint: 2,
  serverHeader: "pilotfish",
  appendsForwardedFor: true,
};

/** Matches everything and does nothing. */
const PASS: HttpRoute = {
  name: "pass",
  match: [],
  request: { remove: [], set: [], add: [] },
  response: { remove: [], set: [], add: [] },
  delayMs: 0,
};

export interface WorldOptions {
  readonly direction?: Direction;
  readonly settings?: Partial<ProxySettings>;
  /** Rules of the pipeline lane. */
  readonly rules?: readonly HttpRoute[];
  readonly host?: PipelineHost;
  readonly isOwnPort?: boolean;
  /** False: a dialled wire stays connecting until the test opens it. */
  readonly opensAtOnce?: boolean;
}

export class World implements Services {
  readonly settings: ProxySettings;
  readonly route: Route;
  readonly pool: Pool;
  readonly dialer = this;
  readonly pipeline;
  readonly sinks = [this];
  readonly clients: MemoryWire[] = [];
  /** Every connection that was dialled, in order. */
  readonly upstreams: MemoryWire[] = [];
  readonly records: RequestRecord[] = [];
  tcpOpenings = 0;
  idleCalls = 0;
  clockMs = 1_000;
  isDraining = false;
  #inFlight = 0;
  #begun = 0;
  #ids = 0;

  constructor(
    readonly lane: Lane = "straight",
    private readonly options: WorldOptions = {},
  ) {
    this.settings = { ...SETTINGS, ...options.settings };
    this.pool = new Pool(this);
    this.pool.services = this;
    const rules = lane === "pipeline" ? (options.rules ?? [PASS]) : [];
    const host = options.host ?? {
      sleep: async () => {},
      onMiddlewareError: (_route, error) => expect(error).toBe("none"),
    };
    this.pipeline = new ForwardingPipeline({ inbound: rules, outbound: rules }, host);
    this.route = {
      direction: options.direction ?? "outbound",
      original: { address: "10.0.0.2", port: 80 },
      upstream: { address: "10.0.0.2", port: 80 },
      source: undefined,
      cluster: "cluster",
      poolKey: "10.0.0.2|80|",
      isOwnPort: options.isOwnPort ?? false,
    };
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  set inFlight(count: number) {
    if (count > this.#inFlight) this.#begun++;
    this.#inFlight = count;
  }

  onIdle(): void {
    this.idleCalls++;
  }

  eventTime(): number {
    return this.now();
  }

  now(): number {
    return this.clockMs;
  }

  wallClock(): number {
    return 1_700_000_000_000 + this.clockMs;
  }

  requestId(): string {
    return `id-${++this.#ids}`;
  }

  record(record: RequestRecord): void {
    this.records.push(Object.assign(new RequestRecord(record.direction), record));
  }

  tcpOpened(): void {
    this.tcpOpenings++;
  }

  dial(_endpoint: unknown, _source: unknown, handler: MemoryWire["handler"]): MemoryWire {
    const wire = new MemoryWire("10.0.0.2:80");
    wire.handler = handler;
    wire.setDeadline(this.settings.connectTimeoutMs);
    this.upstreams.push(wire);
    return wire;
  }

  /** A client connection that is HTTP already. */
  client(): MemoryWire {
    const wire = this.#accept();
    new HttpDownstream(wire, this.route, this);
    return wire;
  }

  /** A client connection of which nothing is known yet. */
  arrival(admits = true): MemoryWire {
    const wire = this.#accept();
    new Sniffer(wire, this.route, this, { admits: () => admits });
    return wire;
  }

  #accept(): MemoryWire {
    const wire = new MemoryWire(`10.0.0.9:${5000 + this.clients.length}`, "10.0.0.1:15001");
    this.clients.push(wire);
    return wire;
  }

  /** The wire dialled last. */
  get upstream(): MemoryWire {
    const wire = this.upstreams.at(-1);
    if (wire === undefined) throw new Error("nothing was dialled");
    return wire;
  }

  get lastRecord(): RequestRecord {
    const record = this.records.at(-1);
    if (record === undefined) throw new Error("nothing was recorded");
    return record;
  }

  /** Lets everything happen that can: connections open, bytes arrive, promises resolve. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 2; quiet++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (this.#step()) quiet = -1;
    }
  }

  #step(): boolean {
    for (const wire of this.upstreams) {
      if (this.options.opensAtOnce !== false && wire.localAddress === "" && !wire.isClosed) {
        wire.open();
        return true;
      }
    }
    for (const wire of [...this.clients, ...this.upstreams]) if (wire.pump()) return true;
    return false;
  }

  /** Bytes arrive at `wire`, and everything happens that follows from it. */
  async deliver(wire: MemoryWire, text: string): Promise<void> {
    wire.receive(text);
    await this.settle();
  }

  async end(wire: MemoryWire): Promise<void> {
    wire.end();
    await this.settle();
  }

  async break(wire: MemoryWire, code?: string): Promise<void> {
    wire.break(code);
    await this.settle();
  }

  async passDeadline(wire: MemoryWire): Promise<void> {
    wire.passDeadline();
    await this.settle();
  }

  async drain(wire: MemoryWire): Promise<void> {
    wire.drain();
    await this.settle();
  }

  /** Ends what still runs; then nothing may be in flight, and each request must have been recorded once. */
  async verify(): Promise<void> {
    for (const wire of this.clients) if (!wire.isClosed) wire.break("ECONNRESET");
    await this.settle();
    expect({ inFlight: this.#inFlight, records: this.records.length }).toEqual({ inFlight: 0, records: this.#begun });
  }

  /** Everything a peer or a log could see. */
  transcript(): unknown {
    const seen = (wire: MemoryWire) => ({ written: wire.written, ending: wire.ending });
    return {
      clients: this.clients.map(seen),
      upstreams: this.upstreams.map(seen),
      records: this.records.map(({ routeName: _, ...record }) => record),
    };
  }
}

/** Text as it is on the wire: each line end is CR LF. */
export function crlf(text: string): string {
  return text.replaceAll("\n", "\r\n");
}

/** Plays `scenario` once a lane; the lanes must be indistinguishable from outside. */
export function inBothLanes(name: string, scenario: (world: World) => Promise<void>, options?: WorldOptions): void {
  test(name, async () => {
    const transcripts: unknown[] = [];
    for (const lane of ["straight", "pipeline"] as const) {
      const world = new World(lane, options);
      try {
        await scenario(world);
        await world.verify();
      } catch (error) {
        if (error instanceof Error) error.message = `in the ${lane} lane: ${error.message}`;
        throw error;
      }
      transcripts.push(world.transcript());
    }
    expect(transcripts[1]).toEqual(transcripts[0]);
  });
}
