// `agent version` and `agent --version`: what this binary is. Shell. Imports little, so that it answers at once.
import * as v from "valibot";
import packageJson from "../../package.json";
import { defineAgentCommand } from "./command.ts";

const VersionSchema = v.strictObject({
  output: v.pipe(
    v.optional(v.picklist(["text", "json"], "must be text or json"), "text"),
    v.description("Format of the answer; json is stable for scripts."),
    v.metadata({ flag: "output", short: "o", value: "text|json" }),
  ),
});

/** Node's name of the architecture → the name in image platforms and package names. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };

export const versionCommand = defineAgentCommand({
  name: "version",
  summary: "Print the version of the agent and of the runtime inside it.",
  examples: [["agent version -o json", "the same for scripts"]],
  schema: VersionSchema,
  async run({ output }) {
    const { version } = packageJson;
    const architecture = ARCHITECTURES[process.arch] ?? process.arch;
    process.stdout.write(
      output === "json"
        ? `${JSON.stringify({ name: packageJson.name, version, bun: Bun.version, os: process.platform, arch: architecture })}\n`
        : `agent ${version} (${packageJson.name}; Bun ${Bun.version}, ${process.platform}/${architecture})\n`,
    );
    return 0;
  },
});
