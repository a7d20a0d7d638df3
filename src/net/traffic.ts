// The traffic listeners and the dialler: every socket of the data path begins here. Shell.
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { TCPSocketListener } from "bun";
import { talk } from "../commands/talk.ts";
import { judge, type OwnPorts, targetRoute } from "../proxy/admission.ts";
import { type Endpoint, unmapAddress } from "../proxy/endpoint.ts";
import type { Direction } from "../proxy/record.ts";
import type { Dialer, Route, Services } from "../proxy/services.ts";
import { type Admission, Sniffer } from "../proxy/sniffer.ts";
import type { Wire, WireHandler } from "../proxy/wire.ts";
import { bindWithFallback } from "./bind.ts";
import {
  ATTEMPT_HANDLERS,
  Connection,
  type ConnectionHost,
  DIALLED_HANDLERS,
  failDial,
  type RawSocket,
  SOCKET_HANDLERS,
} from "./connection.ts";
import { originalDestination } from "./original-dst.ts";
import type { Timers } from "./timers.ts";

/** Events that a person should hear of, and metrics count. */
export interface TrafficCounters {
  connectionsActive: number;
  loopsDetected: number;
  directConnectionsRefused: number;
  ownPortConnectionsRefused: number;
  connectionsOverLimit: number;
}

export interface TrafficOptions {
  readonly timers: Timers;
  readonly counters: TrafficCounters;
  readonly ownPorts: OwnPorts;
  readonly maxConnections: number;
  readonly connectTimeoutMs: number;
}

/** A redirected listener, or a plain one with its target. */
export type ListenerOptions =
  | { readonly direction: "inbound" | "outbound"; readonly port: number }
  | { readonly direction: "listen"; readonly host: string; readonly port: number; readonly target: Endpoint };

/** So many complaints of one kind are printed a minute; the rest is only counted. */
const COMPLAINTS_PER_MINUTE = 5;

export class Traffic implements ConnectionHost, Dialer, Admission {
  readonly timers: Timers;
  services!: Services;
  /**
   * All open upstream connections, as `our end>their end`: one that comes in at a listener is a loop. Both ends count,
   * because the kernel gives one source port to several connections as long as their destinations differ.
   */
  readonly #ownConnections = new Set<string>();
  readonly #listeners: TCPSocketListener<Connection>[] = [];
  readonly #complaints = new Map<string, { minute: number; count: number }>();

  constructor(private readonly options: TrafficOptions) {
    this.timers = options.timers;
  }

