// Finds the keys of a configuration file that no schema has, at every depth. Pure. Called by the resolver before parsing,
// because valibot's own check stops at the first one and cannot tell a typing error from a word of Istio's that we lack.
import * as v from "valibot";
import { suggestion } from "./nearest.ts";

/** `v.metadata` of an object schema: keys that Istio has at this place and we do not, so that they are refused by name. */
export interface ObjectMeta {
  readonly unsupported?: readonly string[];
}

export type Path = readonly (string | number)[];

export interface UnknownKey {
  readonly path: Path;
  /** What to say after the position and the path. */
  readonly message: string;
}

/** Every unknown key of `input` under `schema`, in the order of the file. */
export function unknownKeys(schema: v.GenericSchema, input: unknown, path: Path = []): UnknownKey[] {
  if (isOptional(schema)) return unknownKeys(schema.wrapped, input, path);
  if (isArraySchema(schema)) {
    if (!Array.isArray(input)) return [];
    return input.flatMap((item, index) => unknownKeys(schema.item, item, [...path, index]));
  }
  if (!isObjectSchema(schema) || typeof input !== "object" || input === null || Array.isArray(input)) return [];
  const { unsupported = [] } = v.getMetadata(schema) as ObjectMeta;
  return Object.entries(input).flatMap(([key, value]): UnknownKey[] => {
    const entry = Object.hasOwn(schema.entries, key) ? schema.entries[key] : undefined;
    if (entry !== undefined) return unknownKeys(entry, value, [...path, key]);
    const message = unsupported.includes(key)
      ? "known to Istio, not supported yet"
      : `unknown key${suggestion(key, [...Object.keys(schema.entries), ...unsupported])}`;
    return [{ path: [...path, key], message }];
  });
}

/** `input` without the keys found, so that parsing reports the other problems only. */
export function withoutKeys(input: unknown, found: readonly Path[]): unknown {
  const here = new Set(found.filter((path) => path.length === 1).map(([key]) => key));
  const below = (key: string | number) =>
    found.filter((path) => path.length > 1 && path[0] === key).map((path) => path.slice(1));
  if (Array.isArray(input)) return input.map((item, index) => withoutKeys(item, below(index)));
  if (typeof input !== "object" || input === null) return input;
  return Object.fromEntries(
    Object.entries(input)
      .filter(([key]) => !here.has(key))
      .map(([key, value]) => [key, withoutKeys(value, below(key))]),
  );
}

type Entries = Readonly<Record<string, v.GenericSchema>>;

function isOptional(schema: v.GenericSchema): schema is v.GenericSchema & { wrapped: v.GenericSchema } {
  return schema.type === "optional";
}

function isArraySchema(schema: v.GenericSchema): schema is v.GenericSchema & { item: v.GenericSchema } {
  return schema.type === "array";
}

function isObjectSchema(schema: v.GenericSchema): schema is v.GenericSchema & { entries: Entries } {
  return schema.type === "strict_object";
}
