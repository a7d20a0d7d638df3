// Plays an HTTP case in both lanes of the proxy: requests without a rule go straight, requests of a rule through the pipeline.
// Two pods that differ in nothing else; what reaches either end must be the same bytes.
import { expect } from "bun:test";
import type { Namespace } from "./lab.ts";
import { connectFrom, type RawConnection, RawServer } from "./raw-socket.ts";
import { addressOf, FAMILIES, type Family, PIPELINE_CONFIG, Sidecar } from "./sidecar.ts";

export type Lane = "straight" | "pipeline";

/** Which way the traffic goes through the pod, and over which family. */
export interface Place {
  readonly direction: "inbound" | "outbound";
  readonly family: Family;
}

/** Every direction over every family, for `test.each`. */
export const PLACES: readonly (Place & { readonly name: string })[] = (["inbound", "outbound"] as const).flatMap(
  (direction) => FAMILIES.map((family) => ({ direction, family, name: `${direction} ${family}` })),
);

/** One play of a case: its ends, and all that came in at them. */
export class Scene implements Disposable {
  readonly #clients: RawConnection[] = [];
  readonly #servers: RawServer[] = [];

  constructor(
    readonly lane: Lane,
    readonly sidecar: Sidecar,
    readonly place: Place,
  ) {}

  get isInbound(): boolean {
    return this.place.direction === "inbound";
  }

  get clientNamespace(): Namespace {
    return this.isInbound ? this.sidecar.node : this.sidecar.pod;
  }

  get upstreamNamespace(): Namespace {
    return this.isInbound ? this.sidecar.pod : this.sidecar.node;
  }

  get clientAddress(): string {
    return addressOf(this.clientNamespace, this.place.family);
  }

  get upstreamAddress(): string {
    return addressOf(this.upstreamNamespace, this.place.family);
  }

  /** The field that an inbound request gets, as a line of its head. */
  get forwardedFor(): string {
    return this.isInbound ? `x-forwarded-for: ${this.clientAddress}\r\n` : "";
  }

  /** An upstream at a port of its own, so that no case shares a pool with another. */
  serve(onConnection?: (connection: RawConnection) => void): RawServer {
    const server = new RawServer(this.upstreamNamespace, 0, onConnection);
    this.#servers.push(server);
    return server;
  }

  /** A client's connection to it; the rules lead it through the proxy. */
  async connect(server: { readonly port: number }): Promise<RawConnection> {
    const client = await connectFrom(this.clientNamespace, this.upstreamAddress, server.port);
    this.#clients.push(client);
    return client;
  }

  /** A port where nobody listens. */
  unusedPort(): number {
    using server = new RawServer(this.upstreamNamespace);
    return server.port;
  }

  /** What came in at both ends, with what differs between any two plays made equal. */
  transcript(): { clients: string[]; upstreams: string[] } {
    const even = ({ received }: RawConnection): string =>
      received
        .replaceAll(this.sidecar.node.v4, "NODE")
        .replaceAll(this.sidecar.node.v6, "NODE")
        .replaceAll(/(?<=x-request-id: )[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "UUID");
    return {
      clients: this.#clients.map(even),
      upstreams: this.#servers.flatMap(({ connections }) => connections.map(even)),
    };
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.reset();
    for (const server of this.#servers) server[Symbol.dispose]();
  }
}

export class Lanes implements AsyncDisposable {
  private constructor(private readonly sidecars: ReadonlyMap<Lane, Sidecar>) {}

  /** `proxyFlags` go to both proxies. */
  static async create(proxyFlags: readonly string[] = []): Promise<Lanes> {
    const straight = await Sidecar.start({ proxy: proxyFlags });
    const pipeline = await Sidecar.start({ proxy: proxyFlags, config: PIPELINE_CONFIG });
    return new Lanes(
      new Map<Lane, Sidecar>([
        ["straight", straight],
        ["pipeline", pipeline],
      ]),
    );
  }

  /** Plays the case in each lane; fails when a play fails, or when the bytes at either end differ. */
  async play(place: Place, act: (scene: Scene) => Promise<void>): Promise<void> {
    const plays = [...this.sidecars].map(async ([lane, sidecar]) => {
      using scene = new Scene(lane, sidecar, place);
      try {
        await act(scene);
      } catch (error) {
        if (error instanceof Error) error.message = `${lane} lane: ${error.message}`;
        throw error;
      }
      return scene.transcript();
    });
    const results = await Promise.allSettled(plays);
    const transcripts = results.map((result) => {
      if (result.status === "rejected") throw result.reason;
      return result.value;
    });
    expect(transcripts[1]).toEqual(transcripts[0]!);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sidecar of this.sidecars.values()) await sidecar[Symbol.asyncDispose]();
  }
}
