import { expect, test } from "bun:test";
import { isLoopbackHost } from "../../src/admin/loopback-host.ts";

test.each([
  ["localhost", true],
  ["localhost:15000", true],
  ["LOCALHOST:15000", true],
  ["agent.localhost", true],
  ["127.0.0.1:15000", true],
  ["127.8.8.8", true],
  ["[::1]:15000", true],
  ["[::1]", true],
  ["", false],
  ["evil.example:15000", false],
  ["127.0.0.1.evil.example", false],
  ["localhost.evil.example", false],
  ["notlocalhost", false],
  ["10.0.0.1:15000", false],
  ["0.0.0.0:15000", false],
  ["[::]:15000", false],
  ["127.1", false],
])("%p: %p", (host, isLoopback) => {
  expect(isLoopbackHost(host)).toBe(isLoopback);
});
