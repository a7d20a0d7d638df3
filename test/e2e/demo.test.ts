// `agent demo` as a user runs it: the story to its end, and nothing left however it ends.

import { afterEach, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { AGENT, Proc } from "./lab.ts";

const TEST_MS = 30_000;
const STEPS = 8;

/** Inherited by all of a demo's processes, so that they are found when their parent is gone. */
const MARK = "PILOTFISH_DEMO_MARK";
const marks = new WeakMap<Proc, string>();
let count = 0;
const started: Proc[] = [];
afterEach(() => {
  for (const demo of started.splice(0)) demo.kill("SIGKILL");
});

/** In a session of its own, as at a terminal: a signal to `-pid` is what Ctrl-C sends. */
function start(...flags: string[]): Proc {
  const mark = `${process.pid}-${++count}`;
  const child = Bun.spawn([AGENT, "demo", ...flags], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    detached: true,
    env: { ...process.env, [MARK]: mark },
  });
  const demo = new Proc(`agent demo ${flags.join(" ")}`, child);
  marks.set(demo, mark);
  started.push(demo);
  return demo;
}

async function finish(demo: Proc): Promise<{ code: number; stdout: string; stderr: string }> {
  const code = await demo.exited;
  return { code, stdout: demo.stdout, stderr: demo.stderr };
}

/** Ctrl-C; too late is no failure. */
function interrupt(demo: Proc): void {
  try {
    process.kill(-demo.pid, "SIGINT");
  } catch {
    // It has ended.
  }
}

/** Namespaces and processes of a demo that are still there. */
const remains = (demo: Proc): string[] => remainsOf(demo.pid, marks.get(demo)!);

function remainsOf(pid: number, mark: string): string[] {
  const processes = readdirSync("/proc").filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, "utf8").includes(`${MARK}=${mark}\0`);
    } catch {
      // It ended meanwhile.
      return false;
    }
  });
  return [...readdirSync("/run/netns").filter((name) => name.startsWith(`pilotfish-demo-${pid}-`)), ...processes];
}

test(
  "tells the story to its end, with four captured requests, and leaves nothing",
  async () => {
    const begin = performance.now();
    const demo = start();
    const { code, stdout, stderr } = await finish(demo);
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(performance.now() - begin).toBeLessThan(5_000);
    expect(stdout.match(/^\d\. /gm)).toHaveLength(STEPS);
    expect(stdout).toContain("-A ISTIO_OUTPUT -j ISTIO_REDIRECT");
    expect(stdout).toMatch(/GET {3}http:\S+\/get\?query=param +200 {2}Server: pilotfish/);
    expect(stdout).toMatch(/POST {2}http:\S+\/post {2}\(body=parameters\) +200 {2}Server: pilotfish/);
    expect(stdout).toMatch(/GET {3}http:\S+\/status\/429 +429 {2}Server: pilotfish/);
    expect(stdout).toMatch(/x-request-id: [0-9a-f-]{36}/);
    expect(stdout).toContain("x-request-id: none");
    expect([...stdout.matchAll(/^ *Request Size: (\d+)$/gm)].map(([, size]) => size)).toEqual(["0", "15", "0", "0"]);
    expect(
      [...stdout.matchAll(/^ *((?:in|out)bound +\d+ +\d+) /gm)].map(([, row]) => row?.replaceAll(/ +/g, " ")),
    ).toEqual(["inbound 200 2", "inbound 429 1", "outbound 200 1"]);
    expect(stdout).toContain("4 requests captured");
    expect(stdout).not.toContain("\x1b");
    expect(remains(demo)).toEqual([]);
  },
  TEST_MS,
);

test(
  "-o json is one object for scripts",
  async () => {
    const { code, stdout } = await finish(start("-o", "json"));
    expect(code).toBe(0);
    const result = JSON.parse(stdout) as { captured: number; problems: string[]; scenes: { kind: string }[] };
    expect(result.captured).toBe(4);
    expect(result.problems).toEqual([]);
    expect(result.scenes).toHaveLength(STEPS);
  },
  TEST_MS,
);

