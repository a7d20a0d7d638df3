import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Path } from "../../src/config/unknown-keys.ts";
import { parseYamlSource, type YamlSource } from "../../src/config/yaml-source.ts";

function read(text: string): YamlSource {
  const parsed = parseYamlSource("f.yaml", text);
  if ("problems" in parsed) throw new Error(parsed.problems.join("\n"));
  return parsed.source;
}

function problems(text: string): string[] {
  const parsed = parseYamlSource("f.yaml", text);
  return "problems" in parsed ? parsed.problems : [];
}

describe("values", () => {
  test.each<[string, string, Record<string, unknown>]>([
    ["nothing", "", {}],
    ["comments only", "# nothing\n", {}],
    ["an explicit null", "---\n~\n", {}],
    [
      "scalars of the core schema",
      "a: 1\nb: true\nc: x\nd: yes\ne: 0777\nf: 1.5\n",
      { a: 1, b: true, c: "x", d: "yes", e: 777, f: 1.5 },
    ],
    ["JSON, as injectors write it", '{"statusPort":15020,"a":{"b":["c"]}}', { statusPort: 15020, a: { b: ["c"] } }],
    ["an anchor", "a: &x [1]\nb: *x\n", { a: [1], b: [1] }],
    ["a key without a value is there, but undefined", "a:\nb: { c: }\n", { a: undefined, b: { c: undefined } }],
    ["a null in a list stays", "a: [null, 1]", { a: [null, 1] }],
    ["a document mark and a byte order mark", "\ufeff---\na: 1\n...\n", { a: 1 }],
  ])("%s", (_name, text, values) => {
    expect(read(text).values).toEqual(values);
    expect(Object.keys(read(text).values)).toEqual(Object.keys(values));
  });
});

describe("positions", () => {
  const text = `statusPort: http
inbound:
  http:
    - name: slow
      match:
        - uri: { prefix: /status }
    - &second
      name: x
outbound:
  http: [*second]
`;
  test.each<[Path, "key" | "value", string]>([
    [["statusPort"], "value", "f.yaml:1:13"],
    [["statusPort"], "key", "f.yaml:1:1"],
    [["inbound", "http", 0, "name"], "value", "f.yaml:4:13"],
    [["inbound", "http", 0, "match", 0, "uri", "prefix"], "value", "f.yaml:6:26"],
    [["inbound", "http", 0, "match", 0, "uri", "prefix"], "key", "f.yaml:6:18"],
    [["outbound", "http", 0, "name"], "value", "f.yaml:8:13"],
    [["inbound", "nothing", "deeper"], "value", "f.yaml:3:3"],
    [["inbound", "http", 7], "value", "f.yaml:4:5"],
  ])("%j %s", (path, part, position) => {
    const source = read(text);
    expect(source.position(source.offset(path, part))).toBe(position);
  });

  test("a value of the wrong type has its own place, not its key's", () => {
    const source = read("a:\n  - b\n");
    expect(source.position(source.offset(["a"], "value"))).toBe("f.yaml:2:3");
  });
});

describe("refuses", () => {
  test.each<[string, string, RegExp]>([
    ["a syntax error", "a: 1\nb: [1, 2\nc: 3\n", /^f\.yaml:3:1: .*flow/i],
    ["a tab as indentation", "a:\n\tb: 1\n", /^f\.yaml:2:1: /],
    ["a key twice", "a: 1\nb: 2\na: 3\n", /^f\.yaml:3:1: Map keys must be unique/],
    ["an unknown alias", "a: *nowhere\n", /^f\.yaml:1:4: an alias of an anchor that is not there$/],
    ["two documents", "a: 1\n---\nb: 2\n", /^f\.yaml:\d:\d: only one YAML document is read here$/],
    ["a list", "- a\n", /^f\.yaml:1:1: must be a mapping of settings/],
    ["a text", "statusPort 15020", /^f\.yaml:1:1: must be a mapping of settings/],
    [
      "an alias bomb",
      `a: &a [${"x,".repeat(9)}x]\n${"bcdefgh"
        .split("")
        .map((key, index) => `${key}: &${key} [${`*${"abcdefg"[index]},`.repeat(9)}]`)
        .join("\n")}\n`,
      /^f\.yaml: .*alias/i,
    ],
  ])("%s", (_name, text, message) => {
    expect(problems(text)).toEqual([expect.stringMatching(message)]);
  });

  test("no text makes it throw, and every message names the source", () => {
    const piece = fc.oneof(
      fc.constantFrom(
        "a: ",
        "b",
        "\n",
        "  ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "&x ",
        "*x",
        "---\n",
        "!!int ",
        "? ",
        '"',
        "|\n",
        "<<: ",
      ),
      fc.string({ maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        for (const problem of problems(pieces.join(""))) expect(problem).toStartWith("f.yaml:");
      }),
    );
  });
});
