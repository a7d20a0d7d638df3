// The two expected ways a command ends badly. Anything else that is thrown is a bug of ours. Pure.
// main.ts prints them; commands throw them.

/** Wrong flags or configuration: exit code 2. Holds every problem found, one sentence each, by the name the user typed. */
export class UsageError extends Error {
  override name = "UsageError";
  readonly problems: string[];

  constructor(problems: string | string[], options?: ErrorOptions) {
    const list = typeof problems === "string" ? [problems] : problems;
    super(list.join("\n"), options);
    this.problems = list;
  }
}

/** The command was understood and could not be done: exit code 1. One sentence; `hint` says what to do about it. */
export class CommandError extends Error {
  override name = "CommandError";
  readonly hint?: string;

  constructor(message: string, options?: ErrorOptions & { hint?: string }) {
    super(message, options);
    if (options?.hint !== undefined) this.hint = options.hint;
  }
}
