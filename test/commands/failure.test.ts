import { expect, test } from "bun:test";
import { describeFailure, type Failure } from "../../src/commands/failure.ts";
import { CommandError, UsageError } from "../../src/config/errors.ts";

test.each<[string, unknown, string | undefined, Partial<Failure>]>([
  [
    "wrong usage of a verb",
    new UsageError(["a", "b"]),
    "proxy",
    { exitCode: 2, errors: ["a", "b"], hint: "agent proxy --help shows what is possible" },
  ],
  [
    "wrong usage before a verb",
    new UsageError("a"),
    undefined,
    { exitCode: 2, errors: ["a"], hint: "agent --help shows what is possible" },
  ],
  [
    "a failure",
    new CommandError("port 1 is in use"),
    "proxy",
    { exitCode: 1, errors: ["port 1 is in use"], hint: undefined },
  ],
  [
    "a failure with a hint",
    new CommandError("needs root", { hint: "use sudo" }),
    "init",
    { exitCode: 1, errors: ["needs root"], hint: "use sudo" },
  ],
  [
    "a bug",
    new TypeError("x is undefined"),
    "proxy",
    {
      exitCode: 1,
      errors: ["agent failed unexpectedly, which is a bug: x is undefined"],
      hint: "AGENT_DEBUG=1 shows where",
    },
  ],
  [
    "something else thrown",
    "text",
    "proxy",
    { exitCode: 1, errors: ["agent failed unexpectedly, which is a bug: text"] },
  ],
])("%s", (_name, error, verb, failure) => {
  expect(describeFailure(error, verb, false)).toMatchObject({ ...failure, stack: undefined });
});

test("debugging shows the stack of a bug, and of nothing else", () => {
  expect(describeFailure(new Error("x"), "proxy", true)).toMatchObject({
    hint: undefined,
    stack: expect.stringContaining("failure.test.ts"),
  });
  expect(describeFailure(new UsageError("x"), "proxy", true).stack).toBeUndefined();
  expect(describeFailure(new CommandError("x"), "proxy", true).stack).toBeUndefined();
});
