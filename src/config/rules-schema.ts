// The settings of `rules`: what `init` takes, so that its words can be tried out unprivileged, and a format. Pure.
import * as v from "valibot";
import { CaptureEntries, LoggingEntries, UnsupportedEntries } from "./init-schema.ts";
import { Bool } from "./units.ts";

export const RulesSchema = v.strictObject({
  dryRun: v.pipe(
    v.optional(Bool, "false"),
    v.description("Print what init with the same flags would do, as commands, and touch nothing."),
    v.metadata({ flag: "dry-run", short: "n", env: ["DRY_RUN"], group: "What is shown" }),
  ),
  format: v.pipe(
    v.optional(v.picklist(["commands", "restore"], "must be commands or restore"), "commands"),
    v.description("With --dry-run: commands for a shell, or input for iptables-restore --noflush."),
    v.metadata({ flag: "format", value: "commands|restore", group: "What is shown" }),
  ),
  output: v.pipe(
    v.optional(v.picklist(["text", "json"], "must be text or json"), "text"),
    v.description("Without --dry-run: how the live rules are listed."),
    v.metadata({ flag: "output", value: "text|json", group: "What is shown" }),
  ),
  ...CaptureEntries,
  ...UnsupportedEntries,
  ...LoggingEntries,
});
