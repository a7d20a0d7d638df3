import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { escapeText, escapeToken, jsonString } from "../../src/telemetry/log-escape.ts";

describe("escapeText", () => {
  test.each([
    ["/get?query=param", "/get?query=param"],
    ["", ""],
    ['a"b', 'a\\"b'],
    ["a\\b", "a\\\\b"],
    ["a\r\nb\tc", "a\\r\\nb\\tc"],
    ["\x1b[31mred\x7f", "\\x1b[31mred\\x7f"],
    ["caf\xe9 \x85", "caf\\xe9 \\x85"],
    ["\u2028\ud83d\ude00", "\\u2028\\ud83d\\ude00"],
  ])("%j", (value, text) => {
    expect(escapeText(value)).toBe(text);
  });
});

test("a token keeps its column", () => {
  expect(escapeToken('a b "c')).toBe('a\\x20b\\x20\\"c');
});

test("escaped text is printable ASCII without a bare quote, whatever came in", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (value) => {
      expect(escapeText(value)).toMatch(/^(?:[ !#-[\]-~]|\\["\\nrt]|\\x[0-9a-f]{2}|\\u[0-9a-f]{4})*$/);
    }),
  );
});

test("a JSON string is ASCII and reads back as it was", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (value) => {
      expect(JSON.parse(jsonString(value))).toBe(value);
      expect(jsonString(value)).toMatch(/^[ -~]*$/);
    }),
  );
});
