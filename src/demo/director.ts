// Plays the demo in a pod: starts what runs in it, sends the requests, and shows each scene when it is there. Shell.
// The commands are those of a real pod: `agent init`, then `agent proxy`. commands/demo.ts is the caller.
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { CommandError } from "../config/errors.ts";
import { selfCommand } from "../run/self.ts";
import { type DemoAnswer, type DemoRequest, parseAnswers } from "./client.ts";
import { NODE_ADDRESS, OUTSIDE_ADDRESS, POD_ADDRESS, type Side, type ThrowAwayPod } from "./pod.ts";
import type { DemoProcess } from "./process.ts";
import type { Exchange, Scene } from "./scene.ts";
import { requestStatistics } from "./statistics.ts";

/** The flags of the init container in the article that made this pod well known. */
const INIT_FLAGS = "-p 15001 -z 15006 -u 1337 -g 1337 -m REDIRECT -i * -x  -b * -d 15090,15020".split(" ");
const PROXY_UID = 1337;
const APPLICATION_PORT = 80;
const METRICS_URL = "http://127.0.0.1:15090/stats/prometheus";
const LOGGED = 4;
/** The first line of an access-log entry. */
const LOG_ENTRY = /^Original URL:/gm;

const HeadersSchema = v.object({ headers: v.record(v.string(), v.string()) });

/** Shows the scenes in their order; the proxy, which goes on running. Throws CommandError when something will not start. */
export async function play(pod: ThrowAwayPod, show: (scene: Scene) => void): Promise<DemoProcess> {
  await Promise.all((["pod", "node"] as const).map((side) => startApplication(pod, side)));
  show({ kind: "pod", podName: pod.name("pod"), podAddress: POD_ADDRESS, nodeAddress: NODE_ADDRESS });

  const init = await pod.run("pod", [...selfCommand(), "init", ...INIT_FLAGS]);
  if (init.code !== 0) throw new CommandError(`agent init failed: ${init.stderr.trim()}`);
  const rules = init.stdout.split("\n").filter((line) => line.startsWith("-A"));
  show({ kind: "rules", command: `agent init ${INIT_FLAGS.map(shellWord).join(" ")}`, rules });

  const start = performance.now();
  const proxy = pod.spawn("pod", [...selfCommand(), "proxy", "--access-log-encoding", "BLOCK"]);
  const isReady = await proxy.waitFor(({ stderr }) => /\bready\b/.test(stderr));
  if (!isReady) throw new CommandError(`agent proxy did not become ready: ${proxy.stderr.trim()}`);
  show({ kind: "proxy", ...identity(proxy.pid), startMs: performance.now() - start });

  const base = `http://${POD_ADDRESS}`;
  const inbound = await send(pod, "node", [
    { method: "GET", url: `${base}/get?query=param` },
    { method: "POST", url: `${base}/post`, body: "body=parameters" },
    { method: "GET", url: `${base}/status/429` },
  ]);
  show({ kind: "inbound", exchanges: inbound.map(exchange) });

  const outside: DemoRequest = { method: "GET", url: `http://${OUTSIDE_ADDRESS}/get?from=pod` };
  const [outbound] = await send(pod, "pod", [outside]);
  show({ kind: "outbound", exchange: exchange(outbound!) });

  const [own] = await send(pod, "pod", [{ ...outside, uid: PROXY_UID }]);
  show({ kind: "own", exchange: exchange(own!), uid: PROXY_UID });

  // Entries are written in batches.
  await proxy.waitFor(({ stdout }) => (stdout.match(LOG_ENTRY)?.length ?? 0) >= LOGGED);
  show({ kind: "log", text: proxy.stdout });

  const [metrics] = await send(pod, "pod", [{ method: "GET", url: METRICS_URL }]);
  show({ kind: "statistics", statistics: requestStatistics(metrics!.body) });
  return proxy;
}

/** The same httpbin in the pod and, as somebody else's server, outside of it. */
async function startApplication(pod: ThrowAwayPod, side: Side): Promise<void> {
  const flags = ["demo", "--role", "application", "--listen", String(APPLICATION_PORT)];
  const application = pod.spawn(side, [...selfCommand(), ...flags]);
  if (await application.waitFor(({ stdout }) => stdout.includes("ready"))) return;
  throw new CommandError(`the demo's application did not start: ${application.stderr.trim()}`);
}

async function send(pod: ThrowAwayPod, side: Side, requests: readonly DemoRequest[]): Promise<DemoAnswer[]> {
  const flags = ["demo", "--role", "client", "--requests", JSON.stringify(requests)];
  const { code, stdout, stderr } = await pod.run(side, [...selfCommand(), ...flags]);
  if (code === 0) return parseAnswers(stdout);
  throw new CommandError(`${requests[0]?.url}: ${stderr.trim()}`);
}

/** The application's answer is httpbin's JSON with the headers that it received. */
function exchange({ body, ...answer }: DemoAnswer): Exchange {
  return { ...answer, requestId: receivedHeaders(body)["X-Request-Id"] };
}

function receivedHeaders(body: string): Record<string, string> {
  // /status answers without a body.
  return body === "" ? {} : v.parse(HeadersSchema, JSON.parse(body)).headers;
}

/** Who the kernel takes the proxy for: proc(5). */
function identity(pid: number): { uid: number; capabilities: string } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1] ?? "";
  return { uid: Number(field("Uid")), capabilities: field("CapEff") };
}

function shellWord(word: string): string {
  return /^[\w.,:/-]+$/.test(word) ? word : `'${word}'`;
}
