// Reads the files and variables that a command's settings come from and hands their text to the resolver. Shell.
import { readFileSync } from "node:fs";
import type { ParsedFlags } from "./flags.ts";
import type { Sources } from "./resolve.ts";
import { parseYamlSource } from "./yaml-source.ts";

/** The variable with YAML text in place of a file, as Istio's injector sets it. */
const PROXY_CONFIG = "PROXY_CONFIG";

/** The YAML sources: the file of `--config` and the variable PROXY_CONFIG; what cannot be read is a problem. */
export function loadDocuments(
  flags: ParsedFlags["values"],
  environment: Sources["environment"],
): { documents: Sources["documents"]; problems: string[] } {
  const documents: Sources["documents"][number][] = [];
  const problems: string[] = [];
  const add = (kind: "file" | "PROXY_CONFIG", name: string, text: string) => {
    const parsed = parseYamlSource(name, text);
    if ("source" in parsed) documents.push({ kind, yaml: parsed.source });
    else problems.push(...parsed.problems);
  };

  const file = flags.get("config");
  if (file !== undefined) {
    try {
      add("file", file.text, readFileSync(file.text, "utf8"));
    } catch (error) {
      problems.push(`${file.name} ${JSON.stringify(file.text)}: ${unreadable(error)}`);
    }
  }
  const inline = environment[PROXY_CONFIG];
  if (inline !== undefined && inline !== "") add(PROXY_CONFIG, PROXY_CONFIG, inline);
  return { documents, problems };
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "this user may not read the file",
  EISDIR: "is a directory, not a file",
};

function unreadable(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return REASONS[code] ?? `cannot be read (${code || String(error)})`;
}
