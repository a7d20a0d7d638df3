// Merges the sources of a command's settings and parses them: defaults < file < PROXY_CONFIG < environment < flags. Pure.
// Reports every problem at once, each by the name the user typed. Reading files and the environment is load.ts's.
import * as v from "valibot";
import type { RawFlag } from "./flags.ts";
import { type CommandSchema, type Setting, settingsOf } from "./setting.ts";
import { type Path, unknownKeys, withoutKeys } from "./unknown-keys.ts";
import type { YamlSource } from "./yaml-source.ts";

export type SourceKind = "flag" | "env" | "file" | "PROXY_CONFIG";

/** Where a setting's value came from; settings at their default have none. */
export interface Given {
  readonly source: SourceKind;
  /** As the user typed it: `--statusPort`, `-p`, `STATUS_PORT`, `pilotfish.yaml:3:13: statusPort`. */
  readonly name: string;
}

export interface Sources {
  readonly flags: ReadonlyMap<string, RawFlag>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** YAML sources, the weakest first. */
  readonly documents: readonly { readonly kind: "file" | "PROXY_CONFIG"; readonly yaml: YamlSource }[];
}

export interface ResolveOptions {
  /**
   * Istio's way for its rules: a bad variable is ignored (we warn), and one that is set but empty counts as set.
   * Otherwise a bad variable is a problem, and an empty one is not there.
   */
  readonly lenientEnvironment?: boolean;
}

export interface Resolution<T> {
  /** Undefined when there are problems. */
  readonly config: T | undefined;
  readonly given: ReadonlyMap<string, Given>;
  readonly warnings: readonly string[];
  readonly problems: readonly string[];
}

/**
 * Parses all sources under `schema`. Files are checked whole, even where something stronger overrides them; a variable is
 * not looked at where a flag is given. A stronger source replaces a setting as a whole: lists and mappings are not merged.
 *
 * Checks across fields (actions behind the schema's object) write `{key}` in their messages for a setting's name.
 */
export function resolve<S extends CommandSchema>(
  schema: S,
  sources: Sources,
  options: ResolveOptions = {},
): Resolution<v.InferOutput<S>> {
  const settings = settingsOf(schema);
  const resolver = new Resolver(settings, options.lenientEnvironment ?? false);
  for (const { kind, yaml } of sources.documents) resolver.addDocument(schema, kind, yaml);
  for (const setting of settings) {
    const flag = sources.flags.get(setting.key);
    if (flag === undefined) resolver.addEnvironment(setting, sources.environment);
    else resolver.addText(setting, "flag", flag.name, flag.text);
  }
  return resolver.finish(schema);
}

class Resolver {
  readonly #raw = new Map<string, unknown>();
  readonly #given = new Map<string, Given>();
  readonly #warnings: string[] = [];
  readonly #problems: string[] = [];
  /** Settings with a problem: what a check across fields says about them would mislead. */
  readonly #broken = new Set<string>();
  readonly #byKey: ReadonlyMap<string, Setting>;
  readonly #lenient: boolean;

  constructor(settings: readonly Setting[], lenient: boolean) {
    this.#byKey = new Map(settings.map((setting) => [setting.key, setting]));
    this.#lenient = lenient;
  }

  addDocument(schema: CommandSchema, source: "file" | "PROXY_CONFIG", yaml: YamlSource): void {
    const found: { offset: number; text: string }[] = [];
    const report = (path: Path, part: "key" | "value", message: string) => {
      found.push({ offset: yaml.offset(path, part), text: `${pathText(path)}: ${message}` });
    };
    const unknown = unknownKeys(schema, yaml.values);
    for (const { path, message } of unknown) report(path, "key", message);
    const known = withoutKeys(
      yaml.values,
      unknown.map(({ path }) => path),
    );
    for (const [key, value] of Object.entries(known as Record<string, unknown>)) {
      const setting = this.#byKey.get(key)!;
      if (value === undefined) continue;
      if (setting.flagOnly) {
        report([key], "key", "only a flag, not a key of a file");
        continue;
      }
      const parsed = v.safeParse(setting.schema, value);
      if (parsed.success) {
        this.#accept(key, value, { source, name: `${yaml.position(yaml.offset([key], "value"))}: ${key}` });
        continue;
      }
      this.#broken.add(key);
      for (const issue of parsed.issues) report([key, ...pathOf(issue)], "value", messageOf(issue));
    }
    // In the order of the text, which is how a reader fixes them.
    found.sort((one, other) => one.offset - other.offset);
    for (const { offset, text } of found) this.#problems.push(`${yaml.position(offset)}: ${text}`);
  }

