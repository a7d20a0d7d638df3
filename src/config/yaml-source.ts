// YAML text of a configuration → values, with the position of every key and value for the messages. Pure.
// YAML 1.2 core schema: `yes` and `0777` are text. A key without a value counts as not there.
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseAllDocuments, visit } from "yaml";
import type { Path } from "./unknown-keys.ts";

/** A configuration text that could be read. */
export interface YamlSource {
  /** As messages show it: the file's path as the user typed it, or `PROXY_CONFIG`. */
  readonly name: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** Offset in the text of the value at this path (of its key when `part` is "key"), or of the nearest thing above it. */
  offset(path: Path, part: "key" | "value"): number;
  /** `name:line:column` of an offset. */
  position(offset: number): string;
}

/** Reads one YAML document that is a mapping; an empty text is an empty mapping. */
export function parseYamlSource(name: string, text: string): { source: YamlSource } | { problems: string[] } {
  const lines = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${line}:${col}`;
  };
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const errors = documents.flatMap((document) => document.errors);
  if (errors.length > 0) return { problems: errors.map((error) => `${at(error.pos[0])}: ${error.message}`) };
  const [document, second] = documents;
  if (second !== undefined) return { problems: [`${at(second.range[0])}: only one YAML document is read here`] };
  if (document === undefined || document.contents === null || isNullScalar(document.contents)) {
    return { source: { name, values: {}, offset: () => 0, position: at } };
  }
  const root = document.contents;
  if (!isMap(root)) {
    return { problems: [`${at(root.range?.[0] ?? 0)}: must be a mapping of settings, such as "statusPort: 15020"`] };
  }
  const lost: number[] = [];
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) === undefined) lost.push(alias.range?.[0] ?? 0);
    },
  });
  if (lost.length > 0)
    return { problems: lost.map((offset) => `${at(offset)}: an alias of an anchor that is not there`) };
  let values: unknown;
  try {
    values = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return { problems: [`${name}: ${error instanceof Error ? error.message : String(error)}`] };
  }

  const offset = (path: Path, part: "key" | "value"): number => {
    let node: Node = root;
    let found = root.range?.[0] ?? 0;
    for (const [depth, step] of path.entries()) {
      const target = isAlias(node) ? node.resolve(document) : node;
      if (isSeq(target) && typeof step === "number") {
        const item = target.items[step] as Node | undefined;
        if (item === undefined) break;
        node = item;
      } else if (isMap(target)) {
        const pair = target.items.find(({ key }) => (isScalar(key) ? String(key.value) : "") === String(step)) as
          | Pair<Node, Node | null>
          | undefined;
        if (pair === undefined) break;
        node = part === "key" && depth === path.length - 1 ? pair.key : (pair.value ?? pair.key);
      } else {
        break;
      }
      found = node.range?.[0] ?? found;
    }
    return found;
  };
  return { source: { name, values: withoutNulls(values) as Record<string, unknown>, offset, position: at } };
}

function isNullScalar(node: unknown): boolean {
  return isScalar(node) && node.value === null;
}

/** Null becomes undefined in mappings, which schemas take as absent; the key stays, so that a misspelt one is found. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, inner === null ? undefined : withoutNulls(inner)]),
  );
}
