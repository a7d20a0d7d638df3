// `agent init`: programs the netfilter rules that lead a pod's traffic to the proxy, or removes them.
import { captureOf, InitSchema } from "../config/init-schema.ts";
import { applyRules, removalText, removeRules } from "../netfilter/apply.ts";
import { userId } from "../netfilter/host.ts";
import { listTables, renderListing } from "../netfilter/listing.ts";
import { planRules } from "../netfilter/plan.ts";
import { renderCommands } from "../netfilter/render.ts";
import { defineAgentCommand } from "./command.ts";
import { refuseUnsupported, rulesFor } from "./planning.ts";
import { talk } from "./talk.ts";

export const initCommand = defineAgentCommand({
  name: "init",
  summary: "Program the netfilter rules that lead traffic to the proxy.",
  details:
    "Takes the flags and variables of istio-iptables. May be run any number of times, with the same or other flags: the old rules are replaced at once, and there is no moment without rules. Needs root or NET_ADMIN.",
  examples: [
    ["agent init --preset sidecar", "capture all of a pod's traffic, as Istio's injector would"],
    ["agent init -b 80,8080 -i ''", "capture two inbound ports, and nothing outbound"],
    ["agent init --cleanup-only", "remove the rules"],
  ],
  schema: InitSchema,
  lenientEnvironment: true,
  async run(config, context) {
    refuseUnsupported(config, context);
    if (config.cleanupOnly) {
      const planned = planRules(captureOf(config, context.given, userId), [4, 6]);
      if (config.dryRun) {
        process.stdout.write(await removalText(planned));
        return 0;
      }
      const removed = await removeRules(planned);
      talk.info(removed ? "rules removed" : "there were no rules to remove");
      return 0;
    }
    const rules = rulesFor(config, context, !config.dryRun);
    if (config.dryRun) {
      process.stdout.write(renderCommands(rules));
      return 0;
    }
    const listing = listTables(await applyRules(rules));
    process.stdout.write(
      config.output === "json" ? `${JSON.stringify({ tables: listing })}\n` : renderListing(listing),
    );
    return 0;
  },
});
