// `agent run` on a machine, which is a network namespace here: what it captures, and that every end of it takes the rules away.

import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import type { Socket } from "bun";
import { AGENT, Lab, type Proc } from "./lab.ts";
import { within } from "./within.ts";

const APPLICATION_PORT = 8080;
const APPLICATION_UID = 1000;
const PROXY_UID = 1337;
const PATIENCE_MS = 10_000;
const TEST_MS = 30_000;

let lab: Lab;
beforeEach(async () => {
  lab = await Lab.create();
});
afterEach(() => lab[Symbol.asyncDispose]());

/** In a session of its own, as at a terminal: a signal to `-pid` is what Ctrl-C sends. */
async function start(...flags: string[]): Promise<Proc> {
  const run = lab.pod.spawn(["setsid", AGENT, "run", "--dual-stack", ...flags]);
  await run.waitFor(/capturing/, "stderr");
  return run;
}

async function startApplication(): Promise<void> {
  for (const namespace of [lab.pod, lab.node]) {
    const flags = ["demo", "--role", "application", "--listen", String(APPLICATION_PORT)];
    await namespace.spawn([AGENT, ...flags]).waitFor(/ready/);
  }
}

/** The head of the answer of the pod's application to the node. */
const fromOutside = (path = "/get", host = lab.pod.v4) =>
  lab.node.check(["curl", "-sSi", "-m", "20", `http://${host}:${APPLICATION_PORT}${path}`]);

/** The answer of the node's application, which names the headers it received, to the pod. */
const fromInside = (uid: number) =>
  lab.pod.check(["curl", "-sSi", "-m", "20", `http://${lab.node.v4}:${APPLICATION_PORT}/get`], { uid });

/** The command line of a process, or undefined when it is gone or a zombie. */
function commandLine(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim() || undefined;
  } catch {
    return undefined;
  }
}

function childOf(parent: number, what: RegExp): number | undefined {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .find((pid) => {
      try {
        const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
          .replace(/^.*\) /s, "")
          .split(" ");
        return Number(fields[1]) === parent && what.test(commandLine(pid) ?? "");
      } catch {
        return false;
      }
    });
}

