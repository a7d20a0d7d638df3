// The words of init: flags over variables over preset over defaults, what is refused, and by which name.
import { describe, expect, test } from "bun:test";
import { type InitConfig, modeWarning, unsupportedSettings } from "../../src/config/init-schema.ts";
import type { CaptureConfig } from "../../src/netfilter/capture-config.ts";
import { captureOfFlags, type ReadOptions, readFlags } from "../netfilter/flags.ts";

describe("means", () => {
  test.each<[flags: string, options: ReadOptions, capture: Partial<CaptureConfig>]>([
    ["", {}, { outboundPort: 15001, inboundPort: 15006, tunnelPort: 15008, proxyUids: [1337], proxyGids: [1337] }],
    ["", { users: { "istio-proxy": 115 } }, { proxyUids: [115], proxyGids: [115] }],
    ["", { users: { envoy: 7 }, environment: { ENVOY_USER: "envoy" } }, { proxyUids: [7], proxyGids: [7] }],
    ["", { users: { "istio-proxy": 115 }, environment: { ENVOY_USER: "" } }, { proxyUids: [1337] }],
    ["-u 5", { users: { "istio-proxy": 115 } }, { proxyUids: [5], proxyGids: [5] }],
    ["-u 5,6 -g 7", {}, { proxyUids: [5, 6], proxyGids: [7] }],
    ["-u ''", { environment: { PROXY_GID: "" } }, { proxyUids: [1337], proxyGids: [1337] }],
    ["", { environment: { ENVOY_PORT: "1", INBOUND_CAPTURE_PORT: "2" } }, { outboundPort: 1, inboundPort: 2 }],
    ["-p 3", { environment: { ENVOY_PORT: "1" } }, { outboundPort: 3 }],
    ["--envoy-port=3 -p 4", {}, { outboundPort: 4 }],
    ["-b ',80,,81,'", {}, { inboundPorts: [80, 81] }],
    ["-b ''", { environment: { ISTIO_INBOUND_PORTS: "80" } }, { inboundPorts: [] }],
    ["--preset sidecar", {}, { inboundPorts: "*", excludeInboundPorts: [15090, 15021, 15020], outboundCidrs: "*" }],
    ["--preset vm", {}, { excludeInboundPorts: [15090, 15021, 15020, 22], excludeOutboundPorts: [22] }],
    ["--preset vm -d 1", {}, { inboundPorts: "*", excludeInboundPorts: [1], excludeOutboundPorts: [22] }],
    ["--preset sidecar", { environment: { ISTIO_SERVICE_CIDR: "" } }, { inboundPorts: "*", outboundCidrs: [] }],
    ["", { environment: { ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR: "127.0.0.0/8" } }, { loopbackCidr: "127.0.0.0/8" }],
    ["-c eth0,eth0.100 -k 'tap+'", {}, { excludeInterfaces: ["eth0", "eth0.100"], virtualInterfaces: ["tap+"] }],
  ])("%s %j", (flags, options, capture) => {
    expect(captureOfFlags(flags, options)).toMatchObject(capture);
  });
});

test.each<[environment: Record<string, string>, dualStack: boolean, warnings: string[]]>([
  [{ DUAL_STACK: "true" }, true, []],
  [{ DUAL_STACK: "true", ISTIO_DUAL_STACK: "F" }, false, []],
  [{ DUAL_STACK: "yes" }, false, ['DUAL_STACK="yes": must be true or false; ignored']],
])("variables %j", (environment, dualStack, warnings) => {
  const read = readFlags("", { environment });
  expect(read.config?.dualStack).toBe(dualStack);
  expect(read.warnings).toEqual(warnings);
});

