// The application of `agent demo`: the few endpoints of httpbin that the story needs, answering in httpbin's JSON.
// Not a full httpbin and not a test double: it runs as a process of its own, and knows nothing of any proxy.

import { type Context, Hono } from "hono";

/** What the listener knows of a request and the request itself does not say. */
export interface HttpbinBindings {
  /** Address of the TCP peer, without port. */
  readonly remoteAddress: string;
}

/** httpbin's own limit: longer delays are cut to this. Seconds. */
const MAX_DELAY_SECONDS = 10;
/** The `Server` header of the application, so that a reader sees whether a proxy replaced it. */
export const HTTPBIN_SERVER = "httpbin";

type Env = { Bindings: HttpbinBindings };
type OneOrMany = string | string[];

/** `sleep` gets milliseconds; tests pass one that does not wait. */
export function createHttpbin(sleep: (ms: number) => Promise<void>): Hono<Env> {
  const app = new Hono<Env>();
  app.use(async (c, next) => {
    await next();
    c.res.headers.set("Server", HTTPBIN_SERVER);
  });
  app.get("/get", (c) => json({ args: argsOf(c), headers: headersOf(c), origin: originOf(c), url: c.req.url }));
  app.get("/headers", (c) => json({ headers: headersOf(c) }));
  app.post("/post", async (c) => json(await everythingOf(c)));
  app.all("/status/:code", (c) => {
    const code = Number(c.req.param("code"));
    // Response has no 1xx; 204, 304 and the like carry no body anyway.
    if (!Number.isInteger(code) || code < 200 || code > 599) return c.text("Invalid status code\n", 400);
    return new Response(null, { status: code });
  });
  app.all("/delay/:seconds", async (c) => {
    const seconds = Number(c.req.param("seconds"));
    if (!(seconds >= 0)) return c.text("Invalid delay\n", 400);
    await sleep(Math.min(seconds, MAX_DELAY_SECONDS) * 1000);
    return json(await everythingOf(c));
  });
  return app;
}

/** httpbin prints its keys sorted, two spaces deep, with a line feed at the end. */
function json(value: Record<string, unknown>): Response {
  return new Response(`${JSON.stringify(value, null, 2)}\n`, { headers: { "Content-Type": "application/json" } });
}

async function everythingOf(c: Context<Env>): Promise<Record<string, unknown>> {
  const body = await c.req.text();
  const type = c.req.header("content-type")?.split(";")[0]?.trim().toLowerCase();
  const isForm = type === "application/x-www-form-urlencoded";
  return {
    args: argsOf(c),
    data: isForm ? "" : body,
    files: {},
    form: isForm ? collect(new URLSearchParams(body)) : {},
    headers: headersOf(c),
    json: parsed(isForm ? "" : body),
    origin: originOf(c),
    url: c.req.url,
  };
}

function argsOf(c: Context<Env>): Record<string, OneOrMany> {
  return collect(new URL(c.req.url).searchParams);
}

function headersOf(c: Context<Env>): Record<string, string> {
  const title = (name: string) => name.replace(/(^|-)[a-z]/g, (letters) => letters.toUpperCase());
  const headers = Object.entries(c.req.header()).map(([name, value]) => [title(name), value] as const);
  return Object.fromEntries(headers.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** As httpbin does: the client that a proxy names, else the TCP peer. */
function originOf(c: Context<Env>): string {
  return c.req.header("x-forwarded-for") ?? c.env.remoteAddress;
}

/** A name given twice becomes a list. */
function collect(pairs: URLSearchParams): Record<string, OneOrMany> {
  return Object.fromEntries(
    [...new Set(pairs.keys())].sort().map((name) => {
      const values = pairs.getAll(name);
      return [name, values.length === 1 ? values[0]! : values];
    }),
  );
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
