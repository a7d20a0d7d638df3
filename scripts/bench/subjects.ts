// Who is compared, and how each is set up: every proxy with one core, upstream keep-alive and an access log in a file.
// The settings are what a careful user of each would choose; what differs from the defaults is said beside it.
import { chmodSync, existsSync, mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, PinnedProcess } from "./process.ts";
import { LARGE_BYTES, SMALL_BYTES } from "./scenarios.ts";

/** Core of the proxies; each is alone on it while it is measured. */
export const PROXY_CORE = 1;
/** Core of the backend and of the load generator. */
export const LOAD_CORE = 0;

const ROOT = join(import.meta.dir, "../..");

/** Start of the agent's command line: what the environment variable AGENT says, else the binary, built when older than its sources. */
function agentProgram(): string[] {
  const given = process.env["AGENT"];
  if (given !== undefined) return given.split(" ");
  // The build's talk belongs to stderr: stdout carries the table.
  const build = Bun.spawnSync([join(ROOT, "scripts/build")], { stdout: 2, stderr: 2 });
  if (build.exitCode !== 0) throw new Error("scripts/build failed");
  return [join(ROOT, "dist/agent")];
}

/** Something that answers on a port. */
export interface Running extends AsyncDisposable {
  readonly port: number;
  /** Undefined for `direct`, where nothing stands between client and backend. */
  readonly process: PinnedProcess | undefined;
  /** Empties the access log, so that rounds do not fill the disk. */
  trimLog(): void;
}

export const SUBJECTS = ["direct", "agent", "agent-pipeline", "nginx", "nginx-unbuffered", "haproxy"] as const;
export type SubjectName = (typeof SUBJECTS)[number];

/** What each row of the table is, in words. */
export const SUBJECT_NOTES: Record<SubjectName, string> = {
  direct: "client to backend, no proxy",
  agent: "straight lane: no rule applies; TEXT access log, metrics on",
  "agent-pipeline": "pipeline lane: one rule that sets a header applies to every request; TEXT access log, metrics on",
  nginx: "one worker, keepalive 64, access_log combined buffer=64k flush=1s",
  "nginx-unbuffered": "the same with nginx's default: one write() for each access log line",
  haproxy: "one thread, http-reuse always, option httplog to stdout, which is a file",
};

/** Starts the backend all subjects forward to: nginx with fixed answers, on the load generator's core. */
export async function startBackend(directory: string): Promise<Running> {
  const home = ownDirectory(directory, "backend");
  writeFileSync(join(home, "large"), Buffer.alloc(LARGE_BYTES, "pilotfish "));
  const port = await freePort();
  const config = nginxConfig(home, "access_log off; sendfile on; tcp_nopush on; open_file_cache max=16;", [
    `listen 127.0.0.1:${port} backlog=4096;`,
    `location = /small { default_type text/plain; return 200 "${"x".repeat(SMALL_BYTES)}"; }`,
    `location = /large { root ${home}; default_type text/plain; }`,
  ]);
  return start(home, ["nginx", "-e", "stderr", "-c", config], port, LOAD_CORE);
}

/** Starts one subject in front of the backend; `direct` starts nothing. */
export async function startSubject(name: SubjectName, directory: string, backend: number): Promise<Running> {
  if (name === "direct") return { port: backend, process: undefined, trimLog() {}, async [Symbol.asyncDispose]() {} };
  const home = ownDirectory(directory, name);
  const port = await freePort();
  return start(home, subjectCommand(name, home, port, backend), port, PROXY_CORE);
}

/** Command line of the agent as a plain reverse proxy, every other listener off, access log in the file. */
export function agentCommand(port: number, backend: number, accessLog: string, config?: string): string[] {
  const off = ["inbound", "outbound", "proxy-admin", "status", "health", "prometheus"];
  return [
    ...agentProgram(),
    "proxy",
    ...(config === undefined ? [] : ["--config", config]),
    ...["--listen", `127.0.0.1:${port}`, "--target", `127.0.0.1:${backend}`],
    ...off.flatMap((listener) => [`--${listener}-port`, "0"]),
    ...["--access-log-encoding", "TEXT", "--access-log-file", accessLog],
  ];
}

function subjectCommand(name: Exclude<SubjectName, "direct">, home: string, port: number, backend: number): string[] {
  const log = join(home, "access.log");
  switch (name) {
    case "agent":
      return agentCommand(port, backend, log);
    case "agent-pipeline": {
      const file = join(home, "proxy.yaml");
      writeFileSync(
        file,
        'inbound:\n  http:\n    - name: all\n      headers: { request: { set: { x-bench: "1" } } }\n',
      );
      return agentCommand(port, backend, log, file);
    }
    case "nginx":
      return nginxCommand(home, port, backend, `${log} combined buffer=64k flush=1s`);
    case "nginx-unbuffered":
      return nginxCommand(home, port, backend, `${log} combined`);
    case "haproxy":
      return haproxyCommand(home, port, backend);
  }
}

function nginxCommand(home: string, port: number, backend: number, accessLog: string): string[] {
  // The request limits of a connection (1000 by default) are lifted here and at the backend, so that "keep-alive" means it.
  const upstream = `upstream backend { server 127.0.0.1:${backend}; keepalive 64; keepalive_requests 1000000000; }`;
  const config = nginxConfig(home, `access_log ${accessLog}; ${upstream}`, [
    `listen 127.0.0.1:${port} backlog=4096;`,
    `location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }`,
  ]);
  return ["nginx", "-e", "stderr", "-c", config];
}

function nginxConfig(home: string, http: string, server: readonly string[]): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (kind) => `${kind}_temp_path ${home}/tmp;`,
  );
  const file = join(home, "nginx.conf");
  const lines = [
    `daemon off; worker_processes 1; pid ${home}/nginx.pid; error_log stderr warn;`,
    "events { worker_connections 4096; }",
    "http {",
    ...temporary,
    "keepalive_requests 1000000000;",
    http,
    "server {",
    ...server,
    "} }",
  ];
  writeFileSync(file, lines.join("\n"));
  return file;
}

function haproxyCommand(home: string, port: number, backend: number): string[] {
  const file = join(home, "haproxy.cfg");
  const lines = [
    "global",
    "  nbthread 1",
    "  maxconn 4096",
    "  log stdout format raw local0",
    "defaults",
    "  mode http",
    "  log global",
    "  option httplog",
    "  timeout connect 5s",
    "  timeout client 60s",
    "  timeout server 60s",
    "  http-reuse always",
    "listen bench",
    `  bind 127.0.0.1:${port} backlog 4096`,
    `  server backend 127.0.0.1:${backend}`,
    "",
  ];
  writeFileSync(file, lines.join("\n"));
  return ["haproxy", "-db", "-f", file];
}

async function start(home: string, command: readonly string[], port: number, core: number): Promise<Running> {
  const process = new PinnedProcess(command, core, join(home, "output.log"));
  try {
    await process.untilListening(port);
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
  const logs = ["access.log", "output.log"].map((name) => join(home, name));
  return {
    port,
    process,
    trimLog() {
      for (const file of logs) if (existsSync(file)) truncateSync(file);
    },
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

/** A directory that a worker which gave up root can read, and write its log in. */
function ownDirectory(parent: string, name: string): string {
  const home = join(parent, name);
  mkdirSync(home);
  chmodSync(home, 0o777);
  return home;
}
