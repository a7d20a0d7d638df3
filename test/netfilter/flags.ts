// Flags as a person writes them → the rules that init would plan, through the same parser, schema and plan.
import { parseFlags } from "../../src/config/flags.ts";
import { captureOf, InitSchema } from "../../src/config/init-schema.ts";
import { resolve } from "../../src/config/resolve.ts";
import { settingsOf } from "../../src/config/setting.ts";
import type { CaptureConfig } from "../../src/netfilter/capture-config.ts";
import { planRules } from "../../src/netfilter/plan.ts";
import type { Family, Rule } from "../../src/netfilter/rule.ts";

export interface ReadOptions {
  readonly environment?: Record<string, string>;
  /** Users of the host. */
  readonly users?: Record<string, number>;
}

/** Words of a shell line; single quotes only. */
export function shellWords(text: string): string[] {
  return [...text.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

/** All that reading the flags and variables gives; `capture` is undefined when there are problems. */
export function readFlags(text: string, { environment = {}, users = {} }: ReadOptions = {}) {
  const flags = parseFlags(settingsOf(InitSchema), shellWords(text));
  const sources = { flags: flags.values, environment, documents: [] };
  const resolution = resolve(InitSchema, sources, { lenientEnvironment: true });
  const { config, given, warnings } = resolution;
  const capture = config === undefined ? undefined : captureOf(config, given, (name) => users[name]);
  return { config, given, capture, warnings, problems: [...flags.problems, ...resolution.problems] };
}

export function captureOfFlags(text: string, options?: ReadOptions): CaptureConfig {
  const { capture, problems } = readFlags(text, options);
  if (capture === undefined || problems.length > 0) throw new Error(problems.join("\n"));
  return capture;
}

export function rulesOfFlags(text: string, families: readonly Family[] = [4, 6]): Rule[] {
  return planRules(captureOfFlags(text), families);
}
