import { describe, expect, test } from "bun:test";
import { type Arrival, judge, type OwnPorts, targetRoute } from "../../src/proxy/admission.ts";

const OWN: OwnPorts = { readable: new Set([15020, 15090]), closed: new Set([15000, 15001, 15006]) };
const inbound: Arrival = {
  direction: "inbound",
  listenerPort: 15006,
  localAddress: "10.0.0.2",
  original: { address: "10.0.0.2", port: 80 },
};
const outbound: Arrival = {
  direction: "outbound",
  listenerPort: 15001,
  localAddress: "127.0.0.1",
  original: { address: "93.184.216.34", port: 443 },
};

describe("judge", () => {
  test.each([
    [
      "inbound",
      inbound,
      { source: "127.0.0.6", cluster: "InboundPassthroughCluster", isOwnPort: false, poolKey: "10.0.0.2|80|127.0.0.6" },
    ],
    [
      "inbound over IPv6",
      { ...inbound, localAddress: "fd00::2", original: { address: "fd00::2", port: 80 } },
      { source: "::6", cluster: "InboundPassthroughCluster", poolKey: "fd00::2|80|::6" },
    ],
    [
      "outbound",
      outbound,
      { source: undefined, cluster: "PassthroughCluster", isOwnPort: false, poolKey: "93.184.216.34|443|" },
    ],
    [
      "inbound to a readable port of ours",
      { ...inbound, original: { address: "10.0.0.2", port: 15090 } },
      { isOwnPort: true },
    ],
    [
      "outbound to a port that is ours here",
      { ...outbound, original: { address: "10.9.9.9", port: 15090 } },
      { isOwnPort: false },
    ],
    [
      "outbound to another proxy's listener",
      { ...outbound, original: { address: "10.9.9.9", port: 15001 } },
      { isOwnPort: false },
    ],
  ])("%s goes on", (_name, arrival, route) => {
    expect(judge(arrival, OWN)).toMatchObject({
      route: { direction: arrival.direction, original: arrival.original, upstream: arrival.original, ...route },
    });
  });

  test.each([
    ["conntrack knows no destination", { ...inbound, original: undefined }, "direct"],
    [
      "the destination is the listener itself",
      { ...inbound, original: { address: "10.0.0.2", port: 15006 } },
      "direct",
    ],
    ["outbound, the same", { ...outbound, original: { address: "127.0.0.1", port: 15001 } }, "direct"],
    ["inbound to the admin port", { ...inbound, original: { address: "10.0.0.2", port: 15000 } }, "own_port"],
    ["inbound to the other listener", { ...inbound, original: { address: "10.0.0.2", port: 15001 } }, "own_port"],
  ] as const)("%s: refused", (_name, arrival, refusal) => {
    expect(judge(arrival, OWN)).toEqual({ refusal });
  });
});

test("a plain reverse proxy goes to its target", () => {
  expect(targetRoute({ address: "127.0.0.1", port: 8080 }, { address: "::1", port: 80 })).toEqual({
    direction: "listen",
    original: { address: "127.0.0.1", port: 8080 },
    upstream: { address: "::1", port: 80 },
    source: undefined,
    cluster: "outbound|80||::1",
    poolKey: "::1|80|",
    isOwnPort: false,
  });
});
