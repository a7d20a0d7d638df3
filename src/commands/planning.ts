// From the capture settings of `init` and `rules` to their rules: refusals, host facts, warnings. Shell.

import { CommandError, UsageError } from "../config/errors.ts";
import { type CaptureSettings, captureOf, modeWarning, unsupportedSettings } from "../config/init-schema.ts";
import { captureWarnings } from "../netfilter/capture-config.ts";
import { decideFamilies } from "../netfilter/families.ts";
import { hostAddresses, userId } from "../netfilter/host.ts";
import { planRules } from "../netfilter/plan.ts";
import type { Rule } from "../netfilter/rule.ts";
import type { CommandContext } from "./command.ts";
import { talk } from "./talk.ts";

/** Refuses, by name, what is Istio's and not built. */
export function refuseUnsupported(config: Parameters<typeof unsupportedSettings>[0], context: CommandContext): void {
  const problems = unsupportedSettings(config, context.given);
  if (problems.length > 0) throw new UsageError(problems);
}

/**
 * The rules that the settings ask for on this host. Where it has no usable address, IPv4 alone is assumed with a warning,
 * or, with `mustKnow`, the command fails: rules that leave IPv6 out by mistake are worse than none.
 */
export function rulesFor(config: CaptureSettings, context: CommandContext, mustKnow: boolean): Rule[] {
  const capture = captureOf(config, context.given, userId);
  const { families, isGuess } = decideFamilies({
    addresses: hostAddresses(),
    dualStack: config.dualStack,
    choice: config.ipFamily,
  });
  if (isGuess && mustKnow) {
    throw new CommandError("no usable address on this host: it cannot be told whether it speaks IPv4 or IPv6", {
      hint: "bring its network up first, or say --ip-family 4, 6 or dual",
    });
  }
  const mode = modeWarning(config);
  const warnings = [
    ...(isGuess ? ["no usable address on this host: IPv4 is assumed (--ip-family 4, 6 or dual says it)"] : []),
    ...(mode === undefined ? [] : [mode]),
    ...captureWarnings(capture),
  ];
  for (const warning of warnings) talk.warn(warning);
  return planRules(capture, families);
}
