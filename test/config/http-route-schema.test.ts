import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { HttpRoutes } from "../../src/config/http-route-schema.ts";
import { type Path, unknownKeys } from "../../src/config/unknown-keys.ts";

/** The routes, or the path and message of each problem. */
function read(http: unknown) {
  const unknown = unknownKeys(HttpRoutes, { http });
  if (unknown.length > 0) return unknown.map(({ path, message }) => `${path.join(".")}: ${message}`);
  const parsed = v.safeParse(HttpRoutes, { http });
  if (parsed.success) return parsed.output.http;
  return parsed.issues.map((issue) => `${(issue.path ?? []).map(({ key }) => key).join(".")}: ${issue.message}`);
}

const NOTHING = { remove: [], set: [], add: [] };

test("a rule with everything", () => {
  const rule = {
    name: "slow",
    match: [{ uri: { prefix: "/status" }, method: { exact: "GET" } }, { uri: { exact: "/" } }],
    headers: {
      request: { set: { proxy: "xx1", "X-Tab": "a\tb" }, add: { "X-A": "" }, remove: ["x-b", "X-C"] },
      response: { remove: ["server"] },
    },
    fault: { delay: { fixedDelay: "6s" } },
  };
  expect(read([rule])).toEqual([
    {
      name: "slow",
      match: [
        { uri: { kind: "prefix", text: "/status" }, method: { kind: "exact", text: "GET" } },
        { uri: { kind: "exact", text: "/" }, method: undefined },
      ],
      request: {
        set: [
          ["proxy", "xx1"],
          ["X-Tab", "a\tb"],
        ],
        add: [["X-A", ""]],
        remove: ["x-b", "X-C"],
      },
      response: { set: [], add: [], remove: ["server"] },
      delayMs: 6_000,
    },
  ]);
});

test("an empty rule matches everything and does nothing; its name is its place", () => {
  expect(read([{}, { name: "b" }, { match: [{}] }])).toEqual([
    { name: "http[0]", match: [], request: NOTHING, response: NOTHING, delayMs: 0 },
    { name: "b", match: [], request: NOTHING, response: NOTHING, delayMs: 0 },
    {
      name: "http[2]",
      match: [{ uri: undefined, method: undefined }],
      request: NOTHING,
      response: NOTHING,
      delayMs: 0,
    },
  ]);
});

test.each([[{}], [{ http: [] }], [{ http: undefined }]])("no rules: %j", (routes) => {
  expect(v.parse(HttpRoutes, routes)).toEqual({ http: [] });
});

