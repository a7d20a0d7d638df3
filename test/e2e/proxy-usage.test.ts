// Wrong usage and missing preconditions of the real executable: an exit code, one clear sentence on stderr, nothing on stdout.
// The full table of flags and keys is test/config; this holds what a person meets first.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AGENT, Lab, type RunOptions } from "./lab.ts";
import { RawServer } from "./raw-socket.ts";

let lab: Lab;
let directory: string;
beforeAll(async () => {
  lab = await Lab.create();
  directory = mkdtempSync(join(tmpdir(), "agent-usage-"));
  chmodSync(directory, 0o755);
  writeFileSync(join(directory, "type.yaml"), "# a comment\nserverHeader: me\ninboundPort: [15006]\n");
  writeFileSync(join(directory, "key.yaml"), "inbound:\n  http:\n    - headers: {request: {sett: {proxy: xx1}}}\n");
  writeFileSync(join(directory, "syntax.yaml"), "inbound:\n  http: [\n");
}, 30_000);
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

/** Runs the agent in the pod, `DIR` in its arguments and output being the directory of the test's files. */
async function run(
  args: readonly string[],
  options: RunOptions = {},
): Promise<{ code: number; stdout: string; error: string; hint: string; rest: string[] }> {
  const result = await lab.pod.run([AGENT, ...args.map((arg) => arg.replace("DIR", directory))], {
    timeoutMs: 10_000,
    ...options,
  });
  const [error = "", hint = "", ...rest] = result.stderr.replaceAll(directory, "DIR").trimEnd().split("\n");
  return { code: result.code, stdout: result.stdout, error, hint, rest };
}

const HELP = "agent proxy --help shows what is possible";

describe("wrong usage", () => {
  test.each([
    ["--inbound-port abc", 'error: --inbound-port "abc": must be a port number (0-65535)'],
    ["--inbound-port 65536", 'error: --inbound-port "65536": must be a port number (0-65535)'],
    ["--inbund-port 1", "error: unknown flag --inbund-port; did you mean --inbound-port?"],
    ["--inboundPort abc", 'error: --inboundPort "abc": must be a port number (0-65535)'],
    ["--inbound-port", "error: --inbound-port needs a value: --inbound-port PORT"],
    ["extra", 'error: unexpected argument "extra"'],
    ["--config DIR/none.yaml", 'error: --config "DIR/none.yaml": there is no such file'],
    ["--config DIR/type.yaml", "error: DIR/type.yaml:3:14: inboundPort: must be a port number (0-65535)"],
    [
      "--config DIR/key.yaml",
      "error: DIR/key.yaml:3:27: inbound.http[0].headers.request.sett: unknown key; did you mean set?",
    ],
    ["--listen 8080", "error: --listen needs --target HOST:PORT, where it forwards to"],
    ["--target a:80", "error: --target needs --listen PORT, where requests for it arrive"],
    ["--concurrency 2", 'error: --concurrency "2": must be 1: more worker processes are not supported yet'],
    [
      "--inbound-port 15001",
      "error: --inbound-port and --outbound-port (by default) are both port 15001; give one another port, or 0 to turn it off",
    ],
    ["--connect-timeout 5", /^error: --connect-timeout "5": must be a duration/],
    ["--access-log-encoding xml", 'error: --access-log-encoding "xml": must be TEXT, JSON or BLOCK'],
    ["--access-log-format %NOPE%", /^error: --access-log-format: .*NOPE/],
    ["--config DIR/syntax.yaml", /^error: DIR\/syntax\.yaml:\d+:\d+: /],
  ] as const)("agent proxy %s", async (args, sentence) => {
    const { code, stdout, error, hint, rest } = await run(["proxy", ...args.split(" ")]);
    if (typeof sentence === "string") expect(error).toBe(sentence);
    else expect(error).toMatch(sentence);
    expect({ code, stdout, hint, rest }).toEqual({ code: 2, stdout: "", hint: HELP, rest: [] });
  });

  test("an environment variable is named as it was given", async () => {
    const { code, stdout, error, rest } = await run(["proxy"], { env: { STATUS_PORT: "http" } });
    expect(error).toBe('error: STATUS_PORT="http": must be a port number (0-65535)');
    expect({ code, stdout, rest }).toEqual({ code: 2, stdout: "", rest: [] });
  });

  test("all mistakes are told at once", async () => {
    const result = await lab.pod.run([AGENT, "proxy", "--inbound-port", "abc", "--concurrency", "2", "--nope"]);
    expect(result.stderr.match(/^error: /gm)).toHaveLength(3);
    expect(result.code).toBe(2);
  });

  test("an unknown command is told, with what there is", async () => {
    const { code, stdout, error, hint, rest } = await run(["prxy"]);
    expect(error).toBe('error: unknown command "prxy"; did you mean proxy?');
    expect({ code, stdout, hint, rest }).toEqual({
      code: 2,
      stdout: "",
      hint: "agent --help shows what is possible",
      rest: [],
    });
  });
});

