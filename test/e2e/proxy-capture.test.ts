// The main job: the application's traffic is captured by the kernel's rules, forwarded, logged and counted, with Debian's httpbin
// as the application; and what the rules leave out is left alone.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startHttpbin } from "./httpbin-server.ts";
import type { Namespace, RunOptions } from "./lab.ts";
import { connectFrom, RawServer } from "./raw-socket.ts";
import {
  APPLICATION_UID,
  ARTICLE_RULES,
  addressOf,
  FAMILIES,
  type Family,
  hostOf,
  PROXY_UID,
  Sidecar,
} from "./sidecar.ts";

const FIXED_ID = "3b241101-e2bb-4255-8caf-4136c566a962";

interface Answer {
  readonly status: string;
  readonly server: string;
  readonly body: string;
}

/** curl in the namespace; fails when it does. */
async function curl(namespace: Namespace, args: readonly string[], options: RunOptions = {}): Promise<Answer> {
  const text = await namespace.check(["curl", "-sSi", "-m", "10", ...args], options);
  const [head = "", body = ""] = text.split(/\r\n\r\n(.*)/s);
  const server = [...head.matchAll(/^server: (.*?)\r?$/gim)].map((match) => match[1]).join();
  return { status: head.split("\r\n", 1)[0] ?? "", server, body };
}

/** One entry of the BLOCK log, with what varies made equal. */
const entry = (url: string, requestBytes: number, responseBytes: number, status: number): string =>
  [
    `Original URL: ${url}`,
    `Proxy URL: ${url}`,
    "Request Duration: DURATION",
    `Request Size: ${requestBytes}`,
    `Response Size: ${responseBytes}`,
    `Response Status: ${status}`,
    "",
    "",
  ].join("\n");

/** The entries for these URLs, as soon as there are so many. Durations are Go's text: 912.5µs, 1.979348ms, 1.2s. */
async function entriesOf({ proxy }: Sidecar, urls: readonly string[], count: number): Promise<string> {
  const wanted = new Set(urls.map((url) => `Original URL: ${url}`));
  const found = (): string[] =>
    proxy.stdout.split(/(?<=\n\n)/).filter((text) => wanted.has(text.split("\n", 1)[0] ?? "") && text.endsWith("\n\n"));
  for (let seen = -1; found().length < count && seen < proxy.stdout.length; ) {
    seen = proxy.stdout.length;
    await proxy.waitFor(new RegExp(`^[^]{${seen + 1}}`));
  }
  return found()
    .join("")
    .replaceAll(/(?<=^Request Duration: )\d+(\.\d+)?(µs|ms|s)$/gm, "DURATION");
}

