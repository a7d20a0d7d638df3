import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import type { ServerInfo } from "../../src/admin/apps.ts";
import { type AdminBinds, type AdminServers, standardBinds, startAdmin } from "../../src/admin/servers.ts";
import { CommandError } from "../../src/config/errors.ts";
import { bindWithFallback } from "../../src/net/bind.ts";
import { Metrics } from "../../src/telemetry/metrics.ts";
import { workloadFromEnvironment } from "../../src/telemetry/workload.ts";
import { httpRecord } from "../telemetry/sample-record.ts";

const metrics = new Metrics(workloadFromEnvironment({ POD_NAME: "httpbin" }));
metrics.record(httpRecord());

let isReady = true;
let state: ServerInfo["state"] = "LIVE";
const source = {
  isReady: () => isReady,
  families: () => metrics.families(),
  serverInfo: (): ServerInfo => ({
    version: "0.1.0",
    state,
    uptimeMs: 12_345,
    pid: 42,
    concurrency: 1,
    settings: { inboundPort: 15006 },
    node: { workload: "httpbin" },
  }),
};

let binds: AdminBinds;
let servers: AdminServers;
beforeAll(() => {
  const [admin, status, health, prometheus] = freePorts(4);
  binds = standardBinds({ admin: admin!, status: status!, health: health!, prometheus: prometheus! });
  servers = startAdmin(binds, source);
});
afterAll(() => servers.stop());
beforeEach(() => {
  isReady = true;
  state = "LIVE";
});

type Surface = keyof AdminBinds;

function ask(surface: Surface, path: string, init?: RequestInit): Promise<Response> {
  return fetch(`http://127.0.0.1:${binds[surface].port}${path}`, init);
}

/** Ports that were free a moment ago, all different. */
function freePorts(count: number): number[] {
  const holders = Array.from({ length: count }, () => Bun.serve({ port: 0, fetch: () => new Response() }));
  const ports = holders.map((holder) => holder.port!);
  for (const holder of holders) holder.stop(true);
  return ports;
}

describe("readiness", () => {
  test.each<[Surface, string, string]>([
    ["admin", "/ready", "LIVE\n"],
    ["health", "/healthz/ready", ""],
    ["status", "/healthz/ready", ""],
  ])("%s %s", async (surface, path, body) => {
    const ready = await ask(surface, path);
    expect([ready.status, await ready.text()]).toEqual([200, body]);
    isReady = false;
    expect((await ask(surface, path)).status).toBe(503);
  });

  test.each<[ServerInfo["state"], string]>([
    ["DRAINING", "DRAINING\n"],
    ["LIVE", "INITIALIZING\n"],
  ])("the admin port tells the state %s", async (now, body) => {
    isReady = false;
    state = now;
    expect(await (await ask("admin", "/ready")).text()).toBe(body);
  });

  test("both families are served", async () => {
    expect((await fetch(`http://[::1]:${binds.health.port}/healthz/ready`)).status).toBe(200);
  });
});

describe("metrics", () => {
  test.each<[Surface, string]>([
    ["admin", "/stats/prometheus"],
    ["admin", "/stats?format=prometheus"],
    ["status", "/stats/prometheus"],
    ["status", "/metrics"],
    ["prometheus", "/stats/prometheus"],
  ])("%s %s is exposition text", async (surface, path) => {
    const answer = await ask(surface, path);
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const text = await answer.text();
    expect(text).toContain("# TYPE istio_requests_total counter\n");
    expect(text).toContain('destination_workload="httpbin"');
    expect(text).not.toContain("server.live");
  });

  test("/stats is lines of name and value", async () => {
    const text = await (await ask("admin", "/stats")).text();
    expect(text).toContain("\nserver.live: 1\n");
    expect(text).toContain("\nserver.uptime: 12\n");
    expect(text).toMatch(/^istiocustom\.istio_requests_total\.reporter\.destination\..*: 1$/m);
  });

  test("/stats can be filtered", async () => {
    expect(await (await ask("admin", "/stats?filter=^server.(live|state)&usedonly")).text()).toBe("server.live: 1\n");
  });

  test("/stats as JSON", async () => {
    expect(await (await ask("admin", "/stats?format=json&filter=server.live")).json()).toMatchObject({
      stats: [{ name: "server.live", value: 1 }, {}],
    });
  });

  test.each([
    ["/stats?filter=(", "filter is not a regular expression\n"],
    ["/stats?format=xml", "format must be text, json or prometheus\n"],
  ])("%s is refused", async (path, message) => {
    const answer = await ask("admin", path);
    expect([answer.status, await answer.text()]).toEqual([400, message]);
  });
});

test("/server_info has Envoy's shape", async () => {
  expect(await (await ask("admin", "/server_info")).json()).toEqual({
    version: "0.1.0",
    state: "LIVE",
    uptime_current_epoch: "12s",
    uptime_all_epochs: "12s",
    hot_restart_version: "disabled",
    pid: 42,
    command_line_options: { inboundPort: 15006 },
    node: { metadata: { workload: "httpbin" } },
  });
});

