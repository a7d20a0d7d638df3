import { expect, test } from "bun:test";
import { HeaderList } from "../../src/codec/header-list.ts";
import { LightHeaders } from "../../src/pipeline/light.ts";

test("LightHeaders reads as Headers does, and writes the list of the wire", () => {
  const list = new HeaderList(["X-A", "1", "B", "2", "x-a", "3"]);
  const headers = new LightHeaders(list);
  expect(headers.get("x-A")).toBe("1, 3");
  expect(headers.get("c")).toBeNull();
  expect([headers.has("b"), headers.has("C")]).toEqual([true, false]);
  expect([...headers.entries()]).toEqual([
    ["x-a", "1"],
    ["b", "2"],
    ["x-a", "3"],
  ]);
  const seen: string[] = [];
  headers.forEach((value, name) => {
    seen.push(`${name}=${value}`);
  });
  expect(seen).toEqual(["x-a=1", "b=2", "x-a=3"]);
  headers.set("X-a", "9");
  headers.append("New", "4");
  headers.delete("b");
  expect(list.flat).toEqual(["X-A", "9", "New", "4"]);
});