describe("with the original article's rules", () => {
  let sidecar: Sidecar;
  beforeAll(async () => {
    sidecar = await Sidecar.start({ proxy: ["--access-log-encoding", "BLOCK"] });
    await Promise.all([startHttpbin(sidecar.pod), startHttpbin(sidecar.node)]);
  }, 30_000);
  afterAll(() => sidecar?.[Symbol.asyncDispose]());

  test.each(FAMILIES)("the article's three requests are answered by httpbin and logged: %s", async (family) => {
    const url = `http://${hostOf(sidecar.pod, family)}:80`;
    const get = await curl(sidecar.node, [`${url}/get?query=param`]);
    expect(get).toMatchObject({ status: "HTTP/1.1 200 OK", server: "pilotfish" });
    expect(JSON.parse(get.body)).toMatchObject({ args: { query: "param" } });
    const post = await curl(sidecar.node, ["-X", "POST", "-d", "body=parameters", `${url}/post`]);
    expect(post).toMatchObject({ status: "HTTP/1.1 200 OK", server: "pilotfish" });
    expect(JSON.parse(post.body)).toMatchObject({ form: { body: "parameters" } });
    const status = await curl(sidecar.node, [`${url}/status/429`]);
    expect(status).toEqual({ status: "HTTP/1.1 429 TOO MANY REQUESTS", server: "pilotfish", body: "" });

    expect(await entriesOf(sidecar, [`${url}/get?query=param`, `${url}/post`, `${url}/status/429`], 3)).toBe(
      entry(`${url}/get?query=param`, 0, get.body.length, 200) +
        entry(`${url}/post`, 15, post.body.length, 200) +
        entry(`${url}/status/429`, 0, 0, 429),
    );
  });

  test.each(FAMILIES)("the application sees who asks, and which request it is: %s", async (family) => {
    const url = `http://${hostOf(sidecar.pod, family)}:80/headers?show_env=1`;
    const own = await curl(sidecar.node, [url]);
    const { headers } = JSON.parse(own.body) as { headers: Record<string, string> };
    expect(headers["X-Forwarded-For"]).toBe(addressOf(sidecar.node, family));
    expect(headers["X-Request-Id"]).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    const given = await curl(sidecar.node, [
      "-H",
      `x-request-id: ${FIXED_ID}`,
      "-H",
      "X-Forwarded-For: 192.0.2.7",
      url,
    ]);
    expect(JSON.parse(given.body)).toMatchObject({
      headers: { "X-Forwarded-For": `192.0.2.7, ${addressOf(sidecar.node, family)}`, "X-Request-Id": FIXED_ID },
    });
  });

  test.each(FAMILIES)("a request of the application to the outside goes through the proxy: %s", async (family) => {
    const url = `http://${hostOf(sidecar.node, family)}:80/headers?show_env=captured`;
    const answer = await curl(sidecar.pod, [url], { uid: APPLICATION_UID });
    expect(answer.status).toBe("HTTP/1.1 200 OK");
    expect(answer.server).toStartWith("gunicorn");
    const { headers } = JSON.parse(answer.body) as { headers: Record<string, string> };
    expect(Object.keys(headers)).toContain("X-Request-Id");
    expect(Object.keys(headers)).not.toContain("X-Forwarded-For");
    expect(await entriesOf(sidecar, [url], 1)).toBe(entry(url, 0, answer.body.length, 200));
  });

  test.each(FAMILIES)("a request of the proxy's own user does not: %s", async (family) => {
    const url = `http://${hostOf(sidecar.node, family)}:80`;
    const own = await curl(sidecar.pod, [`${url}/headers?show_env=1`], { uid: PROXY_UID });
    expect(own.status).toBe("HTTP/1.1 200 OK");
    expect(own.body).not.toContain("X-Request-Id");
    // The log is in order: an entry of the request before would stand before this one's.
    await curl(sidecar.pod, [`${url}/status/204`], { uid: APPLICATION_UID });
    expect(await entriesOf(sidecar, [`${url}/headers?show_env=1`, `${url}/status/204`], 1)).toBe(
      entry(`${url}/status/204`, 0, 0, 204),
    );
  });

  describe("metrics", () => {
    /** The text at 15090, as a scraper outside gets it. */
    const scrape = (): Promise<string> =>
      sidecar.node.check(["curl", "-sS", "-m", "5", `http://${sidecar.pod.v4}:15090/stats/prometheus`]);

    const total = (name: string, labels: Record<string, string>): Promise<number> => sidecar.metric(name, labels);

    test("requests are counted with the labels that are known", async () => {
      const inbound = {
        reporter: "destination",
        request_protocol: "http",
        response_code: "418",
        response_flags: "-",
        destination_service_name: "InboundPassthroughCluster",
        connection_security_policy: "none",
      };
      const outbound = {
        reporter: "source",
        request_protocol: "http",
        response_code: "418",
        response_flags: "-",
        destination_service_name: "PassthroughCluster",
        connection_security_policy: "unknown",
      };
      for (const family of FAMILIES) {
        await curl(sidecar.node, ["-d", "12345", `http://${hostOf(sidecar.pod, family)}:80/status/418`]);
        await curl(sidecar.pod, [`http://${hostOf(sidecar.node, family)}:80/status/418`], { uid: APPLICATION_UID });
      }
      expect(await total("istio_requests_total", inbound)).toBe(2);
      expect(await total("istio_requests_total", outbound)).toBe(2);
      expect(await total("istio_request_duration_milliseconds_count", inbound)).toBe(2);
      expect(await total("istio_request_bytes_sum", inbound)).toBe(10);
      expect(await total("istio_request_bytes_sum", outbound)).toBe(0);
      // httpbin's teapot has 135 bytes.
      expect(await total("istio_response_bytes_sum", inbound)).toBe(270);
    });

    test("a failed upstream is counted with its flag", async () => {
      const { status } = await curl(sidecar.pod, [`http://${sidecar.node.v4}:9/`], { uid: APPLICATION_UID });
      expect(status).toBe("HTTP/1.1 503 Service Unavailable");
      const labels = { reporter: "source", response_code: "503", response_flags: "UF" };
      expect(await total("istio_requests_total", labels)).toBe(1);
    });

    test("opaque connections are counted with their bytes", async () => {
      using server = new RawServer(sidecar.pod);
      const client = await connectFrom(sidecar.node, sidecar.pod.v4, server.port);
      client.send("\0opaque").finish();
      const upstream = await server.accept();
      await upstream.untilEnd();
      upstream.send("answer").finish();
      await client.untilEnd();
      const labels = { reporter: "destination", request_protocol: "tcp" };
      expect(await total("istio_tcp_connections_opened_total", labels)).toBe(1);
      expect(await total("istio_tcp_connections_closed_total", labels)).toBe(1);
      expect(await total("istio_tcp_received_bytes_total", labels)).toBe(7);
      expect(await total("istio_tcp_sent_bytes_total", labels)).toBe(6);
    });

    test("the admin port answers inside only, with the same numbers", async () => {
      const admin = ["curl", "-sS", "-m", "5", "http://127.0.0.1:15000/stats/prometheus"];
      const requests = (text: string): string[] =>
        text.split("\n").filter((line) => line.startsWith("istio_requests_total{"));
      expect(requests(await sidecar.pod.check(admin))).toEqual(requests(await scrape()));
      expect(await sidecar.pod.check(["curl", "-sS", "-m", "5", "http://127.0.0.1:15000/ready"])).toBe("LIVE\n");
    });

    test("promtool accepts the text", async () => {
      const { stderr, stdout } = await sidecar.node.run(["promtool", "check", "metrics"], { stdin: await scrape() });
      // The name and its unit are Istio's.
      expect(stdout + stderr).toBe(
        'istio_request_duration_milliseconds use base unit "seconds" instead of "milliseconds"\n',
      );
    });
  });
});