test.each(["/", "/help"])("%s lists the endpoints, and each of them answers", async (path) => {
  const listed = (await (await ask("admin", path)).text())
    .trim()
    .split("\n")
    .map((line) => line.split(" ")[0]!);
  expect(listed).toContain("/stats/prometheus");
  for (const endpoint of listed) expect((await ask("admin", endpoint)).status).toBe(200);
});

test.each<[Surface, string, string]>([
  ["admin", "/nothing", "not found: GET /help lists what there is\n"],
  ["health", "/", "not found: this port serves /healthz/ready\n"],
  ["health", "/stats/prometheus", "not found: this port serves /healthz/ready\n"],
  ["prometheus", "/metrics", "not found: this port serves /stats/prometheus\n"],
  ["status", "/server_info", "not found: this port serves /healthz/ready, /stats/prometheus and /metrics\n"],
])("%s has no %s, and says what it has", async (surface, path, message) => {
  const answer = await ask(surface, path);
  expect([answer.status, await answer.text()]).toEqual([404, message]);
});

describe("methods", () => {
  test.each(["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])("%s is not allowed anywhere", async (method) => {
    for (const [surface, path] of [
      ["admin", "/stats"],
      ["health", "/healthz/ready"],
      ["status", "/metrics"],
      ["prometheus", "/stats/prometheus"],
    ] as const) {
      const answer = await ask(surface, path, { method });
      expect([answer.status, answer.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
    }
  });

  test("HEAD is GET without a body", async () => {
    const answer = await ask("admin", "/ready", { method: "HEAD" });
    expect([answer.status, await answer.text()]).toEqual([200, ""]);
    expect((await ask("admin", "/nothing", { method: "HEAD" })).status).toBe(404);
  });

  test("a body is not taken", async () => {
    const answer = await ask("admin", "/stats", { method: "POST", body: "x".repeat(1024 * 1024) });
    expect([405, 413]).toContain(answer.status);
  });
});

describe("the Host header on the admin port", () => {
  test.each([
    ["localhost:15000", 200],
    ["[::1]:15000", 200],
    ["evil.example:15000", 403],
    ["10.77.0.2", 403],
  ])("%s gets %d", async (host, status) => {
    expect((await ask("admin", "/stats", { headers: { Host: host } })).status).toBe(status);
  });

  test("does not matter on the others: the kubelet comes by the pod's address", async () => {
    expect((await ask("health", "/healthz/ready", { headers: { Host: "10.77.0.2:15021" } })).status).toBe(200);
  });
});

describe("binding", () => {
  test("the admin port is on the loopback address alone", () => {
    expect(standardBinds({ admin: 15000, status: 0, health: 0, prometheus: 0 }).admin).toEqual({
      host: "127.0.0.1",
      port: 15000,
    });
  });

  test("a taken port is one clear sentence, and nothing is left running", async () => {
    const [admin] = freePorts(1);
    const clash = standardBinds({ admin: admin!, status: 0, health: binds.health.port, prometheus: 0 });
    expect(() => startAdmin(clash, source)).toThrow(
      new CommandError(`cannot bind [::]:${binds.health.port}: address in use (is another proxy running here?)`),
    );
    expect(await fetch(`http://127.0.0.1:${admin}/ready`).catch(() => "refused")).toBe("refused");
  });

  test("port 0 leaves a surface out", async () => {
    const [health] = freePorts(1);
    const few = startAdmin(standardBinds({ admin: 0, status: 0, health: health!, prometheus: 0 }), source);
    expect((await fetch(`http://127.0.0.1:${health}/healthz/ready`)).status).toBe(200);
    await few.stop();
    expect(await fetch(`http://127.0.0.1:${health}/healthz/ready`).catch(() => "refused")).toBe("refused");
  });

  test.each(["EAFNOSUPPORT", "EADDRNOTAVAIL"])("without IPv6 (%s) every IPv4 address is bound", (code) => {
    const tried: string[] = [];
    const bound = bindWithFallback({ host: "::", port: 1 }, (hostname) => {
      tried.push(hostname);
      if (hostname === "::") throw Object.assign(new Error("no IPv6"), { code });
      return "bound";
    });
    expect([bound, tried]).toEqual(["bound", ["::", "0.0.0.0"]]);
  });

  test.each([
    ["EACCES", "cannot bind 127.0.0.1:80: permission denied (ports below 1024 need root)"],
    ["EADDRNOTAVAIL", "cannot bind 127.0.0.1:80: this machine does not have that address"],
    ["EWHATEVER", "cannot bind 127.0.0.1:80: the system's words"],
  ])("%s is told", (code, message) => {
    const fails = (): never => {
      throw Object.assign(new Error("the system's words"), { code });
    };
    expect(() => bindWithFallback({ host: "127.0.0.1", port: 80 }, fails)).toThrow(new CommandError(message));
  });
});
