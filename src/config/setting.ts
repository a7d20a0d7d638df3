// What a setting is: one entry of a command's schema, seen as a row with its flag, environment, default and text. Pure.
// Read by the flag parser, the resolver, --help and the documentation script; the schemas stay plain valibot.
import * as v from "valibot";

/** Written into a schema entry with `v.metadata(…)`. */
export interface SettingMeta {
  /** Long flag without the dashes. Absent: not settable on the command line. */
  readonly flag?: string;
  /** One-letter flag. */
  readonly short?: string;
  /** Environment variables, the first one set wins. */
  readonly env?: readonly string[];
  /** Placeholder of the value in the help (`PORT`). Absent: a boolean flag. */
  readonly value?: string;
  /** Heading in the help. */
  readonly group?: string;
  /** Only in the configuration file: structured values. */
  readonly fileOnly?: boolean;
  /** Only on the command line and in the environment. */
  readonly flagOnly?: boolean;
  /** Works, but is not listed. */
  readonly hidden?: boolean;
}

/** A schema entry with everything that is known of it. */
export interface Setting {
  /** Name in the configuration file and in the parsed configuration. */
  readonly key: string;
  readonly flag: string | undefined;
  readonly short: string | undefined;
  readonly env: readonly string[];
  readonly value: string | undefined;
  readonly group: string;
  readonly description: string;
  /** As written in the schema, before parsing; undefined when there is none. */
  readonly defaultValue: unknown;
  readonly fileOnly: boolean;
  readonly flagOnly: boolean;
  readonly hidden: boolean;
  readonly schema: v.GenericSchema;
}

/** A command's schema: a strict object, with or without checks across its fields behind it. */
export type CommandSchema = v.GenericSchema & { readonly entries: v.ObjectEntries };

/** The heading of settings that name none. */
const DEFAULT_GROUP = "Flags";

/** One row per setting, in the order of the schema. */
export function settingsOf(schema: CommandSchema): Setting[] {
  return Object.entries(schema.entries).map(([key, entry]) => {
    // Entries are synchronous: a GenericSchema has no asynchronous ones.
    const field = entry as v.GenericSchema;
    const meta = v.getMetadata(field) as SettingMeta;
    return {
      key,
      flag: meta.flag,
      short: meta.short,
      env: meta.env ?? [],
      value: meta.value,
      group: meta.group ?? DEFAULT_GROUP,
      description: v.getDescription(field) ?? "",
      defaultValue: v.getDefault(field),
      fileOnly: meta.fileOnly ?? false,
      flagOnly: meta.flagOnly ?? false,
      hidden: meta.hidden ?? false,
      schema: field,
    };
  });
}
