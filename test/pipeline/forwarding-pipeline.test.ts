// What rules do to requests and responses, and what happens when middleware waits, fails or answers.
import { describe, expect, test } from "bun:test";
import type { HeaderOperations, HttpRoute } from "../../src/config/http-route-schema.ts";
import { crlf, World, type WorldOptions } from "../proxy/world.ts";

const NOTHING: HeaderOperations = { remove: [], set: [], add: [] };
const GET = crlf("GET /a HTTP/1.1\nHost: h\nx-request-id: 1\n\n");
const OK = crlf("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");

function rule(parts: Partial<HttpRoute>): HttpRoute {
  return { name: "rule", match: [], request: NOTHING, response: NOTHING, delayMs: 0, ...parts };
}

function pipelineWorld(parts: Partial<HttpRoute>, options: WorldOptions = {}): World {
  return new World("pipeline", { rules: [rule(parts)], ...options });
}

/** Sleeps end when the test says so. */
class FakeSleep {
  readonly asked: number[] = [];
  readonly errors: unknown[] = [];
  #wake: (() => void)[] = [];

  readonly host = {
    sleep: (ms: number): Promise<void> => {
      this.asked.push(ms);
      return new Promise((resolve) => this.#wake.push(resolve));
    },
    onMiddlewareError: (_route: string, error: unknown): void => {
      this.errors.push(error);
    },
  };

  async wake(world: World): Promise<void> {
    for (const wake of this.#wake.splice(0)) wake();
    await world.settle();
  }
}

describe("headers", () => {
  const operations: HeaderOperations = {
    remove: ["X-Gone"],
    set: [
      ["X-Set", "s"],
      ["New", "n"],
    ],
    add: [["x-add", "a2"]],
  };

  test("of the request: remove, set and add; everything else keeps its bytes and its place", async () => {
    const world = pipelineWorld({ request: operations });
    const client = world.client();
    await world.deliver(
      client,
      crlf("GET /a HTTP/1.1\nHost: h\nx-gone: 1\nA: 1\nx-SET: 1\nX-GONE: 2\nX-Add: a1\nx-set: 2\nx-request-id: 1\n\n"),
    );
    expect(world.upstream.written).toBe(
      crlf("GET /a HTTP/1.1\nHost: h\nA: 1\nx-SET: s\nX-Add: a1\nx-request-id: 1\nNew: n\nx-add: a2\n\n"),
    );
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    expect(world.lastRecord).toMatchObject({
      routeName: "rule",
      responseCode: 200,
      responseCodeDetails: "via_upstream",
    });
    await world.verify();
  });

  test.each(["GET", "HEAD", "OPTIONS", "BREW"])("of the response to %s: remove, set and add", async (method) => {
    const world = pipelineWorld({ response: operations });
    const client = world.client();
    await world.deliver(client, crlf(`${method} /a HTTP/1.1\nHost: h\nx-request-id: 1\n\n`));
    await world.deliver(
      world.upstream,
      crlf("HTTP/1.1 200 F\xefn\nX-Gone: 1\nSet-Cookie: a\nX-Set: 1\nSet-Cookie: b\nX-Add: a1\nContent-Length: 2\n\n") +
        (method === "HEAD" ? "" : "ok"),
    );
    expect(client.written).toBe(
      crlf(
        "HTTP/1.1 200 F\xefn\nSet-Cookie: a\nX-Set: s\nSet-Cookie: b\nX-Add: a1\nContent-Length: 2\nNew: n\nx-add: a2\n\n",
      ) + (method === "HEAD" ? "" : "ok"),
    );
    await world.verify();
  });

  test("a rule may take Server away where the proxy sets none", async () => {
    const world = pipelineWorld({ response: { ...NOTHING, remove: ["server"] } });
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 204 No Content\nServer: s\n\n"));
    expect(client.written).toBe(crlf("HTTP/1.1 204 No Content\n\n"));
    await world.verify();
  });

  test("bodies, trailers and pipelining are none of its business", async () => {
    const world = pipelineWorld({ request: operations });
    const client = world.client();
    const body = crlf("2\nhi\n0\nT: 1\n\n");
    await world.deliver(
      client,
      crlf("POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nx-request-id: 1\n\n") + body + GET,
    );
    expect(world.upstream.written).toEndWith(`\r\n\r\n${body}`);
    await world.deliver(world.upstream, OK);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK + OK);
    expect(world.upstreams).toHaveLength(1);
    await world.verify();
  });

  test("a rule that does not match does not apply", async () => {
    const world = pipelineWorld({
      match: [{ uri: { kind: "exact", text: "/b" }, method: undefined }],
      request: operations,
    });
    const client = world.client();
    await world.deliver(client, GET);
    expect(world.upstream.written).toBe(GET);
    await world.verify();
    expect(world.lastRecord.routeName).toBe("default");
  });
});

describe("targets that are no paths reach the upstream too", () => {
  test.each(["OPTIONS *", "GET http://x/y?z", "CONNECT h:443", "GET ?x", "GET a/b"])("%s", async (start) => {
    const world = pipelineWorld({ request: { ...NOTHING, add: [["x", "1"]] } });
    const client = world.client();
    await world.deliver(client, crlf(`${start} HTTP/1.1\nHost: h\nx-request-id: 1\n\n`));
    expect(world.upstream.written).toBe(crlf(`${start} HTTP/1.1\nHost: h\nx-request-id: 1\nx: 1\n\n`));
    await world.verify();
  });
});

describe("delay", () => {
  const delayMs = 6_000;

  test("the request goes on when it is over", async () => {
    const sleep = new FakeSleep();
    const world = pipelineWorld({ delayMs }, { host: sleep.host });
    const client = world.client();
    await world.deliver(client, GET);
    expect(sleep.asked).toEqual([6_000]);
    expect([world.upstreams.length, world.inFlight]).toEqual([0, 1]);
    await sleep.wake(world);
    expect(world.upstream.written).toBe(GET);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    await world.verify();
  });

  test("a client that leaves meanwhile leaves nothing behind", async () => {
    const sleep = new FakeSleep();
    const world = pipelineWorld({ delayMs }, { host: sleep.host });
    const client = world.client();
    await world.deliver(client, GET);
    await world.break(client, "ECONNRESET");
    expect([world.inFlight, world.lastRecord.responseFlag]).toEqual([0, "DC"]);
    await sleep.wake(world);
    expect(world.upstreams).toHaveLength(0);
    expect(sleep.errors).toEqual([]);
    await world.verify();
  });

  test("pipelined requests wait one after the other", async () => {
    const sleep = new FakeSleep();
    const world = pipelineWorld({ delayMs }, { host: sleep.host });
    const client = world.client();
    await world.deliver(client, GET + GET);
    await sleep.wake(world);
    await world.deliver(world.upstream, OK);
    expect(sleep.asked).toEqual([6_000, 6_000]);
    expect(world.upstream.written).toBe(GET);
    await sleep.wake(world);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK + OK);
    await world.verify();
  });

  test("an upload waits in the kernel", async () => {
    const sleep = new FakeSleep();
    const world = pipelineWorld({ delayMs }, { host: sleep.host });
    const client = world.client();
    await world.deliver(client, crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 4\nx-request-id: 1\n\nab"));
    await world.deliver(client, "cd");
    expect(client.isPaused).toBe(true);
    await sleep.wake(world);
    expect(world.upstream.written).toEndWith("\r\n\r\nabcd");
    await world.verify();
  });
});

describe("middleware that fails", () => {
  const boom = new Error("boom");

  test("before the request: 500, and nothing goes upstream", async () => {
    const errors: unknown[] = [];
    const world = pipelineWorld(
      { delayMs: 1 },
      { host: { sleep: () => Promise.reject(boom), onMiddlewareError: (route, error) => errors.push(route, error) } },
    );
    const client = world.client();
    await world.deliver(client, GET);
    expect(client.written).toStartWith("HTTP/1.1 500 Internal Server Error\r\n");
    expect(client.written).not.toContain("boom");
    expect(client.ending).toBe("open");
    expect([world.upstreams.length, ...errors]).toEqual([0, "rule", boom]);
    expect(world.lastRecord).toMatchObject({ responseCode: 500, responseCodeDetails: "pipeline_failed" });
    await world.verify();
  });

  test("after the response: 500 in its place, and the upstream is let go", async () => {
    const errors: unknown[] = [];
    const response = {
      ...NOTHING,
      get set(): HeaderOperations["set"] {
        if (isCompiled) throw boom;
        return [["a", "b"]];
      },
    };
    let isCompiled = false;
    const world = pipelineWorld(
      { response },
      { host: { sleep: async () => {}, onMiddlewareError: (_route, error) => errors.push(error) } },
    );
    isCompiled = true;
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, OK);
    expect(client.written).toStartWith("HTTP/1.1 500 Internal Server Error\r\n");
    expect(world.upstream.ending).toBe("reset");
    expect(errors).toEqual([boom]);
    await world.verify();
  });

  test("an upstream that fails is no failure of middleware", async () => {
    const errors: unknown[] = [];
    const world = pipelineWorld(
      { response: { ...NOTHING, add: [["a", "b"]] } },
      { host: { sleep: async () => {}, onMiddlewareError: (_route, error) => errors.push(error) } },
    );
    const client = world.client();
    await world.deliver(client, GET);
    await world.break(world.upstream, "ECONNRESET");
    expect(client.written).toStartWith("HTTP/1.1 503 ");
    expect(errors).toEqual([]);
    await world.verify();
  });
});

describe("directions", () => {
  test.each([
    ["inbound", true, false],
    ["listen", true, false],
    ["outbound", false, true],
  ] as const)("rules of inbound are for %s: %p", async (direction, isInbound) => {
    const { ForwardingPipeline } = await import("../../src/pipeline/forwarding-pipeline.ts");
    const host = { sleep: async () => {}, onMiddlewareError: () => {} };
    const world = new World("straight", { direction });
    const inbound = rule({ name: "in", request: { ...NOTHING, add: [["x-in", "1"]] } });
    world.pipeline.intercept = ForwardingPipeline.prototype.intercept.bind(
      new ForwardingPipeline({ inbound: [inbound], outbound: [] }, host),
    );
    await world.deliver(world.client(), GET);
    expect(world.upstream.written.includes("x-in: 1")).toBe(isInbound);
    await world.verify();
  });
});
