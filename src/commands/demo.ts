// `agent demo`: shows on one machine, in some seconds, what the rules and the proxy do for a pod. Needs root.
import { DemoSchema } from "../config/demo-schema.ts";
import { CommandError } from "../config/errors.ts";
import type { ThrowAwayPod as Pod } from "../demo/pod.ts";
import type { DemoProcess } from "../demo/process.ts";
import { captured, type Scene, shortcomings } from "../demo/scene.ts";
import { COLORED, type Paint, PLAIN, tellEnd, tellLookAround, tellScene } from "../demo/story.ts";
import { defineAgentCommand, terminalStyle } from "./command.ts";
import { talk } from "./talk.ts";

/** The proxy's default `Server` header. */
const PROXY_NAME = "pilotfish";
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

export const demoCommand = defineAgentCommand({
  name: "demo",
  summary: "Show traffic being captured and measured, in a throw-away pod; takes some seconds and leaves nothing.",
  details:
    "Makes a network namespace with a small httpbin in it, programs the rules, starts the proxy, sends four requests and prints what each step shows. Needs root, iptables and iproute2; no network, no cluster. The machine's own traffic is not touched.",
  examples: [
    ["sudo agent demo", "the whole story"],
    ["sudo agent demo --keep", "the same, and keep the pod running to look around"],
  ],
  schema: DemoSchema,
  async run({ role, keep, output, listen, requests }) {
    if (role === "application") return (await import("../demo/application.ts")).serveApplication(listen);
    if (role === "client") return (await import("../demo/client.ts")).runClient(requests);
    return direct(keep, output);
  },
});

async function direct(keep: boolean, output: "text" | "json"): Promise<number> {
  if (process.getuid?.() !== 0) {
    throw new CommandError("the demo makes network namespaces and netfilter rules, which needs root", {
      hint: "run it with sudo: sudo agent demo",
    });
  }
  const { findDemoTools, ThrowAwayPod } = await import("../demo/pod.ts");
  const tools = findDemoTools();
  const interruption = new AbortController();
  for (const name of SIGNALS) process.on(name, () => interruption.abort());
  const start = performance.now();
  const scenes: Scene[] = [];
  let isKept = false;
  try {
    await using pod = await ThrowAwayPod.create(tools, interruption.signal);
    const proxy = await show(pod, scenes, output);
    if (keep) {
      isKept = true;
      await lookAround(pod, proxy, output, interruption.signal);
    }
  } catch (error) {
    if (!interruption.signal.aborted) throw error;
    talk.warn("interrupted; the pod is removed");
    return 1;
  }
  return finish(scenes, output, isKept ? undefined : performance.now() - start);
}

async function show(pod: Pod, scenes: Scene[], output: "text" | "json"): Promise<DemoProcess> {
  const { play } = await import("../demo/director.ts");
  return play(pod, (scene) => {
    scenes.push(scene);
    if (output === "text") process.stdout.write(tellScene(scene, scenes.length, paint()));
  });
}

/** Waits for the person's signal, and shows what the proxy logs meanwhile. */
async function lookAround(pod: Pod, proxy: DemoProcess, output: "text" | "json", end: AbortSignal): Promise<void> {
  const { OUTSIDE_ADDRESS, POD_ADDRESS } = await import("../demo/pod.ts");
  const text = tellLookAround(
    {
      node: pod.enter("node").join(" "),
      pod: pod.enter("pod").join(" "),
      podAddress: POD_ADDRESS,
      outsideAddress: OUTSIDE_ADDRESS,
      pid: process.pid,
    },
    paint(),
  );
  if (output === "text") {
    process.stdout.write(text);
    proxy.follow((entries) => process.stdout.write(entries));
  } else {
    process.stderr.write(text);
  }
  const ended = new Promise<undefined>((resolve) => end.addEventListener("abort", () => resolve(undefined)));
  const code = end.aborted ? undefined : await Promise.race([proxy.exited, ended]);
  if (code !== undefined) throw new CommandError(`the proxy ended with exit code ${code}: ${proxy.stderr.trim()}`);
}

/** `durationMs` is undefined when the person ended it. */
function finish(scenes: readonly Scene[], output: "text" | "json", durationMs: number | undefined): number {
  const problems = shortcomings(scenes, PROXY_NAME);
  if (output === "json") {
    process.stdout.write(`${JSON.stringify({ captured: captured(scenes), problems, scenes })}\n`);
  } else if (problems.length === 0) {
    process.stdout.write(tellEnd(captured(scenes), durationMs, paint()));
  }
  if (problems.length > 0) throw new CommandError(`the demo did not show what it should: ${problems.join("; ")}`);
  return 0;
}

const paint = (): Paint => (terminalStyle().color ? COLORED : PLAIN);
