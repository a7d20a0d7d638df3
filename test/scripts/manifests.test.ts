// The manifests of k8s/ name the image that scripts/image makes.
import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import pkg from "../../package.json";

const DIRECTORY = join(import.meta.dir, "../../k8s");

test.each(readdirSync(DIRECTORY).filter((name) => name.endsWith(".yaml")))(
  "%s: valid YAML, and our image has this version",
  (name) => {
    const text = readFileSync(join(DIRECTORY, name), "utf8");
    for (const document of parseAllDocuments(text)) expect(document.errors).toEqual([]);
    const tags = [...text.matchAll(/image: localhost\/pilotfish:(\S+)/g)].map((match) => match[1]);
    expect(new Set(tags)).toEqual(new Set([pkg.version]));
  },
);