  /** Binds a listener; throws CommandError when it cannot. Port 0 is the caller's to leave out. */
  listen(options: ListenerOptions): void {
    const accept = (socket: RawSocket): void => this.#accept(socket, options);
    const socket = { ...SOCKET_HANDLERS, open: accept as (socket: unknown) => void };
    const host = options.direction === "listen" ? options.host : "::";
    const { port } = options;
    this.#listeners.push(
      bindWithFallback({ host, port }, (hostname) =>
        Bun.listen<Connection>({ hostname, port, allowHalfOpen: true, socket }),
      ),
    );
  }

  #accept(socket: RawSocket, options: ListenerOptions): void {
    const connection = new Connection(this, socket, undefined);
    socket.data = connection;
    const { counters } = this.options;
    if (++counters.connectionsActive > this.options.maxConnections) {
      counters.connectionsOverLimit++;
      this.#complain(
        "limit",
        `more than ${this.options.maxConnections} connections: new ones are reset (--max-connections)`,
      );
      connection.reset();
      return;
    }
    const route = this.#route(socket, connection, options);
    if (route === undefined) connection.reset();
    else new Sniffer(connection, route, this.services, this);
  }

  #route(socket: RawSocket, connection: Connection, options: ListenerOptions): Route | undefined {
    if (options.direction === "listen") {
      const listener = { address: unmapAddress(socket.localAddress), port: socket.localPort };
      return targetRoute(listener, options.target);
    }
    const { localAddress } = socket;
    const unmapped = unmapAddress(localAddress);
    const original = originalDestination(socket.fd, unmapped.includes(":"));
    const arrival = { direction: options.direction, listenerPort: options.port, localAddress: unmapped, original };
    const verdict = judge(arrival, this.options.ownPorts);
    if ("route" in verdict) return verdict.route;
    if (verdict.refusal === "direct") {
      this.options.counters.directConnectionsRefused++;
      const why = original === undefined ? "its original destination is unknown" : "it was sent to this port itself";
      this.#complain(
        "direct",
        `refused a connection from ${connection.remoteAddress} on the ${options.direction} port ${options.port}: ` +
          `${why}, so no rule redirected it (are the rules of agent init in place?)`,
      );
    } else {
      this.options.counters.ownPortConnectionsRefused++;
      this.#complain(
        "own_port",
        `refused a connection from ${connection.remoteAddress} to the proxy's own port ${original?.port}`,
      );
    }
    return undefined;
  }

  admits(wire: Wire, original: string): boolean {
    if (!this.#ownConnections.has(`${wire.remoteAddress}>${original}`)) return true;
    this.options.counters.loopsDetected++;
    this.#complain(
      "loop",
      `loop: the connection from ${wire.remoteAddress} is one of this proxy's own, redirected back to it ` +
        "(does the proxy run as the uid that agent init exempts, 1337 by default?)",
    );
    return false;
  }

  dial(endpoint: Endpoint, source: string | undefined, handler: WireHandler): Wire {
    const connection = new Connection(this, undefined, endpoint);
    connection.handler = handler;
    connection.setDeadline(this.options.connectTimeoutMs);
    if (isIP(endpoint.address) === 0) {
      this.#dialName(connection, endpoint);
      return connection;
    }
    const options = {
      hostname: endpoint.address,
      port: endpoint.port,
      allowHalfOpen: true,
      data: connection,
      socket: DIALLED_HANDLERS,
      ...(source === undefined ? {} : { localAddress: source }),
    };
    // The handlers hear of a failure; the promise would only say it again.
    Bun.connect<Connection>(options).catch(() => {});
    return connection;
  }

  /** One address after the other: Bun would connect to all of them at once, and the application would see the losers too. */
  async #dialName(connection: Connection, { address: name, port }: Endpoint): Promise<void> {
    let failure: unknown;
    try {
      for (const { address } of await lookup(name, { all: true })) {
        if (connection.isClosed) return;
        try {
          const options = { hostname: address, port, allowHalfOpen: true, data: connection, socket: ATTEMPT_HANDLERS };
          await Bun.connect<Connection>(options);
          return;
        } catch (error) {
          failure = error;
        }
      }
    } catch (error) {
      failure = error;
    }
    failDial(connection, failure);
  }

  onEstablished(connection: Connection): void {
    this.#ownConnections.add(`${connection.localAddress}>${connection.remoteAddress}`);
  }

  onReleased(connection: Connection): void {
    if (connection.isOutgoing) this.#ownConnections.delete(`${connection.localAddress}>${connection.remoteAddress}`);
    else this.options.counters.connectionsActive--;
  }

  /** Connections with bytes that the kernel does not take yet: an answer to a slow reader may be over and not sent. */
  get unsent(): number {
    return this.#unsent;
  }
  #unsent = 0;

  onUnsent(): void {
    this.#unsent++;
  }

  onSent(): void {
    if (--this.#unsent === 0 && this.services.isDraining) this.services.onIdle();
  }

  /** Stops listening; open connections go on. */
  stopListening(): void {
    for (const listener of this.#listeners) listener.stop(false);
  }

  /** Keeps a flood of bad connections from becoming a flood of log lines. */
  #complain(kind: Direction | string, text: string): void {
    const minute = Math.floor(this.services.wallClock() / 60_000);
    const entry = this.#complaints.get(kind);
    if (entry?.minute === minute) {
      if (++entry.count > COMPLAINTS_PER_MINUTE) return;
      talk.warn(
        entry.count === COMPLAINTS_PER_MINUTE ? `${text} (further ones in this minute are only counted)` : text,
      );
      return;
    }
    this.#complaints.set(kind, { minute, count: 1 });
    talk.warn(text);
  }
}
