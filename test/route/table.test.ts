import { describe, expect, test } from "bun:test";
import type { HttpMatch, HttpRoute, TextMatch } from "../../src/config/http-route-schema.ts";
import { RouteTable } from "../../src/route/table.ts";

const exact = (text: string): TextMatch => ({ kind: "exact", text });
const prefix = (text: string): TextMatch => ({ kind: "prefix", text });
const when = (uri?: TextMatch, method?: TextMatch): HttpMatch => ({ uri, method });
const NOTHING = { remove: [], set: [], add: [] };

function route(name: string, ...match: HttpMatch[]): HttpRoute {
  return { name, match, request: NOTHING, response: NOTHING, delayMs: 0 };
}

describe("RouteTable", () => {
  const table = new RouteTable([
    route("exact", when(exact("/a"))),
    route("prefix", when(prefix("/a"))),
    route("both", when(prefix("/b"), exact("POST"))),
    route("either", when(exact("/c")), when(undefined, exact("PURGE"))),
    route("method prefix", when(undefined, prefix("PROP"))),
  ]);

  test.each([
    ["GET", "/a", "exact"],
    ["GET", "/a?b=/c", "exact"],
    ["GET", "/a/", "prefix"],
    ["GET", "/abc", "prefix"],
    ["GET", "/A", undefined],
    ["GET", "/%61", undefined],
    ["GET", "//a", undefined],
    ["POST", "/b/1", "both"],
    ["GET", "/b/1", undefined],
    ["post", "/b/1", undefined],
    ["GET", "/c", "either"],
    ["PURGE", "/z", "either"],
    ["PROPFIND", "/z", "method prefix"],
    ["GET", "http://host/a", "exact"],
    ["OPTIONS", "*", undefined],
  ])("%s %s is %p", (method, target, want) => {
    expect(table.match(method, target)?.name).toBe(want);
  });

  test("a rule without a match takes everything, and the first that matches wins", () => {
    const all = new RouteTable([route("all"), route("never", when(exact("/")))]);
    expect(all.match("GET", "/")?.name).toBe("all");
    expect(all.match("CONNECT", "h:1")?.name).toBe("all");
  });

  test("no rule matches nothing", () => {
    expect(new RouteTable([]).match("GET", "/")).toBeUndefined();
  });
});
