// What commands say to the person: consola, on stderr always, so that stdout is the result alone. Shell.
// One line a message, the same in a terminal, a pod's log and a pipe; only colour differs. Never on the request path.
import { type ConsolaReporter, createConsola, type LogType } from "consola/core";

/** What a line begins with, and its SGR colour. */
const PREFIXES: Readonly<Partial<Record<LogType, readonly [text: string, color: number]>>> = {
  fatal: ["error: ", 31],
  error: ["error: ", 31],
  warn: ["warning: ", 33],
  success: ["✔ ", 32],
  fail: ["✖ ", 31],
  start: ["… ", 36],
  debug: ["debug: ", 90],
};

const hasColor = process.stderr.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";

const lines: ConsolaReporter = {
  log({ type, args }) {
    const [prefix, color] = PREFIXES[type] ?? ["", 0];
    const text = args.map((part) => (part instanceof Error ? part.message : String(part))).join(" ");
    process.stderr.write(`${hasColor && prefix !== "" ? `\x1b[${color}m${prefix}\x1b[39m` : prefix}${text}\n`);
  },
};

export const talk = createConsola({ reporters: [lines] });
