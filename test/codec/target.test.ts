import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { authorityOf, pathAndQueryOf, pathOf } from "../../src/codec/target.ts";

describe("the parts of a request target (RFC 9112 §3.2)", () => {
  test.each([
    ["/", undefined, "/", "/"],
    ["/a/b?c=d?e", undefined, "/a/b?c=d?e", "/a/b"],
    ["/a?u=http://x/y", undefined, "/a?u=http://x/y", "/a"],
    ["//host/x", undefined, "//host/x", "//host/x"],
    ["/%2F#x", undefined, "/%2F#x", "/%2F#x"],
    ["http://a.b:80/c?d", "a.b:80", "/c?d", "/c"],
    ["http://a.b", "a.b", "", "/"],
    ["http://a.b?x=/y", "a.b", "?x=/y", "/"],
    ["http://[::1]:8/", "[::1]:8", "/", "/"],
    ["http:///x", "", "/x", "/x"],
    ["/?", undefined, "/?", "/"],
    ["/a://b", undefined, "/a://b", "/a://b"],
    ["HTTP://h/p", "h", "/p", "/p"],
    ["*", undefined, "", "*"],
    ["a.b:443", undefined, "", "a.b:443"],
    ["://x/y", undefined, "", "://x/y"],
  ])("%s", (target, authority, pathAndQuery, path) => {
    expect(authorityOf(target)).toBe(authority);
    expect(pathAndQueryOf(target)).toBe(pathAndQuery);
    expect(pathOf(target)).toBe(path);
  });

  test("an absolute-form is its scheme, authority, path and query", () => {
    const text = fc.stringMatching(/^[!-~]*$/);
    fc.assert(
      fc.property(text, text, (host, rest) => {
        const target = `http://${host}/${rest}`;
        expect(`http://${authorityOf(target)}${pathAndQueryOf(target)}`).toBe(target);
        expect(authorityOf(target)).not.toMatch(/[/?#]/);
      }),
    );
  });
});
