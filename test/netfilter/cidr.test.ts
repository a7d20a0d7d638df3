import { expect, test } from "bun:test";
import fc from "fast-check";
import { maskedCidr, parseCidr } from "../../src/netfilter/cidr.ts";

test.each([
  ["10.0.0.0/8", 4, "10.0.0.0/8", false],
  ["10.1.2.3/8", 4, "10.1.2.3/8", false],
  ["0.0.0.0/0", 4, "0.0.0.0/0", false],
  ["127.1.2.3/32", 4, "127.1.2.3/32", true],
  ["FD00:0:0::/08".replace("/08", "/8"), 6, "fd00::/8", false],
  ["2001:DB8::1/128", 6, "2001:db8::1/128", false],
  ["::1/128", 6, "::1/128", true],
  ["::/0", 6, "::/0", false],
] as const)("reads %s", (text, family, canonical, isLoopback) => {
  expect(parseCidr(text)).toMatchObject({ family, text: canonical, isLoopback });
});

test.each([
  "10.0.0.0",
  "10.0.0.0/33",
  "10.0.0.0/",
  "10.0.0.0/08",
  "10.0.0/8",
  "010.0.0.0/8",
  "0x0a000000/8",
  "256.0.0.0/8",
  "fd00::/129",
  "fe80::1%eth0/64",
  "::1",
  ":::/8",
  "*",
  "",
  " 10.0.0.0/8",
  "10.0.0.0/8 -j ACCEPT",
])("refuses %j", (text) => {
  expect(parseCidr(text)).toBeUndefined();
});

test.each([
  ["10.1.2.3/8", "10.0.0.0/8"],
  ["10.1.2.3/32", "10.1.2.3/32"],
  ["10.255.255.255/0", "0.0.0.0/0"],
  ["192.168.129.7/17", "192.168.128.0/17"],
  ["fdff:ffff::1/9", "fd80::/9"],
  ["fd00::1", "fd00::1"],
])("masks %s", (text, masked) => {
  expect(maskedCidr(text)).toBe(masked);
});

test("masking is idempotent, and its result is canonical", () => {
  const address = fc.oneof(
    fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
    fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
  );
  fc.assert(
    fc.property(address, ([host, prefix]) => {
      const cidr = parseCidr(`${host}/${prefix}`)!;
      const masked = maskedCidr(cidr.text);
      expect(maskedCidr(masked)).toBe(masked);
      expect(parseCidr(masked)?.text).toBe(masked);
    }),
  );
});
