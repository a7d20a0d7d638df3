// Connections that must go nowhere: the proxy's own coming back, such that no rule redirected, and the proxy's own ports.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connectFrom, RawServer } from "./raw-socket.ts";
import { APPLICATION_UID, ARTICLE_RULES, addressOf, FAMILIES, hostOf, Sidecar } from "./sidecar.ts";

/** The proxy's own default. */
const DETECTION = ["--protocol-detection-timeout", "30ms"];

describe("a proxy that runs as root, which the rules do not exempt", () => {
  let sidecar: Sidecar;
  beforeAll(async () => {
    sidecar = await Sidecar.start({ startedAs: {}, proxy: ["--proxy-uid", "0", "--proxy-gid", "0", ...DETECTION] });
  }, 30_000);
  afterAll(() => sidecar?.[Symbol.asyncDispose]());

  const loops = (): Promise<number> => sidecar.metric("agent_loops_detected_total");

  test.each(FAMILIES)("an outbound request fails after one turn, counted and logged: %s", async (family) => {
    const before = await loops();
    using server = new RawServer(sidecar.node);
    const { stdout } = await sidecar.pod.run(
      ["curl", "-sSi", "-m", "5", `http://${hostOf(sidecar.node, family)}:${server.port}/loop`],
      { uid: APPLICATION_UID },
    );
    expect(stdout).toStartWith("HTTP/1.1 503 Service Unavailable\r\n");
    await sidecar.proxy.waitFor(/loop: the connection from \S+ is one of this proxy's own/, "stderr");
    expect(await loops()).toBe(before + 1);
    expect(server.connections).toHaveLength(0);
  });

  test.each(FAMILIES)("a silent client makes no storm of connections either: %s", async (family) => {
    const before = await loops();
    using server = new RawServer(sidecar.node);
    const client = await connectFrom(sidecar.pod, addressOf(sidecar.node, family), server.port);
    expect(await client.untilEnd()).toBe("reset");
    expect(await loops()).toBe(before + 1);
    // The scrape's own connection is not one of the data path.
    expect(await sidecar.metric("agent_connections_active")).toBe(0);
  });

  test.each(FAMILIES)("inbound requests are unharmed: %s", async (family) => {
    const before = await loops();
    using server = new RawServer(sidecar.pod, 0, async (connection) => {
      await connection.until("\r\n\r\n");
      connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    });
    const url = `http://${hostOf(sidecar.pod, family)}:${server.port}/`;
    expect(await sidecar.node.check(["curl", "-sSi", "-m", "5", url])).toStartWith("HTTP/1.1 200 OK\r\n");
    expect(await loops()).toBe(before);
  });
});

describe("connections to the proxy itself", () => {
  let sidecar: Sidecar;
  beforeAll(async () => {
    const rules = [...ARTICLE_RULES];
    // Nothing excluded: the proxy's own ports are captured as well.
    rules[rules.indexOf("-d") + 1] = "";
    sidecar = await Sidecar.start({ rules, proxy: DETECTION });
  }, 30_000);
  afterAll(() => sidecar?.[Symbol.asyncDispose]());

  /** A connection that sends a request ends without an answer. */
  async function expectRefusal(from: "node" | "pod", address: string, port: number): Promise<void> {
    const client = await connectFrom(sidecar[from], address, port).catch(() => undefined);
    // Over loopback the reset may be there before the connection is seen to stand.
    if (client === undefined) return;
    client.send("GET /stats/prometheus HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.untilEnd();
    expect(client.received).toBe("");
  }

  describe.each(FAMILIES)("%s", (family) => {
    const curl = async (path: string, ...args: string[]): Promise<{ status: number; body: string }> => {
      const url = `http://${hostOf(sidecar.pod, family)}:${path}`;
      const text = await sidecar.node.check(["curl", "-sS", "-m", "5", "-w", "\n%{http_code}", ...args, url]);
      const at = text.lastIndexOf("\n");
      return { status: Number(text.slice(at + 1)), body: text.slice(0, at) };
    };

    test("directly to the inbound port: refused, with a line that says why", async () => {
      const before = await sidecar.metric("agent_direct_connections_refused_total");
      await expectRefusal("node", addressOf(sidecar.pod, family), 15006);
      await sidecar.proxy.waitFor(
        /refused a connection from \S+ on the inbound port 15006: it was sent to this port itself, so no rule redirected it/,
        "stderr",
      );
      expect(await sidecar.metric("agent_direct_connections_refused_total")).toBe(before + 1);
    });

    test("directly to the outbound port from inside: the same", async () => {
      const before = await sidecar.metric("agent_direct_connections_refused_total");
      await expectRefusal("pod", family === "IPv4" ? "127.0.0.1" : "::1", 15001);
      await sidecar.proxy.waitFor(/refused a connection from \S+ on the outbound port 15001: /, "stderr");
      expect(await sidecar.metric("agent_direct_connections_refused_total")).toBe(before + 1);
    });

    test("the admin and the outbound port cannot be reached through the inbound one", async () => {
      const before = await sidecar.metric("agent_own_port_connections_refused_total");
      for (const port of [15000, 15001]) {
        await expectRefusal("node", addressOf(sidecar.pod, family), port);
        await sidecar.proxy.waitFor(new RegExp(`to the proxy's own port ${port}`), "stderr");
      }
      expect(await sidecar.metric("agent_own_port_connections_refused_total")).toBe(before + 2);
    });

    test("health and metrics can be read through it", async () => {
      expect((await curl("15021/healthz/ready")).status).toBe(200);
      expect((await curl("15020/healthz/ready")).status).toBe(200);
      for (const path of ["15090/stats/prometheus", "15020/stats/prometheus"]) {
        const { status, body } = await curl(path);
        expect(status).toBe(200);
        expect(body).toContain("\n# TYPE agent_connections_active gauge\n");
      }
    });

    test.each([
      ["POST", "15021/healthz/ready", ["-d", "x"]],
      ["PUT", "15090/stats/prometheus", ["-X", "PUT"]],
      ["another path", "15021/", []],
      ["another path", "15090/server_info", []],
      ["a path that only begins alike", "15020/healthz/ready/../../quitquitquit", ["--path-as-is"]],
    ])("%s on %s is forbidden", async (_what, path, args) => {
      expect((await curl(path, ...args)).status).toBe(403);
    });

    test("a client may be slow there", async () => {
      const client = await connectFrom(sidecar.node, addressOf(sidecar.pod, family), 15021);
      // Several times the detection timeout, which is for telling protocols apart.
      await Bun.sleep(150);
      client.send("GET /healthz/ready HTTP/1.1\r\nHost: a\r\n\r\n");
      await client.until("HTTP/1.1 200 OK\r\n");
    });

    test("what is no HTTP is reset there", async () => {
      const client = await connectFrom(sidecar.node, addressOf(sidecar.pod, family), 15090);
      client.send("\0\x01\x02");
      expect(await client.untilEnd()).toBe("reset");
    });
  });

  test("many complaints do not flood the log", async () => {
    for (let round = 0; round < 20; round++) await expectRefusal("node", sidecar.pod.v4, 15006);
    const lines = sidecar.proxy.stderr.split("\n").filter((line) => line.includes("on the inbound port 15006"));
    // Five a minute, and a minute may have passed.
    expect(lines.length).toBeLessThanOrEqual(10);
    expect(await sidecar.metric("agent_direct_connections_refused_total")).toBeGreaterThanOrEqual(20);
  });
});
