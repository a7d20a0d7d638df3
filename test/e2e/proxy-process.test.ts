// The process itself: who it is after it has bound its ports, and that an ordinary user needs nothing to run a plain reverse proxy.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { AGENT, Lab } from "./lab.ts";
import { answerEach, connectFrom, RawServer } from "./raw-socket.ts";
import { FAMILIES, PROXY_UID, Sidecar } from "./sidecar.ts";

/** A field of /proc/PID/task/TID/status, in every thread: each of its words once. */
function statusOf(pid: number, field: string): string[] {
  const words = readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/status`, "utf8");
    const [, value = ""] = new RegExp(`^${field}:\\s*(.*)$`, "m").exec(text) ?? [];
    return value.trim().split(/\s+/);
  });
  return [...new Set(words)];
}

describe("a proxy that root started", () => {
  let sidecar: Sidecar;
  beforeAll(async () => {
    sidecar = await Sidecar.start({ startedAs: {} });
  }, 30_000);
  afterAll(() => sidecar?.[Symbol.asyncDispose]());

  test("is uid and gid 1337 in every thread, with no capability and no other group", () => {
    const { pid, stderr } = sidecar.proxy;
    for (const field of ["Uid", "Gid"]) expect(statusOf(pid, field)).toEqual([String(PROXY_UID)]);
    for (const field of ["CapEff", "CapPrm", "CapInh", "CapAmb"])
      expect(statusOf(pid, field)).toEqual(["0".repeat(16)]);
    expect(statusOf(pid, "Groups")).toEqual([String(PROXY_UID)]);
    expect(stderr).toContain(`running as uid ${PROXY_UID}, gid ${PROXY_UID}\n`);
  });

  test("serves, and its own connections are not captured", async () => {
    using server = new RawServer(sidecar.node);
    const client = await connectFrom(sidecar.pod, sidecar.node.v4, server.port);
    client.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n");
    await (await server.accept()).until("x-request-id");
    expect(server.connections).toHaveLength(1);
    expect(await sidecar.metric("agent_loops_detected_total")).toBe(0);
  });
});

test("a proxy with another uid and gid becomes these", async () => {
  await using sidecar = await Sidecar.start({
    startedAs: {},
    proxy: ["--proxy-uid", "2000", "--proxy-gid", "3000"],
    rules: undefined,
  });
  expect(statusOf(sidecar.proxy.pid, "Uid")).toEqual(["2000"]);
  expect(statusOf(sidecar.proxy.pid, "Gid")).toEqual(["3000"]);
  expect(statusOf(sidecar.proxy.pid, "Groups")).toEqual(["3000"]);
  expect(statusOf(sidecar.proxy.pid, "CapEff")).toEqual(["0".repeat(16)]);
});

describe("a plain reverse proxy of an ordinary user, without any rules", () => {
  const QUIET =
    "--inbound-port 0 --outbound-port 0 --proxy-admin-port 0 --status-port 0 --health-port 0 --prometheus-port 0";
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.create();
  }, 30_000);
  afterAll(() => lab?.[Symbol.asyncDispose]());

  test("forwards, names itself, and several run side by side", async () => {
    using server = new RawServer(lab.pod, 0, (connection) => {
      answerEach(connection, () => "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 2\r\n\r\nok");
    });
    const start = async (port: number) => {
      const args = [...QUIET.split(" "), "--listen", `${port}`, "--target", `127.0.0.1:${server.port}`];
      const proxy = lab.pod.spawn([AGENT, "proxy", ...args], { uid: 1000 });
      await proxy.waitFor(/ready/, "stderr");
      return proxy;
    };
    const proxies = [await start(8001), await start(8002)];
    for (const family of FAMILIES) {
      for (const [index, port] of [8001, 8002].entries()) {
        const address = family === "IPv4" ? lab.pod.v4 : lab.pod.v6;
        const client = await connectFrom(lab.node, address, port);
        client.send(`GET /${family} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
        await client.untilEnd();
        expect(client.received).toBe(
          "HTTP/1.1 200 OK\r\nServer: pilotfish\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        );
        await proxies[index]!.waitFor(new RegExp(`"GET /${family} HTTP/1.1" 200 - `));
      }
    }
    for (const { received } of server.connections) {
      expect(received.match(/^x-forwarded-for: /gm)?.length).toBe(received.match(/^GET /gm)?.length);
    }
    expect(statusOf(proxies[0]!.pid, "Uid")).toEqual(["1000"]);
  });

  test("listens at one address only, and reaches its target by name", async () => {
    using server = new RawServer(lab.pod, 0, (connection) => {
      answerEach(connection, () => "HTTP/1.1 204 No Content\r\nServer: app\r\n\r\n");
    });
    const args = [...QUIET.split(" "), "--listen", "127.0.0.1:8003", "--target", `localhost:${server.port}`];
    const proxy = lab.pod.spawn([AGENT, "proxy", ...args, "--server-header", "pass"], { uid: 1000 });
    await proxy.waitFor(/ready/, "stderr");
    const client = (await connectFrom(lab.pod, "127.0.0.1", 8003)).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until("\r\n\r\n");
    expect(client.received).toBe("HTTP/1.1 204 No Content\r\nServer: app\r\n\r\n");
    expect((await lab.node.run(["curl", "-sS", "-m", "5", `http://${lab.pod.v4}:8003/`])).code).toBe(7);
  });
});
