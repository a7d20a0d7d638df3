// What a failed command says and its exit code: wrong usage 2, a failure it expected 1, a bug of ours 1. Shell.
// Called by main.ts for whatever a verb throws, then or later.
import { CommandError, UsageError } from "../config/errors.ts";

/** What to print on stderr, and how the process ends. */
export interface Failure {
  readonly exitCode: 1 | 2;
  /** Sentences, printed as errors. */
  readonly errors: readonly string[];
  /** What to do about it. */
  readonly hint: string | undefined;
  /** Printed as it is. */
  readonly stack: string | undefined;
}

/** `verb` is the one that ran, if it got that far; `debug` is AGENT_DEBUG=1, which shows the stack of a bug. */
export function describeFailure(error: unknown, verb: string | undefined, debug: boolean): Failure {
  if (error instanceof UsageError) {
    const hint = `agent ${verb === undefined ? "" : `${verb} `}--help shows what is possible`;
    return { exitCode: 2, errors: error.problems, hint, stack: undefined };
  }
  if (error instanceof CommandError) {
    return { exitCode: 1, errors: [error.message], hint: error.hint, stack: undefined };
  }
  const bug = error instanceof Error ? error : new Error(String(error));
  return {
    exitCode: 1,
    errors: [`agent failed unexpectedly, which is a bug: ${bug.message}`],
    hint: debug ? undefined : "AGENT_DEBUG=1 shows where",
    stack: debug ? bug.stack : undefined,
  };
}
