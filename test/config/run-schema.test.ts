// How `agent run` joins the settings of init and of the proxy: one port, one user, and exclusions that fit.

import { describe, expect, test } from "bun:test";
import { parseFlags } from "../../src/config/flags.ts";
import { captureOf } from "../../src/config/init-schema.ts";
import { resolve } from "../../src/config/resolve.ts";
import { proxyFlags, RunSchema, runCapture, runPorts } from "../../src/config/run-schema.ts";
import { settingsOf } from "../../src/config/setting.ts";

function run(argv: readonly string[], environment: Record<string, string> = {}) {
  const { values: flags } = parseFlags(settingsOf(RunSchema), argv);
  const { config, given, problems } = resolve(RunSchema, { flags, environment, documents: [] });
  if (config === undefined) throw new Error(problems.join("\n"));
  return { config, given, flags, ports: runPorts(config, given) };
}

function capture(argv: readonly string[], environment: Record<string, string> = {}) {
  const { config, given, ports } = run(argv, environment);
  if ("problems" in ports) throw new Error(ports.problems.join("\n"));
  const result = runCapture(config, given, ports);
  return captureOf(result.settings, result.given, () => undefined);
}

function flagsOfProxy(argv: readonly string[], environment: Record<string, string> = {}) {
  const { config, flags, ports } = run(argv, environment);
  if ("problems" in ports) throw new Error(ports.problems.join("\n"));
  return proxyFlags(config, flags, ports);
}

const AGREED = ["--inbound-port=15006", "--outbound-port=15001", "--proxy-uid=1337", "--proxy-gid=1337"];

test("every flag and every short name is there once", () => {
  const settings = settingsOf(RunSchema);
  for (const names of [settings.map(({ flag }) => flag), settings.map(({ short }) => short)]) {
    const given = names.filter((name) => name !== undefined);
    expect(given.filter((name, index) => given.indexOf(name) !== index)).toEqual([]);
  }
});

describe("capture", () => {
  test("without flags: everything but SSH and the proxy's own ports", () => {
    expect(capture([])).toMatchObject({
      inboundPorts: "*",
      excludeInboundPorts: [15090, 15021, 15020, 22],
      outboundCidrs: "*",
      excludeOutboundPorts: [22],
      inboundPort: 15006,
      outboundPort: 15001,
      proxyUids: [1337],
      proxyGids: [1337],
    });
  });

  test.each<[string, string[], object]>([
    [
      "the sidecar's preset",
      ["--preset", "sidecar"],
      { excludeInboundPorts: [15090, 15021, 15020], excludeOutboundPorts: [] },
    ],
    [
      "moved ports stay excluded",
      ["--health-port", "1", "--status-port", "0"],
      { excludeInboundPorts: [15090, 1, 22] },
    ],
    ["own exclusions replace them", ["-d", "7", "--health-port", "1"], { excludeInboundPorts: [7] }],
    ["named ports need no exclusions", ["-b", "80"], { inboundPorts: [80], excludeInboundPorts: [] }],
    ["the proxy's ports", ["--inbound-port", "1", "--outbound-port", "2"], { inboundPort: 1, outboundPort: 2 }],
    ["the ports as init calls them", ["-z", "1", "-p", "2"], { inboundPort: 1, outboundPort: 2 }],
    ["the same port twice", ["-z", "1", "--inbound-port", "1"], { inboundPort: 1 }],
    ["the user", ["-u", "5", "--proxy-gid", "6"], { proxyUids: [5], proxyGids: [6] }],
  ])("%s", (_name, argv, want) => expect(capture(argv)).toMatchObject(want));

  test("init's variables count", () => {
    expect(capture([], { INBOUND_CAPTURE_PORT: "1", ISTIO_INBOUND_PORTS: "80,81" })).toMatchObject({
      inboundPort: 1,
      inboundPorts: [80, 81],
    });
  });

  test.each<[string[], string]>([
    [["-z", "1", "--inbound-port", "2"], "--inbound-port and -z are one port under two names: give one of them"],
    [["--outbound-port", "0"], "--outbound-port 0: the rules need a port of the proxy to lead to"],
    [["-p", "0"], "-p 0: the rules need a port of the proxy to lead to"],
  ])("%j", (argv, problem) => expect(run(argv).ports).toEqual({ problems: [problem] }));
});

describe("the proxy's flags", () => {
  test.each<[string, string[], string[]]>([
    ["what has to agree is always said", [], AGREED],
    [
      "its own flags are passed as typed",
      ["--healthPort", "9", "--access-log-file="],
      ["--health-port=9", "--access-log-file="],
    ],
    ["init's are not", ["-b", "80", "--dual-stack", "--preset", "vm"], []],
    ["ports under init's names", ["-z", "1", "-p=2"], ["--inbound-port=1", "--outbound-port=2"]],
  ])("%s", (_name, argv, want) => expect(flagsOfProxy(argv)).toEqual(expect.arrayContaining(want)));

  test("nothing else", () => {
    expect(flagsOfProxy(["-b", "80", "--dual-stack"]).sort()).toEqual([...AGREED].sort());
  });

  test("variables of init reach it too", () => {
    expect(flagsOfProxy([], { ENVOY_PORT: "2" })).toContain("--outbound-port=2");
  });
});