describe("the end", () => {
  test.each([
    ["SIGINT", 1],
    ["SIGINT", 2],
    ["SIGTERM", 3],
    ["SIGHUP", 5],
  ] as const)(
    "%s in step %d",
    async (signal, step) => {
      const demo = start();
      await demo.waitFor(new RegExp(`^${step}\\. `, "m"));
      process.kill(-demo.pid, signal);
      const { code, stderr } = await finish(demo);
      expect(stderr).toContain("interrupted; the pod is removed");
      expect(code).toBe(1);
      expect(remains(demo)).toEqual([]);
    },
    TEST_MS,
  );

  test(
    "Ctrl-C at any time",
    async () => {
      for (let delay = 0; delay < 400; delay += 25) {
        const demo = start();
        await Bun.sleep(delay);
        interrupt(demo);
        const { code, stderr } = await finish(demo);
        expect([delay, code, stderr]).toBeOneOf([
          [delay, 0, ""],
          [delay, 1, "warning: interrupted; the pod is removed\n"],
          // It had not begun.
          [delay, 128 + 2, ""],
        ]);
        expect(remains(demo)).toEqual([]);
      }
    },
    TEST_MS,
  );

  test(
    "a reader that leaves early",
    async () => {
      const piped = `sh -c 'echo $$ >&2; exec "${AGENT}" demo' | head -n 1`;
      const { stdout, stderr } = Bun.spawnSync(["sh", "-c", piped], { env: { ...process.env, [MARK]: "piped" } });
      expect(stdout.toString()).toBe("1. A throw-away pod\n");
      expect(remainsOf(Number(stderr.toString()), "piped")).toEqual([]);
    },
    TEST_MS,
  );

  test(
    "kill -9: the next demo removes what is left",
    async () => {
      const demo = start("--keep");
      await demo.waitFor(/Ctrl-C here/);
      demo.kill("SIGKILL");
      await demo.exited;
      // Two namespaces, two applications, the proxy.
      expect(remains(demo)).toHaveLength(5);
      expect((await finish(start())).code).toBe(0);
      expect(remains(demo)).toEqual([]);
    },
    TEST_MS,
  );
});

test(
  "--keep goes on until Ctrl-C, and what it says to try works",
  async () => {
    const demo = start("--keep");
    await demo.waitFor(/Ctrl-C here/);
    const text = demo.stdout;
    // Another demo beside it disturbs neither.
    expect((await finish(start())).code).toBe(0);
    const commands = [...text.matchAll(/^ {3}(nsenter .*)$/gm)].map(([, command]) => command!);
    expect(commands).toHaveLength(5);
    const outputs = commands.map((command) => Bun.spawnSync(["sh", "-c", command]).stdout.toString());
    expect(outputs[0]).toContain("Server: pilotfish");
    expect(outputs[1]).toContain("Server: pilotfish");
    expect(outputs[2]).toContain("X-Request-Id");
    expect(outputs[3]).toContain("ISTIO_REDIRECT");
    expect(outputs[4]).toMatch(/^istio_requests_total\{.*reporter="destination"/m);
    process.kill(-demo.pid, "SIGINT");
    const { code, stdout } = await finish(demo);
    expect(code).toBe(0);
    expect(stdout).toContain("/delay/2");
    expect(stdout).toContain("everything removed");
    expect(remains(demo)).toEqual([]);
  },
  TEST_MS,
);

describe("refusals", () => {
  const run = (command: string[], env: Record<string, string> = {}) => {
    const { exitCode, stderr } = Bun.spawnSync(command, { env: { ...process.env, ...env } });
    return { code: exitCode, stderr: stderr.toString() };
  };

  test("an ordinary user", () => {
    const { code, stderr } = run(["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", AGENT, "demo"]);
    expect(code).toBe(1);
    expect(stderr).toContain("needs root");
    expect(stderr).toContain("sudo agent demo");
  });

  test("nothing of what it needs is installed", () => {
    const { code, stderr } = run([AGENT, "demo"], { PATH: "/nonexistent" });
    expect(code).toBe(1);
    expect(stderr).toContain("is not installed");
    expect(stderr).toContain("apt-get install iptables");
  });
});