describe("refuses", () => {
  const set = (name: string, value: unknown) => [{ headers: { request: { set: { [name]: value } } } }];
  const framing =
    "cannot be changed by a rule: it frames the message or belongs to one connection, and the proxy sets it";
  test.each<[string, unknown, string[]]>([
    [
      "exact and prefix",
      [{ match: [{ uri: { exact: "/a", prefix: "/b" } }] }],
      ["http.0.match.0.uri: must have one of exact and prefix"],
    ],
    ["neither", [{ match: [{ method: {} }] }], ["http.0.match.0.method: must have one of exact and prefix"]],
    [
      "a match that is no text",
      [{ match: [{ uri: { exact: 5 } }] }],
      ["http.0.match.0.uri.exact: must be text; put it in quotes"],
    ],
    ["an empty name", [{ name: "" }], ["http.0.name: must not be empty"]],
    [
      "a delay without unit",
      [{ fault: { delay: { fixedDelay: 6 } } }],
      ["http.0.fault.delay.fixedDelay: must be a duration such as 250ms, 5s or 1m30s, at most 596h"],
    ],
    [
      "a host",
      set("Host", "a"),
      [
        "http.0.headers.request.set.Host: cannot be changed by a rule: it chooses the server; a rule cannot change where a request goes",
      ],
    ],
    ...["constructor", "prototype"].map((name): [string, unknown, string[]] => [
      `the name ${name}`,
      set(name, "1"),
      ["http.0.headers.request.set: cannot have a header named __proto__, prototype, constructor"],
    ]),
    ["a content length", set("content-length", "1"), [`http.0.headers.request.set.content-length: ${framing}`]],
    [
      "a transfer coding",
      set("Transfer-Encoding", "chunked"),
      [`http.0.headers.request.set.Transfer-Encoding: ${framing}`],
    ],
    [
      "a connection header",
      [{ headers: { response: { remove: ["Connection"] } } }],
      [`http.0.headers.response.remove.0: ${framing}`],
    ],
    [
      "a space in a name",
      set("a b", "1"),
      ["http.0.headers.request.set.a b: must be a header name: letters, digits and !#$%&'*+-.^_`|~ only"],
    ],
    [
      "an empty name of a header",
      set("", "1"),
      ["http.0.headers.request.set.: must be a header name: letters, digits and !#$%&'*+-.^_`|~ only"],
    ],
    [
      "a line end in a value",
      set("a", "1\r\nb: 2"),
      ["http.0.headers.request.set.a: must be a header value: printable latin1 text without line ends"],
    ],
    [
      "a value beyond latin1",
      set("a", "€"),
      ["http.0.headers.request.set.a: must be a header value: printable latin1 text without line ends"],
    ],
    ["a number as value", set("a", 4), ["http.0.headers.request.set.a: must be text; put it in quotes"]],
    [
      "names of headers in no list",
      [{ headers: { request: { remove: "a" } } }],
      ['http.0.headers.request.remove: Invalid type: Expected Array but received "a"'],
    ],
  ])("%s", (_name, http, problems) => {
    expect(read(http)).toEqual(problems as never);
  });

  test.each<[Path, unknown]>([
    ...["route", "redirect", "rewrite", "timeout", "retries", "mirror", "corsPolicy", "directResponse"].map(
      (word): [Path, unknown] => [[word], [{ [word]: {} }]],
    ),
    [["fault", "abort"], [{ fault: { abort: {} } }]],
    [["fault", "delay", "percentage"], [{ fault: { delay: { fixedDelay: "1s", percentage: { value: 1 } } } }]],
    ...["headers", "queryParams", "authority", "port", "ignoreUriCase"].map((word): [Path, unknown] => [
      ["match", 0, word],
      [{ match: [{ [word]: {} }] }],
    ]),
    [["match", 0, "uri", "regex"], [{ match: [{ uri: { regex: ".*" } }] }]],
  ])("%j, which Istio has", (path, http) => {
    expect(read(http)).toEqual([`http.0.${path.join(".")}: known to Istio, not supported yet`] as never);
  });

  test.each<[string, unknown, string]>([
    ["a misspelt rule", [{ nmae: "a" }], "http.0.nmae: unknown key; did you mean name?"],
    [
      "a misspelt header operation",
      [{ headers: { request: { st: {} } } }],
      "http.0.headers.request.st: unknown key; did you mean set?",
    ],
    [
      "a misspelt delay",
      [{ fault: { delay: { fixDelay: "1s" } } }],
      "http.0.fault.delay.fixDelay: unknown key; did you mean fixedDelay?",
    ],
  ])("%s", (_name, http, problem) => {
    expect(read(http)).toEqual([problem] as never);
  });
});

test("what is accepted as a header can never end its line", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 6 }), fc.string({ unit: "grapheme", maxLength: 6 }), (name, value) => {
      const routes = v.safeParse(HttpRoutes, { http: [{ headers: { request: { set: { [name]: value } } } }] });
      if (!routes.success) return;
      for (const [key, text] of routes.output.http[0]?.request.set ?? []) {
        expect(/[\r\n\0:\s]/.test(key) || /[\r\n\0]/.test(text)).toBe(false);
      }
    }),
  );
});