  /** The first variable of the setting that is set and, where bad ones are ignored, good. */
  addEnvironment(setting: Setting, environment: Sources["environment"]): void {
    for (const name of setting.env) {
      const text = environment[name];
      if (text === undefined || (text === "" && !this.#lenient)) continue;
      if (isServiceLink(name, text)) {
        this.#warnings.push(`${name}=${quote(text)} is ignored: Kubernetes sets it for a service of that name`);
        continue;
      }
      if (this.addText(setting, "env", name, text)) return;
    }
  }

  /** Parses the text of a flag or variable; false when it was refused. */
  addText(setting: Setting, source: "flag" | "env", name: string, text: string): boolean {
    const parsed = v.safeParse(setting.schema, text);
    if (parsed.success) {
      this.#accept(setting.key, text, { source, name });
      return true;
    }
    const problem = `${name}${source === "env" ? "=" : " "}${quote(text)}: ${messageOf(parsed.issues[0])}`;
    if (source === "env" && this.#lenient) {
      this.#warnings.push(`${problem}; ignored`);
    } else {
      this.#problems.push(problem);
      this.#broken.add(setting.key);
    }
    return false;
  }

  finish<S extends CommandSchema>(schema: S): Resolution<v.InferOutput<S>> {
    const parsed = v.safeParse(schema, Object.fromEntries(this.#raw));
    for (const issue of parsed.issues ?? []) {
      const [first] = pathOf(issue);
      const message = messageOf(issue);
      const mentioned = [...message.matchAll(/\{(\w+)\}/g)]
        .map(([, key]) => key!)
        .concat(first === undefined ? [] : [String(first)]);
      if (mentioned.some((key) => this.#broken.has(key))) continue;
      const sentence = message.replace(/\{(\w+)\}/g, (_, key: string) => this.#nameOf(key));
      this.#problems.push(first === undefined ? sentence : `${this.#nameOf(String(first))}: ${sentence}`);
    }
    return {
      config: parsed.success && this.#problems.length === 0 ? parsed.output : undefined,
      given: this.#given,
      warnings: this.#warnings,
      problems: this.#problems,
    };
  }

  #accept(key: string, value: unknown, given: Given): void {
    this.#raw.set(key, value);
    this.#given.set(key, given);
  }

  #nameOf(key: string): string {
    const given = this.#given.get(key)?.name;
    if (given !== undefined) return given;
    const setting = this.#byKey.get(key);
    const name = setting?.flag === undefined ? key : `--${setting.flag}`;
    return setting?.defaultValue === undefined ? name : `${name} (by default)`;
  }
}

/** The variable that Kubernetes gives every container for a Service: STATUS_PORT for a service named "status". */
function isServiceLink(name: string, text: string): boolean {
  return name.endsWith("_PORT") && /^(?:tcp|udp|sctp):\/\/\S+:\d+$/.test(text);
}

type Issue = v.BaseIssue<unknown>;

function pathOf(issue: Issue): (string | number)[] {
  return (issue.path ?? []).map(({ key }) => (typeof key === "number" ? key : String(key)));
}

/** `inbound.http[0].match`. */
function pathText(path: Path): string {
  return path.map((step, depth) => (typeof step === "number" ? `[${step}]` : depth === 0 ? step : `.${step}`)).join("");
}

/** The schemas' own messages, and words of ours where valibot would speak of its types. */
function messageOf(issue: Issue): string {
  if (!issue.message.startsWith("Invalid ")) return issue.message;
  if (issue.type === "strict_object" && issue.input === undefined) return "is missing";
  if (issue.type === "strict_object" || issue.type === "record") return "must be a mapping of keys to values";
  if (issue.type === "array") return "must be a list";
  return `must be ${issue.expected ?? "something else"}, not ${issue.received}`;
}

const MAX_QUOTED = 60;

/** The value in quotes, control characters escaped, cut when long. */
function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED)}…` : text);
}
