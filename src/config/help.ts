// The text of `agent VERB --help`, made from the verb's schema. Pure: width and colour are arguments.
import type { Setting } from "./setting.ts";

/** What the help shows of a command besides its settings. */
export interface HelpTexts {
  readonly name: string;
  readonly summary: string;
  readonly details?: string;
  readonly examples: readonly (readonly [command: string, does: string])[];
  /** Whether `--config` and PROXY_CONFIG are sources too. */
  readonly file?: boolean;
}

export interface HelpStyle {
  /** Columns of the terminal. */
  readonly width: number;
  readonly color: boolean;
}

const EXECUTABLE = "agent";
/** Column of the descriptions; longer flags push theirs to the next line. */
const MAX_TERM_WIDTH = 36;
const MIN_WIDTH = 60;
/** Longer lines are hard to read, however wide the terminal. */
const MAX_WIDTH = 110;

/** The whole text, with a line end. */
export function renderHelp(texts: HelpTexts, settings: readonly Setting[], style: HelpStyle): string {
  const width = Math.min(Math.max(style.width, MIN_WIDTH), MAX_WIDTH);
  const heading = (text: string) => (style.color ? `\x1b[1m${text}\x1b[22m` : text);
  const flags = settings.filter((setting) => !setting.fileOnly && !setting.hidden);
  const fileOnly = settings.filter((setting) => setting.fileOnly && !setting.hidden);

  const rows = new Map<string, [term: string, text: string][]>();
  const addRow = (group: string, term: string, text: string) =>
    rows.set(group, [...(rows.get(group) ?? []), [term, text]]);
  for (const setting of flags) addRow(setting.group, flagTerm(setting), flagText(setting));
  for (const setting of fileOnly) addRow("Only in the configuration file", setting.key, setting.description);
  addRow("Help", "-h, --help", "Print this text.");
  const terms = [...rows.values()].flat().map(([term]) => term.length);
  const column = Math.min(MAX_TERM_WIDTH, Math.floor(width / 2) - 4, Math.max(...terms)) + 4;
  const hasBooleans = flags.some(({ flag, value }) => flag !== undefined && value === undefined);
  const sources = [...(texts.file ? [ORDER_WITH_FILE] : []), ...(hasBooleans ? [BOOLEANS] : [])];

  const blocks = [
    wrap(`${EXECUTABLE} ${texts.name}: ${texts.summary}`, width, ""),
    `${heading("Usage")}\n  ${EXECUTABLE} ${texts.name} [flags]`,
    ...(texts.details === undefined ? [] : [wrap(texts.details, width, "")]),
    ...[...rows].map(([group, list]) =>
      [heading(group), ...list.map((row) => renderRow(row, column, width))].join("\n"),
    ),
    ...(sources.length === 0 ? [] : [wrap(sources.join(" "), width, "")]),
    ...(texts.examples.length === 0 ? [] : [`${heading("Examples")}\n${renderExamples(texts.examples, width)}`]),
  ];
  return `${blocks.join("\n\n")}\n`;
}

const PURPOSE =
  "a service-mesh sidecar in one executable: the rules that capture the traffic of a pod or machine, and the proxy they lead to";

/** The text of `agent --help`: every verb in a line. */
export function renderOverview(verbs: readonly (readonly [name: string, summary: string])[], style: HelpStyle): string {
  const heading = (text: string) => (style.color ? `\x1b[1m${text}\x1b[22m` : text);
  const width = Math.min(Math.max(style.width, MIN_WIDTH), MAX_WIDTH);
  const column = Math.max(...verbs.map(([name]) => name.length)) + 4;
  return [
    wrap(`${EXECUTABLE}: ${PURPOSE}`, width, ""),
    `${heading("Usage")}\n  ${EXECUTABLE} COMMAND [flags]`,
    [heading("Commands"), ...verbs.map((row) => renderRow(row, column, width))].join("\n"),
    `${EXECUTABLE} COMMAND --help shows the flags of a command.\n`,
  ].join("\n\n");
}

const ORDER_WITH_FILE =
  "Settings come from, the later the stronger: defaults, the file of --config, the YAML text in PROXY_CONFIG, " +
  "environment variables, flags.";
const BOOLEANS = "A flag without a value also takes =false, and can be written --no-FLAG.";

/** Keeps the words of one fact on one line; wrap() makes it a space. */
const NO_BREAK = "\u00a0";

/** A setting without a flag goes by its variable. */
function flagTerm({ short, flag, value, env }: Setting): string {
  if (flag === undefined) return `    ${env[0] ?? ""}${value === undefined ? "" : `=${value}`}`;
  return `${short === undefined ? "    " : `-${short}, `}--${flag}${value === undefined ? "" : ` ${value}`}`;
}

function flagText({ description, defaultValue, env, flag, value }: Setting): string {
  const variables = flag === undefined ? env.slice(1) : env;
  const facts = [
    ...(defaultText(defaultValue, value === undefined) ?? []),
    ...(variables.length === 0 ? [] : [`env ${variables.join(", ")}`]),
  ];
  return facts.length === 0
    ? description
    : `${description} [${facts.map((fact) => fact.replaceAll(" ", NO_BREAK)).join("; ")}]`;
}

/** An empty default and a boolean that is off say nothing a reader would miss. */
function defaultText(value: unknown, isBoolean: boolean): [string] | undefined {
  if (value === undefined || value === "" || (isBoolean && String(value) === "false")) return undefined;
  return [`default ${String(value)}`];
}

function renderRow([term, text]: readonly [string, string], column: number, width: number): string {
  const lines = wrap(text, width, " ".repeat(column));
  const head = `  ${term}`;
  return head.length + 2 > column ? `${head}\n${lines}` : head + lines.slice(head.length);
}

function renderExamples(examples: HelpTexts["examples"], width: number): string {
  return examples.map(([command, does]) => `  ${command}\n${wrap(does, width, " ".repeat(6))}`).join("\n");
}

/** Breaks at spaces so that no line is longer than `width`, unless a single word is; keeps the text's own line ends. */
function wrap(text: string, width: number, indent: string): string {
  return text
    .split("\n")
    .map((paragraph) => {
      const lines: string[] = [];
      let line = "";
      for (const word of paragraph.split(" ")) {
        const longer = line === "" ? word : `${line} ${word}`;
        if (line !== "" && indent.length + longer.length > width) {
          lines.push(indent + line);
          line = word;
        } else {
          line = longer;
        }
      }
      lines.push(line === "" ? "" : indent + line);
      return lines.join("\n").replaceAll(NO_BREAK, " ");
    })
    .join("\n");
}
