// The demo's scenes as text for a newcomer: a numbered step each, what happened, and what it proves. Pure.
import type { Exchange, RequestStatistics, Scene } from "./scene.ts";

/** How a terminal shows it; all of them return the text unchanged where there is none. */
export interface Paint {
  readonly strong: (text: string) => string;
  readonly faint: (text: string) => string;
  readonly good: (text: string) => string;
}

export const PLAIN: Paint = { strong: (text) => text, faint: (text) => text, good: (text) => text };

const sgr = (on: number, off: number) => (text: string) => (text === "" ? "" : `\x1b[${on}m${text}\x1b[${off}m`);
export const COLORED: Paint = { strong: sgr(1, 22), faint: sgr(2, 22), good: sgr(32, 39) };

/** Title, lines of what is to be seen, and the sentence of what it proves. */
interface Step {
  readonly title: string;
  readonly lines: readonly string[];
  readonly proof?: string;
}

/** One step with an empty line at its end. `number` counts from 1. */
export function tellScene(scene: Scene, number: number, paint: Paint): string {
  const { title, lines, proof } = step(scene, paint);
  return [
    `${paint.strong(`${number}. ${title}`)}`,
    ...lines.map((line) => `   ${line}`.trimEnd()),
    ...(proof === undefined ? [] : [`   ${paint.good("→")} ${proof}`]),
    "",
    "",
  ].join("\n");
}

function step(scene: Scene, paint: Paint): Step {
  switch (scene.kind) {
    case "pod":
      return {
        title: "A throw-away pod",
        lines: [
          `${scene.podName}: a network namespace of its own at ${scene.podAddress}, wired to a node at ${scene.nodeAddress}.`,
          "In it runs a small httpbin on port 80, an application that knows nothing of any proxy.",
        ],
      };
    case "rules":
      return {
        title: "The init container's job: rules in the pod's kernel",
        lines: [paint.faint(`$ ${scene.command}`), ...scene.rules],
        proof:
          "What comes in is redirected to port 15006, what goes out to port 15001; the application is not touched.",
      };
    case "proxy":
      return {
        title: "The sidecar container's job: the proxy behind these ports",
        lines: [
          paint.faint("$ agent proxy --access-log-encoding BLOCK"),
          `ready after ${milliseconds(scene.startMs)}, as user ${scene.uid}, CapEff ${scene.capabilities}`,
        ],
        proof: "Only the rules needed root. The proxy has no capability at all.",
      };
    case "inbound":
      return {
        title: "Three requests from the node to the pod, addressed to port 80",
        lines: table(scene.exchanges.map(exchangeCells)),
        proof: `The application calls itself "Server: httpbin"; the proxy stood between, though nobody addressed it.`,
      };
    case "outbound":
      return {
        title: "One request of a process in the pod to an address outside",
        lines: [
          ...table([exchangeCells(scene.exchange)]),
          `the server outside saw x-request-id: ${scene.exchange.requestId ?? "none"}`,
        ],
        proof: "The process set no such header: its request went through the proxy too.",
      };
    case "own":
      return {
        title: `The same request as user ${scene.uid}, the proxy's own`,
        lines: [
          ...table([exchangeCells(scene.exchange)]),
          `the server outside saw x-request-id: ${scene.exchange.requestId ?? "none"}`,
        ],
        proof: "The rules leave the proxy's traffic alone. Otherwise it would be redirected to itself for ever.",
      };
    case "log":
      return {
        title: "What the proxy logged",
        lines: scene.text.trim().split("\n"),
      };
    case "statistics":
      return {
        title: "What the proxy counted",
        lines: statisticsTable(scene.statistics),
      };
  }
}

function exchangeCells({ method, url, requestBody, status, server, durationMs }: Exchange): string[] {
  const request = requestBody === "" ? url : `${url}  (${requestBody})`;
  return [method, request, String(status), `Server: ${server}`, milliseconds(durationMs)];
}

const HEADINGS = ["DIRECTION", "CODE", "REQUESTS", "MEAN TIME", "BYTES IN", "BYTES OUT"];

function statisticsTable(statistics: readonly RequestStatistics[]): string[] {
  return table([
    HEADINGS,
    ...statistics.map(({ direction, responseCode, requests, meanDurationMs, requestBytes, responseBytes }) => [
      direction,
      responseCode,
      String(requests),
      milliseconds(meanDurationMs),
      String(requestBytes),
      String(responseBytes),
    ]),
  ]);
}

/** Cells in columns, two spaces between them. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
  return rows.map((cells) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function milliseconds(duration: number): string {
  return `${duration < 10 ? duration.toFixed(1) : duration.toFixed(0)} ms`;
}

/** The commands of the two namespaces, as words that a shell takes. */
export interface Entrances {
  readonly node: string;
  readonly pod: string;
  readonly podAddress: string;
  readonly outsideAddress: string;
  readonly pid: number;
}

/** `--keep`: what to try while it runs. */
export function tellLookAround({ node, pod, podAddress, outsideAddress, pid }: Entrances, paint: Paint): string {
  const tries: [does: string, command: string][] = [
    ["a request from outside", `${node} curl -i http://${podAddress}/get`],
    ["a slow one", `${node} curl -i http://${podAddress}/delay/2`],
    ["a request out of the pod", `${pod} curl -i http://${outsideAddress}/get`],
    ["the rules, with counters", `${pod} iptables -t nat -nvL`],
    ["the statistics", `${pod} curl -s http://127.0.0.1:15000/stats/prometheus`],
  ];
  return [
    paint.strong("It keeps running. In another terminal, as root:"),
    ...tries.flatMap(([does, command]) => [`   ${paint.faint(`# ${does}`)}`, `   ${command}`]),
    "",
    `Every captured request is logged here. Ctrl-C here, or kill ${pid}, ends it and removes everything.`,
    "",
    "",
  ].join("\n");
}

/** The last line. `durationMs` is undefined when the person decided how long it took. */
export function tellEnd(captured: number, durationMs: number | undefined, paint: Paint): string {
  const time = durationMs === undefined ? "" : ` (${(durationMs / 1000).toFixed(1)} s)`;
  return `${paint.good("✔")} ${captured} requests captured, nothing changed in the application, everything removed${time}\n`;
}