describe("what stands in the way", () => {
  /** Everything off but what is given. */
  const only = (...flags: string[]): string[] => [
    "proxy",
    ...[
      "--inbound-port",
      "--outbound-port",
      "--proxy-admin-port",
      "--status-port",
      "--health-port",
      "--prometheus-port",
    ]
      .filter((flag) => !flags.includes(flag))
      .flatMap((flag) => [flag, "0"]),
    ...flags,
  ];

  test.each([
    ["--inbound-port", "[::]"],
    ["--outbound-port", "[::]"],
    ["--proxy-admin-port", "127.0.0.1"],
    ["--status-port", "[::]"],
    ["--health-port", "[::]"],
    ["--prometheus-port", "[::]"],
  ])("%s is in use", async (flag, address) => {
    using server = new RawServer(lab.pod);
    const { code, stdout, error, rest } = await run(only(flag, String(server.port)));
    expect(error).toMatch(/^error: cannot bind .*: address in use \(is another proxy running /);
    expect(error).toContain(`${address}:${server.port}: `);
    expect({ code, stdout, rest }).toEqual({ code: 1, stdout: "", rest: [] });
  });

  test("a port below 1024 as an ordinary user", async () => {
    const { code, stdout, error, rest } = await run(only("--listen", "80", "--target", "127.0.0.1:81"), { uid: 1000 });
    // Where unprivileged users may have low ports, the namespace says so; these do not.
    await lab.pod.check(["sh", "-c", "test $(cat /proc/sys/net/ipv4/ip_unprivileged_port_start) = 1024"]);
    expect(error).toBe("error: cannot bind [::]:80: permission denied (ports below 1024 need root)");
    expect({ code, stdout, rest }).toEqual({ code: 1, stdout: "", rest: [] });
  });

  test("init without root", async () => {
    const { code, stdout, error, rest } = await run(["init", "-i", "*"], { uid: 1000 });
    expect(error).toBe("error: netfilter rules need root or NET_ADMIN");
    expect({ code, stdout, rest }).toEqual({ code: 1, stdout: "", rest: [] });
  });

  test("init without iptables", async () => {
    const { code, stdout, error, hint, rest } = await run(["init", "-i", "*"], { env: { PATH: "/nonexistent" } });
    expect(error).toBe("error: iptables is not installed, or not on PATH (/nonexistent)");
    expect(hint).toContain("apt-get install iptables");
    expect({ code, stdout, rest }).toEqual({ code: 1, stdout: "", rest: [] });
  });

  test("an access log that cannot be written", async () => {
    const { code, stdout, error, rest } = await run(only("--access-log-file", "/nonexistent/log"));
    expect(error).toMatch(/^error: .*\/nonexistent\/log/);
    expect(code).toBeOneOf([1, 2]);
    expect({ stdout, rest }).toEqual({ stdout: "", rest: [] });
  });
});
