// The executable: finds the verb, runs it, and turns whatever it throws into one clear message and an exit code. Shell.
// Each verb is imported when it is asked for, which keeps `agent init` small and every start fast.
import { type CommandDef, runCommand } from "citty";
import { UsageError } from "./config/errors.ts";
import { suggestion } from "./config/nearest.ts";

const argv = process.argv.slice(2);

const VERBS: Readonly<Record<string, () => Promise<CommandDef>>> = {
  init: async () => (await import("./commands/init.ts")).initCommand,
  rules: async () => (await import("./commands/rules.ts")).rulesCommand,
  proxy: async () => (await import("./commands/proxy.ts")).proxyCommand,
  run: async () => (await import("./commands/run.ts")).runCommand,
  demo: async () => (await import("./commands/demo.ts")).demoCommand,
  version: async () => (await import("./commands/version.ts")).versionCommand,
};

const ROOT: CommandDef = { meta: { name: "agent" }, subCommands: { ...VERBS } };

/** Rewrites the root's own flags and `help` to a verb's arguments; undefined asks for the overview. */
function verbArguments(args: readonly string[]): string[] | undefined {
  const [first, ...rest] = args;
  if (first === undefined || first === "--help" || first === "-h") return undefined;
  if (first === "--version" || first === "-v") return ["version", ...rest];
  if (first === "help") return rest.length === 0 || isHelp(rest[0]!) ? undefined : [rest[0]!, "--help"];
  return [...args];
}

function isHelp(argument: string): boolean {
  return argument === "--help" || argument === "-h";
}

async function main(): Promise<void> {
  const args = verbArguments(argv);
  if (args === undefined) {
    process.stdout.write(await overview());
    return;
  }
  const verb = args[0]!;
  if (!Object.hasOwn(VERBS, verb)) {
    throw new UsageError(
      verb.startsWith("-")
        ? `unknown flag ${verb}${suggestion(verb, ["--help", "--version"])}`
        : `unknown command "${verb}"${suggestion(verb, [...Object.keys(VERBS), "help"])}`,
    );
  }
  await runCommand(ROOT, { rawArgs: args });
}

async function overview(): Promise<string> {
  const { renderOverview } = await import("./config/help.ts");
  const { terminalStyle } = await import("./commands/command.ts");
  const verbs = await Promise.all(
    Object.entries(VERBS).map(async ([name, load]): Promise<[string, string]> => {
      const meta = await (await load()).meta;
      return [name, (typeof meta === "function" ? await meta() : meta)?.description ?? ""];
    }),
  );
  return renderOverview(verbs, terminalStyle());
}

/** Prints what went wrong on stderr; the exit code. */
async function explain(error: unknown): Promise<number> {
  const [{ talk }, { describeFailure }] = await Promise.all([
    import("./commands/talk.ts"),
    import("./commands/failure.ts"),
  ]);
  const verb = argv[0] !== undefined && Object.hasOwn(VERBS, argv[0]) ? argv[0] : undefined;
  const { errors, hint, stack, exitCode } = describeFailure(error, verb, process.env["AGENT_DEBUG"] === "1");
  for (const sentence of errors) talk.error(sentence);
  if (hint !== undefined) talk.info(hint);
  if (stack !== undefined) process.stderr.write(`${stack}\n`);
  return exitCode;
}

/** The reader of a pipe may leave early (`agent rules | head -1`): no error of ours. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit();
  process.stderr.write(`error: the result cannot be written to stdout: ${error.message}\n`);
  process.exit(1);
});

// A bug in a callback, long after the verb began.
for (const event of ["uncaughtException", "unhandledRejection"]) {
  process.on(event, (error: unknown) => void explain(error).then((code) => process.exit(code)));
}

try {
  await main();
} catch (error) {
  process.exitCode = await explain(error);
}
// Whatever a verb forgot to close must not keep the process; what it wrote must still arrive. Only `end` waits for a slow
// pipe: after a callback of `write`, exit() cuts what the pipe's 64 KiB did not take.
await new Promise<void>((resolve) => process.stdout.end(() => resolve()));
process.exit();