describe("what the rules leave out", () => {
  const OTHER: Record<Family, string> = { IPv4: "10.88.0.1", IPv6: "fd88::1" };
  const CAPTURED_PORT = 8080;
  const EXCLUDED_OUTBOUND_PORT = 8081;
  const EXCLUDED_INBOUND_PORT = 8082;
  const REQUEST = `GET /direct HTTP/1.1\r\nHost: a\r\n\r\n`;

  let sidecar: Sidecar;
  beforeAll(async () => {
    const rules = [...ARTICLE_RULES, "-o", `${EXCLUDED_OUTBOUND_PORT}`];
    rules[rules.indexOf("-d") + 1] = `15090,15020,${EXCLUDED_INBOUND_PORT}`;
    rules[rules.indexOf("-x") + 1] = `${OTHER.IPv4}/32,${OTHER.IPv6}/128`;
    sidecar = await Sidecar.start({
      rules,
      prepare: async ({ node }) => {
        for (const address of Object.values(OTHER)) await node.check(["ip", "address", "add", address, "dev", "lo"]);
      },
    });
  }, 30_000);
  afterAll(() => sidecar?.[Symbol.asyncDispose]());

  /** What a server in `to` gets of the request, and from where. */
  async function arrives(from: Namespace, to: Namespace, address: string, port: number): Promise<[string, string]> {
    using server = new RawServer(to, port);
    const client = (await connectFrom(from, address, port)).send(REQUEST);
    const upstream = await server.accept();
    await upstream.until("\r\n\r\n");
    client.reset();
    return [upstream.received, upstream.remoteAddress];
  }

  describe.each(FAMILIES)("%s", (family) => {
    test("an excluded outbound port goes directly, another one does not", async () => {
      const { node, pod } = sidecar;
      const address = addressOf(node, family);
      expect(await arrives(pod, node, address, EXCLUDED_OUTBOUND_PORT)).toEqual([REQUEST, addressOf(pod, family)]);
      const [captured] = await arrives(pod, node, address, CAPTURED_PORT);
      expect(captured).toContain("x-request-id");
    });

    test("an excluded address goes directly", async () => {
      const { node, pod } = sidecar;
      expect(await arrives(pod, node, OTHER[family], CAPTURED_PORT)).toEqual([REQUEST, addressOf(pod, family)]);
    });

    test("an excluded inbound port is reached directly, another one through the proxy", async () => {
      const { node, pod } = sidecar;
      const address = addressOf(pod, family);
      expect(await arrives(node, pod, address, EXCLUDED_INBOUND_PORT)).toEqual([REQUEST, addressOf(node, family)]);
      const [captured, source] = await arrives(node, pod, address, CAPTURED_PORT);
      expect(captured).toContain("x-request-id");
      expect(source).toBe(family === "IPv4" ? "127.0.0.6" : "::6");
    });
  });

  test("the log knows of the captured ones alone", async () => {
    const captured = FAMILIES.length * 2;
    await sidecar.proxy.waitFor(new RegExp(`(?:^.*"GET /direct .*\\n){${captured}}`, "m"));
    expect(sidecar.proxy.stdout.trim().split("\n")).toHaveLength(captured);
  });
});
