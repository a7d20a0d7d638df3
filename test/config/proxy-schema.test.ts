import { describe, expect, test } from "bun:test";
import * as v from "valibot";
import { ProxySchema } from "../../src/config/proxy-schema.ts";
import { settingsOf } from "../../src/config/setting.ts";
import { unknownKeys } from "../../src/config/unknown-keys.ts";

test("the defaults, which users and other files rely on", () => {
  expect(v.parse(ProxySchema, {})).toEqual({
    inboundPort: 15_006,
    outboundPort: 15_001,
    proxyAdminPort: 15_000,
    statusPort: 15_020,
    healthPort: 15_021,
    prometheusPort: 15_090,
    serverHeader: "pilotfish",
    forwardedFor: "append",
    maxHeaderBytes: 65_536,
    maxHeaderFields: 100,
    connectTimeout: 10_000,
    protocolDetectionTimeout: 30,
    requestHeaderTimeout: 10_000,
    downstreamIdleTimeout: 300_000,
    upstreamIdleTimeout: 3_000,
    streamIdleTimeout: 300_000,
    maxConnections: 8_000,
    maxIdleConnectionsPerEndpoint: 64,
    accessLogFile: "/dev/stdout",
    accessLogEncoding: "TEXT",
    accessLogFormat: "",
    proxyUid: 1_337,
    proxyGid: 1_337,
    terminationDrainDuration: 5_000,
    concurrency: 1,
    inbound: { http: [] },
    outbound: { http: [] },
  });
});

describe("the list of settings", () => {
  const settings = settingsOf(ProxySchema);

  test.each(settings.map((setting) => [setting.key, setting] as const))("%s is named and described", (key, setting) => {
    expect(setting.description).toMatch(/^[A-Z].*[.\]]$/);
    expect(setting.fileOnly).toBe(setting.flag === undefined);
    if (setting.flag !== undefined)
      expect(setting.flag).toBe(key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
  });

  test("the variables are the standard ones", () => {
    expect(Object.fromEntries(settings.filter(({ env }) => env.length > 0).map(({ key, env }) => [key, env]))).toEqual({
      statusPort: ["STATUS_PORT"],
      healthPort: ["ENVOY_STATUS_PORT"],
      prometheusPort: ["ENVOY_PROMETHEUS_PORT"],
      terminationDrainDuration: ["TERMINATION_DRAIN_DURATION_SECONDS"],
    });
  });

  test("no key is both ours and refused as Istio's", () => {
    const { unsupported } = v.getMetadata(ProxySchema) as { unsupported: readonly string[] };
    expect(unsupported.filter((key) => Object.hasOwn(ProxySchema.entries, key))).toEqual([]);
    expect(new Set(unsupported).size).toBe(unsupported.length);
  });
});

describe("values", () => {
  test.each<[Record<string, unknown>, Record<string, unknown>]>([
    [{ terminationDrainDuration: "45" }, { terminationDrainDuration: 45_000 }],
    [{ terminationDrainDuration: "1m" }, { terminationDrainDuration: 60_000 }],
    [{ accessLogFile: "" }, { accessLogFile: "" }],
    [{ serverHeader: "pass" }, { serverHeader: "pass" }],
    [{ concurrency: 1 }, { concurrency: 1 }],
    [
      { listen: "8080", target: "127.0.0.1:80" },
      { listen: { host: "::", port: 8_080 }, target: { host: "127.0.0.1", port: 80 } },
    ],
    [
      { inboundPort: 0, outboundPort: 0, statusPort: 0 },
      { inboundPort: 0, outboundPort: 0, statusPort: 0 },
    ],
  ])("%j", (input, output) => {
    expect(v.parse(ProxySchema, input)).toMatchObject(output);
  });

  test.each<[Record<string, unknown>, string]>([
    [{ concurrency: 2 }, "must be 1: more worker processes are not supported yet"],
    [{ concurrency: "0" }, "must be a whole number, 1 or more"],
    [{ accessLogEncoding: "text" }, "must be TEXT, JSON or BLOCK"],
    [{ forwardedFor: "on" }, "must be append or off"],
    [{ serverHeader: "" }, "must be a header value, or pass"],
    [{ serverHeader: "a\r\nb: c" }, "must be a header value, or pass"],
    [{ listen: "8080" }, "{listen} needs --target HOST:PORT, where it forwards to"],
    [{ target: "a:80" }, "{target} needs --listen PORT, where requests for it arrive"],
    [
      { statusPort: 15_021 },
      "{statusPort} and {healthPort} are both port 15021; give one another port, or 0 to turn it off",
    ],
    [
      { listen: "15006", target: "a:80" },
      "{inboundPort} and {listen} are both port 15006; give one another port, or 0 to turn it off",
    ],
  ])("%j is refused", (input, message) => {
    expect(v.safeParse(ProxySchema, input).issues?.map((issue) => issue.message)).toEqual([message]);
  });
});

test.each(["proxyMetadata", "drainDuration", "tracing", "discoveryAddress", "outboundTrafficPolicy"])(
  "%s is known to Istio and refused by name",
  (key) => {
    expect(unknownKeys(ProxySchema, { [key]: {} })).toEqual([
      { path: [key], message: "known to Istio, not supported yet" },
    ]);
  },
);
