// The pipeline lane: requests that a rule applies to go through a Hono app, whose last handler forwards the exchange.
// The exchange, the codec and the record are the straight lane's; only who decides is different.
import { Hono } from "hono";
import type { RequestHead, ResponseHead } from "../codec/head.ts";
import { HeaderList } from "../codec/header-list.ts";
import { pathOf } from "../codec/target.ts";
import type { HttpRoute } from "../config/http-route-schema.ts";
import type { Exchange, ExchangeOwner } from "../proxy/exchange.ts";
import type { Direction } from "../proxy/record.ts";
import type { Pipeline } from "../proxy/services.ts";
import { RouteTable } from "../route/table.ts";
import { LightRequest, LightResponse } from "./light.ts";
import {
  fixedDelay,
  isEmpty,
  type PipelineBindings,
  type PipelineEnv,
  requestHeaders,
  responseHeaders,
} from "./middleware.ts";

/** Rules by direction. */
export interface PipelineRoutes {
  readonly inbound: readonly HttpRoute[];
  readonly outbound: readonly HttpRoute[];
}

/** What the lane needs of the world. */
export interface PipelineHost {
  sleep(ms: number): Promise<void>;
  /** A middleware threw: a bug of ours or of a user's filter, never the traffic's. */
  onMiddlewareError(route: string, error: unknown): void;
}

/** Answers of middleware are collected, so they are bounded. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** The exchange ended while middleware still waited for something. */
class ExchangeOver extends Error {
  override name = "ExchangeOver";
}

/** One for all: it is made for every exchange that ends, and its stack tells nothing. */
const EXCHANGE_OVER = new ExchangeOver();

export class ForwardingPipeline implements Pipeline {
  readonly #tables: Record<Direction, RouteTable | undefined>;
  readonly #apps = new Map<HttpRoute, RouteApps>();

  constructor(
    routes: PipelineRoutes,
    private readonly host: PipelineHost,
  ) {
    const inbound = routes.inbound.length === 0 ? undefined : new RouteTable(routes.inbound);
    const outbound = routes.outbound.length === 0 ? undefined : new RouteTable(routes.outbound);
    this.#tables = { inbound, outbound, listen: inbound };
    for (const route of [...routes.inbound, ...routes.outbound]) this.#apps.set(route, compile(route));
  }

  intercept(exchange: Exchange, head: RequestHead): boolean {
    const route = this.#tables[exchange.record.direction]?.match(head.method, head.target);
    if (route === undefined) return false;
    exchange.record.routeName = route.name;
    const run = new PipelineRun(exchange, this.host);
    exchange.owner = run;
    const apps = this.#apps.get(route)!;
    this.#run(head.method === "HEAD" ? apps.head : apps.any, route, run);
    return true;
  }

  async #run(app: Hono<PipelineEnv>, route: HttpRoute, run: PipelineRun): Promise<void> {
    const { exchange } = run;
    try {
      // Hono reads method, url and headers of a request only; a Fetch Request would cost more than the rest of the lane.
      const returned = await app.fetch(run.request as unknown as Request, run);
      if (exchange.isOver) return;
      const response = run.headResponse ?? returned;
      if (response === (run.response as unknown)) exchange.respond();
      else await answer(exchange, response);
    } catch (error) {
      if (error instanceof ExchangeOver) return;
      this.host.onMiddlewareError(route.name, error);
      exchange.fail("pipeline_failed");
    }
  }
}

/** The app of a rule. Hono answers HEAD with a copy of the response: the app for it keeps the one that middleware returned. */
interface RouteApps {
  readonly any: Hono<PipelineEnv>;
  readonly head: Hono<PipelineEnv>;
}

function compile(route: HttpRoute): RouteApps {
  const head = newApp();
  head.use(async (context, next) => {
    await next();
    (context.env as PipelineRun).headResponse = context.res;
  });
  return { any: addHandlers(newApp(), route), head: addHandlers(head, route) };
}

function newApp(): Hono<PipelineEnv> {
  return new Hono<PipelineEnv>({ getPath: (request) => (request as unknown as LightRequest).path });
}

function addHandlers(app: Hono<PipelineEnv>, route: HttpRoute): Hono<PipelineEnv> {
  if (route.delayMs > 0) app.use(fixedDelay(route.delayMs));
  if (!isEmpty(route.request)) app.use(requestHeaders(route.request));
  if (!isEmpty(route.response)) app.use(responseHeaders(route.response));
  app.all("*", (context) => (context.env as PipelineRun).forward());
  app.onError((error) => {
    throw error;
  });
  return app;
}

/** One exchange in the lane: the bindings of its Hono context, and the owner that the exchange reports to. */
class PipelineRun implements ExchangeOwner, PipelineBindings {
  readonly request: LightRequest;
  response: LightResponse | undefined = undefined;
  /** What the middleware returned for a HEAD request. */
  headResponse: Response | undefined = undefined;
  #resolve: ((response: LightResponse) => void) | undefined = undefined;
  #reject: ((error: ExchangeOver) => void) | undefined = undefined;

  constructor(
    readonly exchange: Exchange,
    private readonly host: PipelineHost,
  ) {
    const { head } = exchange;
    const url = head.target.startsWith("/") ? `http://${head.host ?? "unknown"}${head.target}` : head.target;
    this.request = new LightRequest(head.method, url, pathOf(head.target), head.headers);
  }

  async sleep(ms: number): Promise<void> {
    await this.host.sleep(ms);
    if (this.exchange.isOver) throw EXCHANGE_OVER;
  }

  /** The end of the app: sends the request on and waits for the head of its response. */
  forward(): Promise<Response> {
    if (this.exchange.isOver) return Promise.reject(EXCHANGE_OVER);
    const promise = new Promise<LightResponse>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.exchange.forward();
    return promise as unknown as Promise<Response>;
  }

  onResponse(head: ResponseHead): void {
    this.response = new LightResponse(head.status, head.headers);
    this.#resolve?.(this.response);
  }

  onOver(): void {
    this.#reject?.(EXCHANGE_OVER);
  }
}

/** Middleware answered itself: the upstream is not asked, or its answer is replaced. */
async function answer(exchange: Exchange, response: Response): Promise<void> {
  const body = Buffer.from(await response.arrayBuffer());
  if (body.length > MAX_ANSWER_BYTES)
    throw new Error(`an answer of ${body.length} bytes is over the limit of ${MAX_ANSWER_BYTES}`);
  const headers = new HeaderList();
  response.headers.forEach((value, name) => {
    if (name !== "content-length" && name !== "transfer-encoding" && name !== "connection") headers.add(name, value);
  });
  exchange.record.responseCodeDetails = "direct_response";
  exchange.answerWith(response.status, headers, body);
}
