import { expect, test } from "bun:test";
import { formatEndpoint, unmapAddress } from "../../src/proxy/endpoint.ts";

test.each([
  ["10.0.0.1", 80, "10.0.0.1:80"],
  ["2001:db8::1", 443, "[2001:db8::1]:443"],
  ["example.com", 1, "example.com:1"],
])("%s and %i are %s", (address, port, want) => {
  expect(formatEndpoint({ address, port })).toBe(want);
});

test.each([
  ["::ffff:10.0.0.1", "10.0.0.1"],
  ["10.0.0.1", "10.0.0.1"],
  ["::1", "::1"],
  ["::ffff:a00:1", "::ffff:a00:1"],
])("%s unmapped is %s", (address, want) => {
  expect(unmapAddress(address)).toBe(want);
});
