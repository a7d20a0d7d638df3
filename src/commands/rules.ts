// `agent rules`: the live rules with their counters, or, with --dry-run, what `init` with the same flags would do.
import { RulesSchema } from "../config/rules-schema.ts";
import { listTables, renderListing } from "../netfilter/listing.ts";
import { renderCommands, renderRestore } from "../netfilter/render.ts";
import { defineAgentCommand } from "./command.ts";
import { refuseUnsupported, rulesFor } from "./planning.ts";
import { talk } from "./talk.ts";

export const rulesCommand = defineAgentCommand({
  name: "rules",
  summary: "Show the rules: those in force, or what init would do.",
  details:
    "With --dry-run it takes the flags of init, needs neither root nor iptables, and prints one command a line. Without it, the rules in force are listed with their packet and byte counters, which needs root or NET_ADMIN.",
  examples: [
    ["agent rules --dry-run --preset sidecar", "the commands that would make the injector's rules"],
    ["agent rules --dry-run -b '*' --format restore", "the same as input for iptables-restore"],
    ["agent rules", "the rules in force, with counters"],
  ],
  schema: RulesSchema,
  lenientEnvironment: true,
  async run(config, context) {
    refuseUnsupported(config, context);
    if (config.dryRun) {
      const rules = rulesFor(config, context, false);
      process.stdout.write(config.format === "restore" ? renderRestore(rules) : renderCommands(rules));
      return 0;
    }
    // Only the live rules need programs and rights.
    const { readRules } = await import("../netfilter/apply.ts");
    const listing = listTables(await readRules());
    if (listing.length === 0) talk.info("no rules of a sidecar are in force here");
    process.stdout.write(
      config.output === "json" ? `${JSON.stringify({ tables: listing })}\n` : renderListing(listing),
    );
    return 0;
  },
});
