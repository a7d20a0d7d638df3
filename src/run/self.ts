// How this program starts itself again: the helpers of `run` and `demo` are the same executable in another role. Shell.

/** Bun's own switch would make the compiled executable run foreign code instead of ours. */
const FOREIGN = ["BUN_BE_BUN"];

/**
 * The words that start this executable; the verb and its flags follow. `executable` is where the starter finds it:
 * /proc/self/exe works for a direct child even when the file was replaced or removed since, as an upgrade does.
 */
export function selfCommand(executable = process.execPath): string[] {
  const isCompiled = Bun.main.startsWith("/$bunfs/");
  return isCompiled ? [executable] : [executable, Bun.main];
}

/** The environment for it. */
export function selfEnvironment(): Record<string, string> {
  const inherited = Object.entries(process.env).filter(([name]) => !FOREIGN.includes(name));
  return Object.fromEntries(inherited.filter((entry): entry is [string, string] => entry[1] !== undefined));
}
