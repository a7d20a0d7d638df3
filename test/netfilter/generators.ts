// Random capture configurations, and random foreign rules, for properties.
import fc from "fast-check";
import type { CaptureConfig } from "../../src/netfilter/capture-config.ts";
import { type Cidr, parseCidr } from "../../src/netfilter/cidr.ts";

const port = fc.integer({ min: 1, max: 65_535 });
const ports = fc.uniqueArray(port, { maxLength: 3 });
const ids = fc.uniqueArray(fc.integer({ min: 0, max: 4_294_967_294 }), { minLength: 1, maxLength: 2 });
const nics = fc.uniqueArray(fc.constantFrom("eth1", "net2", "kv0", "kv1.100"), { maxLength: 2 });

const ipv4 = fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 32 })).map(([address, prefix]) => `${address}/${prefix}`);
const ipv6 = fc.tuple(fc.ipV6(), fc.integer({ min: 1, max: 128 })).map(([address, prefix]) => `${address}/${prefix}`);
const cidr: fc.Arbitrary<Cidr> = fc
  .oneof(ipv4, ipv6)
  .map(parseCidr)
  .filter((parsed) => parsed !== undefined);
const cidrs = fc.array(cidr, { maxLength: 3 });

export const arbitraryCapture: fc.Arbitrary<CaptureConfig> = fc.record({
  outboundPort: port,
  inboundPort: port,
  tunnelPort: port,
  proxyUids: ids,
  proxyGids: ids,
  inboundPorts: fc.oneof(fc.constant("*" as const), ports),
  excludeInboundPorts: ports,
  excludeInterfaces: nics,
  outboundCidrs: fc.oneof(fc.constant("*" as const), cidrs),
  excludeOutboundCidrs: cidrs,
  outboundPorts: ports,
  excludeOutboundPorts: ports,
  virtualInterfaces: nics,
  loopbackCidr: fc.constantFrom("127.0.0.1/32", "127.0.0.0/8"),
});
