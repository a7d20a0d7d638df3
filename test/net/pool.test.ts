// The pool by itself; what exchanges make of it is in test/proxy.
import { describe, expect, test } from "bun:test";
import type { HttpUpstream } from "../../src/proxy/http-upstream.ts";
import { World } from "../proxy/world.ts";

/** A connection that nobody uses. */
function idle(world: World, route = world.route): HttpUpstream {
  const upstream = world.pool.connect(route);
  world.upstream.open();
  world.pool.release(upstream);
  return upstream;
}

describe("Pool", () => {
  test("the last one returned is the first one taken, then a new one is dialled", () => {
    const world = new World();
    const [one, two] = [idle(world), idle(world)];
    expect(world.pool.acquire(world.route)).toBe(two);
    expect(world.pool.acquire(world.route)).toBe(one);
    expect(world.upstreams).toHaveLength(2);
    world.pool.acquire(world.route);
    expect(world.upstreams).toHaveLength(3);
  });

  test("endpoint and source address keep connections apart", () => {
    const world = new World();
    const other = { ...world.route, poolKey: "10.0.0.2|80|127.0.0.6" };
    const one = idle(world);
    expect(world.pool.acquire(other)).not.toBe(one);
    expect(world.pool.acquire(world.route)).toBe(one);
  });

  test("an endpoint without idle connections is forgotten", () => {
    const world = new World();
    const one = idle(world);
    expect(world.pool.endpointCount).toBe(1);
    world.pool.acquire(world.route);
    expect(world.pool.endpointCount).toBe(0);
    world.pool.release(one);
    world.pool.forget(one);
    expect(world.pool.endpointCount).toBe(0);
    world.pool.forget(one);
  });

  test("closeIdle closes the idle ones and no others", () => {
    const world = new World();
    idle(world);
    idle(world, { ...world.route, poolKey: "other" });
    world.pool.connect(world.route);
    world.pool.closeIdle();
    expect(world.upstreams.map((wire) => wire.ending)).toEqual(["closed", "closed", "open"]);
    expect(world.pool.endpointCount).toBe(0);
  });

  test("connect takes no idle one", () => {
    const world = new World();
    const one = idle(world);
    expect(world.pool.connect(world.route)).not.toBe(one);
    expect(world.pool.acquire(world.route)).toBe(one);
  });
});
