// Which accepted connections are taken for our own upstream connections coming back.
import { describe, expect, test } from "bun:test";
import type { Connection } from "../../src/net/connection.ts";
import { Timers } from "../../src/net/timers.ts";
import { Traffic } from "../../src/net/traffic.ts";
import type { Services } from "../../src/proxy/services.ts";
import type { Wire } from "../../src/proxy/wire.ts";

const OWN = { localAddress: "127.0.0.1:34806", remoteAddress: "127.0.0.1:80", isOutgoing: true } as Connection;

function trafficWith(connection: Connection) {
  const counters = {
    connectionsActive: 0,
    loopsDetected: 0,
    directConnectionsRefused: 0,
    ownPortConnectionsRefused: 0,
    connectionsOverLimit: 0,
  };
  const traffic = new Traffic({
    timers: new Timers(() => 0),
    counters,
    ownPorts: { readable: new Set(), closed: new Set() },
    maxConnections: 1,
    connectTimeoutMs: 0,
  });
  traffic.services = { wallClock: () => 0 } as Services;
  traffic.onEstablished(connection);
  return { traffic, counters };
}

describe("a connection is a loop", () => {
  test.each([
    ["when both its ends are those of an upstream connection", "127.0.0.1:34806", "127.0.0.1:80", false],
    [
      "but not when the kernel reused the source port for another destination",
      "127.0.0.1:34806",
      "127.0.0.1:8080",
      true,
    ],
    ["nor when another client goes where we go", "127.0.0.1:34807", "127.0.0.1:80", true],
  ])("%s", (_name, peer, original, admitted) => {
    const { traffic, counters } = trafficWith(OWN);
    expect(traffic.admits({ remoteAddress: peer } as Wire, original)).toBe(admitted);
    expect(counters.loopsDetected).toBe(admitted ? 0 : 1);
  });

  test("no longer, when the upstream connection is gone", () => {
    const { traffic } = trafficWith(OWN);
    traffic.onReleased(OWN);
    expect(traffic.admits({ remoteAddress: OWN.localAddress } as Wire, OWN.remoteAddress)).toBe(true);
  });
});
