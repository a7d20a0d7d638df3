// What a verb is made of: a schema, texts and a function; and the frame around it: parse, resolve, run, exit code. Shell.
// citty finds the verb; its own flag parser accepts unknown flags, so the flags are read from the raw arguments here.
import type { CommandDef } from "citty";
import type * as v from "valibot";
import { UsageError } from "../config/errors.ts";
import { parseFlags } from "../config/flags.ts";
import { type HelpTexts, renderHelp } from "../config/help.ts";
import { type Given, resolve, type Sources } from "../config/resolve.ts";
import { type CommandSchema, settingsOf } from "../config/setting.ts";

/** A verb. The help is made of all of it. */
export interface CommandSpec<S extends CommandSchema> extends HelpTexts {
  readonly schema: S;
  /** True: `--config FILE` and PROXY_CONFIG are sources too; the schema then has a `config` setting. */
  readonly file?: boolean;
  /** True: a bad environment variable is warned about and ignored, and one that is set but empty counts as set. */
  readonly lenientEnvironment?: boolean;
  /** Does the work; the exit code. */
  run(config: v.InferOutput<S>, context: CommandContext): Promise<number>;
}

export interface CommandContext {
  /** By key: where a setting's value came from. Settings at their default are not in it. */
  readonly given: ReadonlyMap<string, Given>;
}

/** Makes the citty command of a verb. It leaves its exit code in `process.exitCode`. */
export function defineAgentCommand<const S extends CommandSchema>(spec: CommandSpec<S>): CommandDef {
  return {
    meta: { name: spec.name, description: spec.summary },
    run: async ({ rawArgs }) => {
      process.exitCode = await runCommandSpec(spec, rawArgs);
    },
  };
}

async function runCommandSpec<S extends CommandSchema>(spec: CommandSpec<S>, argv: readonly string[]): Promise<number> {
  const settings = settingsOf(spec.schema);
  const flags = parseFlags(settings, argv);
  if (flags.help) {
    process.stdout.write(renderHelp(spec, settings, terminalStyle()));
    return 0;
  }
  const { documents, problems } = await loadDocuments(spec, flags.values);
  const resolution = resolve(
    spec.schema,
    { flags: flags.values, environment: process.env, documents },
    { lenientEnvironment: spec.lenientEnvironment ?? false },
  );
  if (resolution.warnings.length > 0) {
    const { talk } = await import("./talk.ts");
    for (const warning of resolution.warnings) talk.warn(warning);
  }
  const all = [...flags.problems, ...problems, ...resolution.problems];
  if (all.length > 0) throw new UsageError(all);
  return spec.run(resolution.config as v.InferOutput<S>, { given: resolution.given });
}

/** The YAML reader is loaded by the verbs that have a file only: the others start faster without it. */
async function loadDocuments(
  spec: { readonly file?: boolean },
  flags: Sources["flags"],
): Promise<{ documents: Sources["documents"]; problems: string[] }> {
  if (!spec.file) return { documents: [], problems: [] };
  const load = await import("../config/load.ts");
  return load.loadDocuments(flags, process.env);
}

const DEFAULT_WIDTH = 100;

/** Width and colour of stdout; fixed where it is no terminal, so that a pipe always gets the same text. */
export function terminalStyle(): { width: number; color: boolean } {
  const { isTTY, columns } = process.stdout;
  const color = isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
  return { width: (isTTY && columns) || DEFAULT_WIDTH, color };
}
