// `agent run`: the sidecar of a plain Linux machine. Capture rules and proxy for as long as the command runs. Needs root.
import { CommandError, UsageError } from "../config/errors.ts";
import { parseFlags } from "../config/flags.ts";
import { proxyFlags, type RunConfig, RunSchema, runCapture, runPorts } from "../config/run-schema.ts";
import { settingsOf } from "../config/setting.ts";
import { type CommandContext, defineAgentCommand } from "./command.ts";

export const runCommand = defineAgentCommand({
  name: "run",
  summary: "On a Linux machine: capture its traffic, proxy it, and remove the rules at the end, whatever ends it.",
  details:
    "Starts agent proxy as user --proxy-uid and programs the rules of agent init --preset vm: all TCP traffic in and out, without SSH. Ctrl-C, SIGTERM, SIGHUP, a crash of the proxy and even kill -9 take the rules away again. Connections that exist already are not touched. Takes the flags of init and of proxy. Needs root.",
  examples: [
    ["sudo agent run", "capture everything but SSH"],
    ["sudo agent run -b 80,8080 -i ''", "two inbound ports, and nothing outbound"],
    ["sudo agent run --config rules.yaml", "with rules for the proxy"],
  ],
  schema: RunSchema,
  file: true,
  run: (config, context) => (config.role === "guardian" ? guardian() : supervisor(config, context)),
});

async function guardian(): Promise<number> {
  return (await import("../run/guardian.ts")).guard();
}

async function supervisor(config: RunConfig, context: CommandContext): Promise<number> {
  const { refuseUnsupported, rulesFor } = await import("./planning.ts");
  const ports = runPorts(config, context.given);
  if ("problems" in ports) throw new UsageError([...ports.problems]);
  const { settings, given } = runCapture(config, context.given, ports);
  refuseUnsupported(settings, context);
  if (process.getuid?.() !== 0) {
    throw new CommandError("agent run programs netfilter rules and starts a proxy as another user, which needs root", {
      hint: "run it with sudo: sudo agent run",
    });
  }
  const { hasRules } = await import("../netfilter/apply.ts");
  if (await hasRules()) {
    throw new CommandError(
      "a sidecar's rules (ISTIO_ chains) are there already: of another agent run, agent init or Istio",
      {
        hint: "if nobody needs them, remove them first: agent init --cleanup-only",
      },
    );
  }
  const { supervise } = await import("../run/supervisor.ts");
  return supervise({
    rules: rulesFor(settings, { given }, true),
    proxyFlags: proxyFlags(config, parseFlags(settingsOf(RunSchema), process.argv.slice(3)).values, ports),
    readinessUrl: readinessUrl(config),
    proxyUid: config.proxyUid,
    drainMs: config.terminationDrainDuration,
  });
}

function readinessUrl({ healthPort, proxyAdminPort }: RunConfig): string | undefined {
  if (healthPort !== 0) return `http://127.0.0.1:${healthPort}/healthz/ready`;
  return proxyAdminPort === 0 ? undefined : `http://127.0.0.1:${proxyAdminPort}/ready`;
}
