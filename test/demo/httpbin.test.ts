// The embedded httpbin: its answers must be what a user of the real one expects to read.

import { describe, expect, test } from "bun:test";
import { createHttpbin } from "../../src/demo/httpbin.ts";

const PEER = { remoteAddress: "10.0.0.9" };
const slept: number[] = [];
const app = createHttpbin((ms) => {
  slept.push(ms);
  return Promise.resolve();
});
const request = async (path: string, init?: RequestInit) => app.request(path, init, PEER);
const body = async (response: Response) => (await response.json()) as Record<string, unknown>;

describe("/get", () => {
  test("shows arguments, headers, origin and url", async () => {
    const response = await request("/get?query=param", { headers: { "x-request-id": "7" } });
    expect(response.status).toBe(200);
    expect(response.headers.get("server")).toBe("httpbin");
    expect(await body(response)).toEqual({
      args: { query: "param" },
      headers: { "X-Request-Id": "7" },
      origin: "10.0.0.9",
      url: "http://localhost/get?query=param",
    });
  });

  test("a name given twice becomes a list", async () => {
    expect((await body(await request("/get?a=1&b=2&a=3")))["args"]).toEqual({ a: ["1", "3"], b: "2" });
  });

  test("the client that a proxy names is the origin", async () => {
    const response = await request("/get", { headers: { "x-forwarded-for": "192.0.2.1" } });
    expect((await body(response))["origin"]).toBe("192.0.2.1");
  });

  test("prints like httpbin: two spaces, sorted, line feed at the end", async () => {
    const text = await (await request("/get", { headers: { b: "2", a: "1" } })).text();
    expect(text).toStartWith('{\n  "args": {},\n  "headers": {\n    "A": "1",\n    "B": "2"\n  },');
    expect(text).toEndWith("}\n");
  });
});

describe("/post", () => {
  test.each([
    ["a form", "application/x-www-form-urlencoded", "body=parameters", { form: { body: "parameters" }, data: "" }],
    ["JSON", "application/json", '{"a":1}', { form: {}, data: '{"a":1}', json: { a: 1 } }],
    ["text", "text/plain", "hello", { form: {}, data: "hello", json: null }],
  ])("%s", async (_name, type, sent, want) => {
    const response = await request("/post", { method: "POST", body: sent, headers: { "content-type": type } });
    expect(response.status).toBe(200);
    expect(await body(response)).toMatchObject(want);
  });
});

describe("/status", () => {
  test.each([200, 204, 304, 429, 503])("%d", async (code) => {
    expect((await request(`/status/${code}`)).status).toBe(code);
  });

  test.each(["abc", "99", "600", "200.5"])("%s is no status", async (code) => {
    expect((await request(`/status/${code}`)).status).toBe(400);
  });
});

describe("/delay", () => {
  test.each([
    ["0", 0],
    ["0.5", 500],
    ["99", 10_000],
  ])("%s waits %d ms", async (seconds, ms) => {
    slept.length = 0;
    expect((await request(`/delay/${seconds}`)).status).toBe(200);
    expect(slept).toEqual([ms]);
  });

  test("no number", async () => expect((await request("/delay/soon")).status).toBe(400));
});

test("anything else is not found, with the server's name", async () => {
  const response = await request("/nowhere");
  expect([response.status, response.headers.get("server")]).toEqual([404, "httpbin"]);
});
