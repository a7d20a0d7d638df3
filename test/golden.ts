// Golden files: what a human has looked at once and a test holds from then on. UPDATE_GOLDEN=1 rewrites them.
import { expect } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const FOLDER = join(import.meta.dir, "golden");

/** Expects `text` to be the content of `test/golden/NAME`, byte for byte. */
export function expectGolden(name: string, text: string): void {
  const file = join(FOLDER, name);
  if (process.env["UPDATE_GOLDEN"] === "1") {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  expect(text).toBe(existsSync(file) ? readFileSync(file, "utf8") : `(no ${file}: run once with UPDATE_GOLDEN=1)`);
}