describe("refuses", () => {
  test.each([
    ["-p 0", '-p "0": must be a port number (1-65535)'],
    ["-z 70000", '-z "70000": must be a port number'],
    ["--envoy-port x", '--envoy-port "x": must be a port number'],
    ["-b 80x", '-b "80x": must be ports'],
    ["-d '*'", '-d "*": must be ports'],
    ["-d 0", '-d "0": must be ports'],
    ["-u root", '-u "root": must be user or group numbers'],
    ["-i 10.0.0.0", '"10.0.0.0" is not an address range'],
    ["-i '*,10.0.0.0/8'", '"*" cannot be one of several'],
    ["-x '*'", '-x "*": "*" cannot be one of several, or of exclusions'],
    ["-c a-very-long-name", "longer than the 15 characters"],
    ["-c a/b", '"a/b" is not the name of a network interface'],
    ["-c 'eth 0'", "is not the name of a network interface"],
    ["-k -eth0", "is not the name of a network interface"],
    ["-k '!eth0'", "is not the name of a network interface"],
    ["-c ..", "is not the name of a network interface"],
    ["--preset pod", '--preset "pod": must be sidecar or vm'],
    ["--ip-family 5", "must be 4, 6 or dual"],
    ["--dual-stack=2", "must be true or false"],
    ["--inbound-ports 80", "unknown flag --inbound-ports"],
  ])("%s", (flags, problem) => {
    expect(readFlags(flags).problems.join("\n")).toContain(problem);
  });
});

describe("not supported yet", () => {
  const refused = (flags: string, environment: Record<string, string> = {}) => {
    const { config, given, problems } = readFlags(flags, { environment });
    expect(problems).toEqual([]);
    return unsupportedSettings(config as InitConfig, given);
  };

  test.each([
    ["-m TPROXY", "-m TPROXY"],
    ["-t 1337", "-t"],
    ["--istio-inbound-tproxy-route-table 1", "--istio-inbound-tproxy-route-table"],
    ["--redirect-dns", "--redirect-dns"],
    ["--redirect-dns=true", "--redirect-dns"],
    ["--capture-all-dns", "--capture-all-dns"],
    ["--drop-invalid", "--drop-invalid"],
    ["--run-validation", "--run-validation"],
    ["--skip-rule-apply", "--skip-rule-apply"],
    ["--native-nftables", "--native-nftables"],
    ["--force-iptables-binary nft", "--force-iptables-binary"],
    ["--network-namespace /run/netns/x", "--network-namespace"],
    ["--cni-mode", "--cni-mode"],
    ["--reconcile", "--reconcile"],
    ["--force-apply", "--force-apply"],
    ["--iptables-probe-port 1", "--iptables-probe-port"],
    ["--probe-timeout 1s", "--probe-timeout"],
  ])("%s", (flags, name) => {
    expect(refused(flags)).toEqual([`${name}: not supported yet`]);
  });

  test.each([
    [{ ISTIO_META_DNS_CAPTURE: "true" }, "ISTIO_META_DNS_CAPTURE"],
    [{ INVALID_DROP: "1" }, "INVALID_DROP"],
    [{ ISTIO_OUTBOUND_OWNER_GROUPS: "100" }, "ISTIO_OUTBOUND_OWNER_GROUPS"],
    [{ ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: "100" }, "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE"],
    [{ FORCE_IPTABLES_BINARY: "legacy" }, "FORCE_IPTABLES_BINARY"],
    [{ ISTIO_INBOUND_INTERCEPTION_MODE: "TPROXY" }, "ISTIO_INBOUND_INTERCEPTION_MODE TPROXY"],
  ])("%j", (environment, name) => {
    expect(refused("", environment as Record<string, string>)).toEqual([`${name}: not supported yet`]);
  });

  test.each<[flags: string, environment: Record<string, string>]>([
    ["--redirect-dns=false -m REDIRECT", {}],
    ["", { ISTIO_META_DNS_CAPTURE: "false", ISTIO_OUTBOUND_OWNER_GROUPS: "*", PROBE_TIMEOUT: "5s" }],
    ["--log_output_level=default:info --log_as_json --log_target x --log_caller y --log_stacktrace_level z", {}],
  ])("but not what asks for nothing: %s %j", (flags, environment) => {
    expect(refused(flags, environment)).toEqual([]);
  });
});

test("an unknown interception mode is REDIRECT, and said so", () => {
  const warning = (flags: string) => modeWarning(readFlags(flags).config as InitConfig);
  expect(warning("-m tproxy")).toContain('-m "tproxy" is not a mode: REDIRECT is used');
  expect(warning("-m REDIRECT")).toBeUndefined();
  expect(warning("")).toBeUndefined();
});
