import { expect, test } from "bun:test";
import { nearest, suggestion } from "../../src/config/nearest.ts";

const FLAGS = ["inbound-port", "outbound-port", "status-port", "listen", "target", "config"];

test.each<[string, string | undefined]>([
  ["inbund-port", "inbound-port"],
  ["outbond-port", "outbound-port"],
  ["statusport", "status-port"],
  ["STATUS-PORT", "status-port"],
  ["lsiten", "listen"],
  ["conf", "config"],
  ["inbound", "inbound-port"],
  ["port", undefined],
  ["x", undefined],
  ["", undefined],
  ["something-else", undefined],
  ["y".repeat(1000), undefined],
])("%s → %p", (name, want) => {
  expect(nearest(name, FLAGS)).toBe(want);
});

test("the nearer of two wins", () => {
  expect(nearest("outbound-ports", FLAGS)).toBe("outbound-port");
});

test("a suggestion reads as the end of a sentence", () => {
  expect(suggestion("lsten", FLAGS, (flag) => `--${flag}`)).toBe("; did you mean --listen?");
  expect(suggestion("zzz", FLAGS)).toBe("");
});
