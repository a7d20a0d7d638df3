// The settings of `agent demo`. The hidden ones start the same executable as one of the demo's own helpers. Pure.
import * as v from "valibot";
import { Bool, Port } from "./units.ts";

export const DemoSchema = v.strictObject({
  keep: v.pipe(
    v.optional(Bool, "false"),
    v.description("Leave the pod running until Ctrl-C, and print how to look around."),
    v.metadata({ flag: "keep" }),
  ),
  output: v.pipe(
    v.optional(v.picklist(["text", "json"], "must be text or json"), "text"),
    v.description("A story for a reader, or one JSON object for scripts."),
    v.metadata({ flag: "output", short: "o", value: "text|json" }),
  ),
  role: v.pipe(
    v.optional(
      v.picklist(["director", "application", "client"], "must be director, application or client"),
      "director",
    ),
    v.description("Which part of the demo this process plays."),
    v.metadata({ flag: "role", value: "ROLE", hidden: true }),
  ),
  listen: v.pipe(
    v.optional(Port, "80"),
    v.description("The application's port."),
    v.metadata({ flag: "listen", value: "PORT", hidden: true }),
  ),
  requests: v.pipe(
    v.optional(v.string(), "[]"),
    v.description("What the client sends: JSON."),
    v.metadata({ flag: "requests", value: "JSON", hidden: true }),
  ),
});
