// What the guardian must know to clean up: one line of JSON on a pipe, each replacing the last. Pure.
import * as v from "valibot";

export const WatchStateSchema = v.strictObject({
  proxy: v.nullable(v.strictObject({ pid: v.number(), startTime: v.string() })),
  /** Whether rules of ours are in the kernel; pending: they are being made. */
  rules: v.picklist(["none", "pending", "there"]),
  /** See midstream.ts. */
  midstream: v.nullable(v.string()),
  /** How long the proxy may take to end, milliseconds. */
  drainMs: v.number(),
  /** The parent asks for the end; otherwise it was killed. */
  isOrderly: v.boolean(),
});
export type WatchState = v.InferOutput<typeof WatchStateSchema>;

export function formatWatchState(state: WatchState): string {
  return `${JSON.stringify(state)}\n`;
}

/** The last whole line of what came through the pipe; a half one was being written when the parent was killed. */
export function lastWatchState(received: string): WatchState | undefined {
  const line = received
    .slice(0, received.lastIndexOf("\n") + 1)
    .trimEnd()
    .split("\n")
    .at(-1);
  return line ? v.parse(WatchStateSchema, JSON.parse(line)) : undefined;
}
