import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { FieldKind } from "../../src/codec/field-kind.ts";
import { parseTrailers } from "../../src/codec/head.ts";
import { HeaderList } from "../../src/codec/header-list.ts";

const list = (...flat: string[]): HeaderList => new HeaderList(flat);

describe("HeaderList", () => {
  test("finds by lower-case name whatever the case of the wire", () => {
    const headers = list("X-A", "1", "x-a", "2", "X-B", "3");
    expect(headers.get("x-a")).toBe("1");
    expect(headers.getAll("x-a")).toEqual(["1", "2"]);
    expect(headers.has("x-b")).toBe(true);
    expect(headers.has("x-c")).toBe(false);
    expect(headers.get("x-c")).toBeUndefined();
    expect(headers.count).toBe(3);
  });

  test("does not take a value for a name", () => {
    const headers = list("a", "b", "c", "a");
    expect(headers.get("b")).toBeUndefined();
    expect(headers.getAll("a")).toEqual(["b"]);
  });

  test.each(["__proto__", "constructor", "toString", "hasOwnProperty", "1", "0", "length", "-1"])(
    "%j is a name like any other",
    (name) => {
      expect(list("a", "1").get(name.toLowerCase())).toBeUndefined();
      const headers = list("a", "1", name, "x");
      expect(headers.get(name.toLowerCase())).toBe("x");
      headers.set(name, "y");
      expect(headers.flat).toEqual(["a", "1", name, "y"]);
      headers.remove(name);
      expect(headers.flat).toEqual(["a", "1"]);
      headers.add(name, "z");
      expect(headers.getAll(name.toLowerCase())).toEqual(["z"]);
    },
  );

  test.each([
    [
      "replaces the first in its place and removes the others",
      ["A", "1", "b", "2", "a", "3", "A", "4"],
      ["A", "9", "b", "2"],
    ],
    ["keeps the name's case of the wire", ["aCcEpT", "1"], ["aCcEpT", "1", "a", "9"]],
    ["adds at the end when there is none", ["b", "2"], ["b", "2", "a", "9"]],
  ])("set %s", (_name, before, after) => {
    const headers = list(...before);
    headers.set("a", "9");
    expect(headers.flat).toEqual(after);
  });

  test("remove takes every line of that name, neighbours too", () => {
    const headers = list("a", "1", "A", "2", "b", "3", "a", "4");
    headers.remove("A");
    expect(headers.flat).toEqual(["b", "3"]);
  });

  test("set then getAll gives the one value; remove then has gives false", () => {
    const name = fc.constantFrom("a", "A", "b", "B", "c", "__proto__", "1");
    fc.assert(
      fc.property(fc.array(fc.tuple(name, fc.string())), name, fc.string(), (lines, wanted, value) => {
        const headers = new HeaderList(lines.flat());
        const others = headers.flat.filter((_, at) => headers.flat[at & ~1]!.toLowerCase() !== wanted.toLowerCase());
        headers.set(wanted, value);
        expect(headers.getAll(wanted.toLowerCase())).toEqual([value]);
        headers.remove(wanted);
        expect(headers.has(wanted.toLowerCase())).toBe(false);
        expect(headers.flat).toEqual(others);
      }),
    );
  });
});

describe("a parsed list", () => {
  const LIMITS = { maxHeaderBytes: 65_536, maxHeaderFields: 100 };
  const names = fc.constantFrom("a", "A", "X-Long-Name", "content-length", "Server", "te", "__proto__");
  const value = fc.constantFrom("", "1", "a b", "\xe9");
  const space = fc.constantFrom("", " ", "\t", "  ");
  const lines = fc.array(fc.tuple(names, value, space, space), { maxLength: 6 }).filter((all) => {
    const lengths = all.filter(([name]) => name === "content-length").map(([, text]) => text);
    return new Set(lengths).size <= 1;
  });

  const parsed = (all: readonly (readonly [string, string, string, string])[]): HeaderList => {
    const text = all.map(([name, text, before, after]) => `${name}:${before}${text}${after}\r\n`).join("");
    return parseTrailers(Buffer.from(`${text}\r\n`, "latin1"), LIMITS);
  };

  test("answers as one made of the same names and values, before and after a change", () => {
    fc.assert(
      fc.property(lines, names, (all, wanted) => {
        const flat = all.flatMap((line) => line.slice(0, 2));
        const [one, other] = [parsed(all), new HeaderList(flat)];
        const lower = wanted.toLowerCase();
        const view = (list: HeaderList) => ({
          count: list.count,
          fields: Array.from({ length: list.count }, (_, at) => [list.nameAt(at), list.valueAt(at), list.kindAt(at)]),
          lines: list.count === 0 ? "" : list.lines(0, list.count),
          found: [list.get(lower), list.getAll(lower), list.has(lower)],
          last: list.lastOfKind(FieldKind.Server),
        });
        expect(view(one)).toEqual(view(other));
        expect(one.flat).toEqual(flat);
        for (const list of [one, other]) {
          list.add("Server", "mine");
          list.set(wanted, "9");
        }
        expect(view(one)).toEqual(view(other));
        for (const list of [one, other]) list.remove(wanted);
        expect(view(one)).toEqual(view(other));
      }),
    );
  });
});
