// The command line of one verb, read strictly by its settings: argv → raw text by setting. Pure; no types are parsed here.
// The rules are pflag's, which Istio's commands use, so that an injected `args:` list means the same here.
import { suggestion } from "./nearest.ts";
import type { Setting } from "./setting.ts";

/** The raw text of a flag, and the flag as the user spelled it (`--statusPort`, `-p`). */
export interface RawFlag {
  readonly text: string;
  readonly name: string;
}

export interface ParsedFlags {
  /** By key of the setting; a repeated flag's last value. Booleans are "true", "false" or the text after `=`. */
  readonly values: ReadonlyMap<string, RawFlag>;
  /** `--help` or `-h` was there. */
  readonly help: boolean;
  readonly problems: readonly string[];
}

/** Reads the arguments after the verb. Empty values (`-x ''`) are legal; positional arguments are not. */
export function parseFlags(settings: readonly Setting[], argv: readonly string[]): ParsedFlags {
  return new FlagReader(settings, argv).read();
}

class FlagReader {
  readonly #argv: readonly string[];
  readonly #byLongName = new Map<string, Setting>();
  readonly #byShortName = new Map<string, Setting>();
  /** Names for suggestions: visible flags only, kebab-case. */
  readonly #visible: string[] = ["help"];
  readonly #values = new Map<string, RawFlag>();
  readonly #problems: string[] = [];
  #at = 0;
  #help = false;

  constructor(settings: readonly Setting[], argv: readonly string[]) {
    this.#argv = argv;
    for (const setting of settings) {
      if (setting.flag === undefined) continue;
      this.#byLongName.set(setting.flag, setting);
      this.#byLongName.set(setting.key, setting);
      if (setting.short !== undefined) this.#byShortName.set(setting.short, setting);
      if (!setting.hidden) this.#visible.push(setting.flag);
    }
  }

  read(): ParsedFlags {
    while (this.#at < this.#argv.length) {
      const argument = this.#argv[this.#at++]!;
      if (argument === "--") {
        for (const rest of this.#argv.slice(this.#at)) this.#stray(rest);
        break;
      }
      if (argument.startsWith("--")) this.#long(argument);
      else if (argument.startsWith("-") && argument !== "-") this.#shorts(argument);
      else this.#stray(argument);
    }
    return { values: this.#values, help: this.#help, problems: this.#problems };
  }

  #long(argument: string): void {
    const equals = argument.indexOf("=");
    const typed = equals < 0 ? argument : argument.slice(0, equals);
    const text = equals < 0 ? undefined : argument.slice(equals + 1);
    const name = typed.slice(2);
    const setting = this.#byLongName.get(name);
    if (setting !== undefined) {
      if (text === undefined && setting.value === undefined) this.#set(setting, typed, "true");
      else this.#set(setting, typed, text ?? this.#next(typed, setting));
      return;
    }
    if (name === "help") {
      this.#help = true;
      return;
    }
    const negated = name.startsWith("no-") ? this.#byLongName.get(name.slice(3)) : undefined;
    if (negated === undefined) {
      this.#problems.push(`unknown flag ${typed}${suggestion(name, this.#visible, (flag) => `--${flag}`)}`);
      // What follows is most likely its value, and not worth a second complaint.
      if (text === undefined && this.#argv[this.#at]?.startsWith("-") === false) this.#at++;
    } else if (negated.value !== undefined) {
      this.#problems.push(
        `${typed}: only a flag without a value can be negated; use --${negated.flag} ${negated.value}`,
      );
    } else if (text !== undefined) {
      this.#problems.push(`${typed} takes no value; use --${negated.flag}=${text}`);
    } else {
      this.#set(negated, typed, "false");
    }
  }

  /** `-p 1`, `-p1`, `-p=1`, and booleans in a row: `-nv`. */
  #shorts(argument: string): void {
    for (let at = 1; at < argument.length; at++) {
      const letter = argument[at]!;
      const typed = `-${letter}`;
      const setting = this.#byShortName.get(letter);
      const rest = argument.slice(at + 1);
      if (setting === undefined && letter === "h") {
        this.#help = true;
        continue;
      }
      if (setting === undefined) {
        // One dash before a long name is the likelier slip: -inbound-port for --inbound-port.
        const long = argument.slice(1).replace(/=.*$/s, "");
        const hint = this.#byLongName.has(long) ? `; did you mean --${long}?` : "";
        this.#problems.push(`unknown flag ${at === 1 && hint !== "" ? `-${long}` : `${typed} in ${argument}`}${hint}`);
        return;
      }
      if (setting.value === undefined && !rest.startsWith("=")) {
        this.#set(setting, typed, "true");
        continue;
      }
      if (rest === "") this.#set(setting, typed, this.#next(typed, setting));
      else this.#set(setting, typed, rest.startsWith("=") ? rest.slice(1) : rest);
      return;
    }
  }

  /** The argument after a flag, unless there is none or it is plainly the next flag. */
  #next(typed: string, setting: Setting): string | undefined {
    const following = this.#argv[this.#at];
    if (following === undefined || this.#isFlag(following)) {
      const instead =
        following === undefined ? "" : `, but ${following} follows; if that is the value, write ${typed}=${following}`;
      this.#problems.push(`${typed} needs a value: ${typed} ${setting.value}${instead}`);
      return undefined;
    }
    this.#at++;
    return following;
  }

  #isFlag(argument: string): boolean {
    if (argument.startsWith("--")) return this.#byLongName.has(argument.slice(2).replace(/=.*$/s, ""));
    return argument.length === 2 && argument[0] === "-" && this.#byShortName.has(argument[1]!);
  }

  #set(setting: Setting, name: string, text: string | undefined): void {
    if (text !== undefined) this.#values.set(setting.key, { text, name });
  }

  #stray(argument: string): void {
    const before = this.#argv[this.#argv.indexOf(argument) - 1] ?? "";
    const isBoolean = this.#byLongName.get(before.replace(/^--/, ""))?.value === undefined && this.#isFlag(before);
    const hint = isBoolean && /^(true|false)$/i.test(argument) ? `; write ${before}=${argument}` : "";
    this.#problems.push(`unexpected argument "${argument}"${hint}`);
  }
}
