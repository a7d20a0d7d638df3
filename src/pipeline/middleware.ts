// The built-in middleware of the forwarding pipeline, one factory per word of the configuration. Hono middleware, as
// users' own filters are.
import type { MiddlewareHandler } from "hono";
import type { HeaderOperations } from "../config/http-route-schema.ts";
import type { LightHeaders } from "./light.ts";

/** What the pipeline gives to middleware as `c.env`. */
export interface PipelineBindings {
  /** Resolves after `ms`; rejects when the exchange is over by then. */
  sleep(ms: number): Promise<void>;
}

/** Environment type of the pipeline's Hono app. */
export interface PipelineEnv {
  Bindings: PipelineBindings;
}

/** `fault.delay.fixedDelay`: waits before the request goes upstream. */
export function fixedDelay(delayMs: number): MiddlewareHandler<PipelineEnv> {
  return async (context, next) => {
    await context.env.sleep(delayMs);
    await next();
  };
}

/** `headers.request`: remove, set and add, before the request goes upstream. */
export function requestHeaders(operations: HeaderOperations): MiddlewareHandler<PipelineEnv> {
  return (context, next) => {
    apply(operations, context.req.raw.headers);
    return next();
  };
}

/** `headers.response`: the same on the way back. */
export function responseHeaders(operations: HeaderOperations): MiddlewareHandler<PipelineEnv> {
  return async (context, next) => {
    await next();
    apply(operations, context.res.headers);
  };
}

/** True when there is nothing to do: such middleware is left out. */
export function isEmpty(operations: HeaderOperations): boolean {
  return operations.remove.length + operations.set.length + operations.add.length === 0;
}

function apply(operations: HeaderOperations, headers: Pick<LightHeaders, "set" | "append" | "delete">): void {
  for (const name of operations.remove) headers.delete(name);
  for (const [name, value] of operations.set) headers.set(name, value);
  for (const [name, value] of operations.add) headers.append(name, value);
}