const guardianOf = (run: Proc) => childOf(run.pid, /--role guardian/);
const proxyOf = (run: Proc) => childOf(run.pid, / proxy /);

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + PATIENCE_MS; !(await isSo()); await Bun.sleep(20)) {
    if (performance.now() > deadline) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`);
  }
}

/** What runs in the machine's namespace. */
async function processes(): Promise<string[]> {
  const pids = await lab.node.check(["ip", "netns", "pids", lab.pod.name]);
  return pids.split("\n").filter((pid) => commandLine(Number(pid)) !== undefined && pid !== "");
}

async function rules(): Promise<string[]> {
  const saved = await Promise.all(["iptables-save", "ip6tables-save"].map((save) => lab.pod.check([save])));
  return saved.flatMap((text) => text.split("\n")).filter((line) => /ISTIO|PILOTFISH/.test(line));
}

const looseness = async () => (await lab.pod.check(["cat", "/proc/sys/net/netfilter/nf_conntrack_tcp_loose"])).trim();

/** Nothing is left of it: rules, settings, processes. */
async function expectGone(pids: readonly (number | undefined)[]): Promise<void> {
  await until("guardian and proxy end", () => pids.every((pid) => pid !== undefined && commandLine(pid) === undefined));
  expect(await rules()).toEqual([]);
  expect(await looseness()).toBe("1");
  expect(await lab.pod.check(["ip", "-6", "address", "show", "dev", "lo"])).not.toContain("inet6 ::6/128");
}

describe("capture", () => {
  test(
    "inbound and outbound, both families, but not the proxy's own user",
    async () => {
      await startApplication();
      const before = await fromOutside();
      expect(before).toContain("Server: httpbin");
      const run = await start();

      expect(await fromOutside()).toContain("Server: pilotfish");
      expect(await fromOutside("/get", `[${lab.pod.v6}]`)).toContain("Server: pilotfish");
      expect(await fromInside(APPLICATION_UID)).toContain("X-Request-Id");
      expect(await fromInside(PROXY_UID)).not.toContain("X-Request-Id");
      await run.waitFor(/"GET \/get HTTP\/1.1" 200[\s\S]*"GET \/get HTTP\/1.1" 200/);

      const status = readFileSync(`/proc/${proxyOf(run)}/status`, "utf8");
      expect(status).toMatch(/^Uid:\t1337\t1337\t1337\t1337$/m);
      expect(status).toMatch(/^Groups:\s*(1337)?\s*$/m);
      expect(status).toMatch(/^CapEff:\t0+$/m);
      expect((await rules()).filter((line) => line.includes("ISTIO_IN_REDIRECT -p tcp -j REDIRECT"))).toHaveLength(2);
    },
    TEST_MS,
  );

  test(
    "flags of init and of the proxy meet",
    async () => {
      await startApplication();
      await start("-z", "16006", "-p", "16001", "-u", "1444", "--server-header", "mine", "--health-port", "16021");
      expect(await fromOutside()).toContain("Server: mine");
      const all = (await rules()).join("\n");
      expect(all).toContain("ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 16006");
      expect(all).toContain("ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 16001");
      expect(all).toContain("--uid-owner 1444 -j RETURN");
      expect(all).toContain("--dport 16021 -j RETURN");
      expect(all).not.toContain("--dport 15021");
      expect(all).toContain("--dport 22 -j RETURN");
    },
    TEST_MS,
  );
});

describe("the end", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "%s to the whole foreground group",
    async (signal) => {
      const run = await start();
      const pids = [guardianOf(run), proxyOf(run)];
      process.kill(-run.pid, signal);
      expect(await run.exited).toBe(0);
      await expectGone(pids);
    },
    TEST_MS,
  );

  test(
    "kill -9 of the parent",
    async () => {
      const run = await start();
      const pids = [guardianOf(run), proxyOf(run)];
      run.kill("SIGKILL");
      await expectGone(pids);
      expect(run.stderr).toContain("agent run was killed; the rules are removed");
    },
    TEST_MS,
  );

  test(
    "kill -9 of the parent before there are rules",
    async () => {
      const run = lab.pod.spawn([AGENT, "run"]);
      await run.waitFor(/ready/, "stderr");
      const pids = [guardianOf(run), proxyOf(run)];
      run.kill("SIGKILL");
      await expectGone(pids);
    },
    TEST_MS,
  );

  test(
    "kill -9 at any time",
    async () => {
      for (let delay = 0; delay < 320; delay += 40) {
        const run = lab.pod.spawn([AGENT, "run"]);
        await Bun.sleep(delay);
        run.kill("SIGKILL");
        await run.exited;
        await until(`nothing is left of it after ${delay} ms`, async () => (await processes()).length === 0);
        expect(await rules()).toEqual([]);
        expect(await looseness()).toBe("1");
      }
    },
    TEST_MS,
  );

  test(
    "Ctrl-C again and again",
    async () => {
      const run = await start();
      const pids = [guardianOf(run), proxyOf(run)];
      for (let times = 0; times < 12; times++, await Bun.sleep(7)) {
        try {
          process.kill(-run.pid, "SIGINT");
        } catch {
          // It has ended.
        }
      }
      expect(await run.exited).toBe(0);
      await expectGone(pids);
    },
    TEST_MS,
  );

  test(
    "kill -9 of the proxy",
    async () => {
      const run = await start();
      const [guardian, proxy] = [guardianOf(run), proxyOf(run)];
      process.kill(proxy!, "SIGKILL");
      expect(await run.exited).toBe(1);
      expect(run.stderr).toContain("the proxy ended by itself (SIGKILL); the rules are removed");
      await expectGone([guardian, proxy]);
    },
    TEST_MS,
  );

  test(
    "kill -9 of the guardian brings another, which does its work",
    async () => {
      const run = await start();
      const [first, proxy] = [guardianOf(run), proxyOf(run)];
      process.kill(first!, "SIGKILL");
      await until("another guardian", () => ![undefined, first].includes(guardianOf(run)));
      await run.waitFor(/starting another/, "stderr");
      // It has to have started to read.
      await Bun.sleep(300);
      const second = guardianOf(run);
      run.kill("SIGKILL");
      await expectGone([first, second, proxy]);
    },
    TEST_MS,
  );

  test(
    "the guardian does not mind the signals of the terminal",
    async () => {
      const run = await start();
      const guardian = guardianOf(run)!;
      for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(guardian, signal);
      await Bun.sleep(200);
      expect(guardianOf(run)).toBe(guardian);
      run.kill("SIGINT");
      expect(await run.exited).toBe(0);
    },
    TEST_MS,
  );

  test(
    "a request in flight gets its answer, and new ones pass by",
    async () => {
      await startApplication();
      const run = await start();
      const slow = fromOutside("/delay/1");
      await Bun.sleep(300);
      process.kill(-run.pid, "SIGINT");
      await run.waitFor(/rules removed/, "stderr");
      expect(await fromOutside()).toContain("Server: httpbin");
      expect(await slow).toContain("Server: pilotfish");
      expect(await run.exited).toBe(0);
      expect(await rules()).toEqual([]);
    },
    TEST_MS,
  );

  test(
    "a second Ctrl-C does not wait",
    async () => {
      await startApplication();
      const run = await start("--termination-drain-duration", "60s");
      const slow = fromOutside("/delay/10").catch(() => "cut");
      await Bun.sleep(300);
      process.kill(-run.pid, "SIGINT");
      await run.waitFor(/rules removed/, "stderr");
      const begin = performance.now();
      process.kill(-run.pid, "SIGINT");
      expect(await run.exited).toBe(0);
      expect(performance.now() - begin).toBeLessThan(5_000);
      expect(await slow).toBe("cut");
      expect(await rules()).toEqual([]);
    },
    TEST_MS,
  );
});

describe("refusals", () => {
  test(
    "somebody else's rules",
    async () => {
      await lab.pod.check([AGENT, "init", "--preset", "sidecar"]);
      const before = await rules();
      const { code, stderr } = await lab.pod.run([AGENT, "run"]);
      expect(code).toBe(1);
      expect(stderr).toContain("a sidecar's rules (ISTIO_ chains) are there already");
      expect(stderr).toContain("agent init --cleanup-only");
      expect(await rules()).toEqual(before);
    },
    TEST_MS,
  );

  test(
    "a port in use: no rule is ever made",
    async () => {
      using _taken = within(lab.pod, () => Bun.listen({ hostname: "::", port: 15006, socket: { data() {} } }));
      const { code, stderr } = await lab.pod.run([AGENT, "run"]);
      expect(code).toBe(1);
      expect(stderr).toMatch(/15006.*in use/);
      expect(stderr).toContain("the proxy ended by itself (exit code 1)");
      expect(await rules()).toEqual([]);
    },
    TEST_MS,
  );

  test(
    "an ordinary user",
    async () => {
      const { code, stderr } = await lab.pod.run([AGENT, "run"], { uid: 1000 });
      expect(code).toBe(1);
      expect(stderr).toContain("needs root");
      expect(stderr).toContain("sudo agent run");
    },
    TEST_MS,
  );

  test.each([
    [["-z", "16006", "--inbound-port", "16007"], "--inbound-port and -z are one port under two names"],
    [["--outbound-port", "0"], "--outbound-port 0: the rules need a port of the proxy to lead to"],
    [["--redirect-dns"], "--redirect-dns: not supported yet"],
    [["--inbund-port", "1"], "did you mean --inbound-port?"],
  ])(
    "%j",
    async (flags, sentence) => {
      const { code, stderr } = await lab.pod.run([AGENT, "run", ...flags]);
      expect(code).toBe(2);
      expect(stderr).toContain(sentence);
    },
    TEST_MS,
  );
});

/** Both ends of a connection, with what each has received. */
interface Session {
  readonly server: Socket;
  readonly client: Socket;
  readonly received: { server: string; client: string };
}

async function connect(port: number): Promise<Session> {
  const received = { server: "", client: "" };
  const accepted = Promise.withResolvers<Socket>();
  const reader = (side: "server" | "client") => ({
    data: (_: Socket, bytes: Buffer) => {
      received[side] += bytes.toString();
    },
  });
  within(lab.pod, () =>
    Bun.listen({ hostname: "0.0.0.0", port, socket: { ...reader("server"), open: accepted.resolve } }),
  );
  const client = await within(lab.node, () => Bun.connect({ hostname: lab.pod.v4, port, socket: reader("client") }));
  return { server: await accepted.promise, client, received };
}

/** `text` both ways, the server first: its direction is the one that a late look at the connection takes for a new one. */
async function expectAlive({ server, client, received }: Session, text: string): Promise<void> {
  server.write(text);
  await until(`the client gets ${text}`, () => received.client.endsWith(text));
  client.write(text);
  await until(`the server gets ${text}`, () => received.server.endsWith(text));
}

test(
  "connections that exist already survive start and end, SSH or not",
  async () => {
    const sessions = [await connect(22), await connect(9000)];
    for (const session of sessions) await expectAlive(session, "before");
    const run = await start();
    for (const session of sessions) await expectAlive(session, "during");
    run.kill("SIGINT");
    expect(await run.exited).toBe(0);
    for (const session of sessions) await expectAlive(session, "after");
    for (const { client, server } of sessions) {
      client.end();
      server.end();
    }
  },
  TEST_MS,
);

test(
  "an SSH connection made meanwhile survives the end",
  async () => {
    const run = await start();
    const session = await connect(22);
    await expectAlive(session, "during");
    run.kill("SIGINT");
    expect(await run.exited).toBe(0);
    await expectAlive(session, "after");
    session.client.end();
  },
  TEST_MS,
);
