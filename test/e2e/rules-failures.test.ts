// What init does when it cannot: one clear sentence, the right exit code, and the rules as they were before.
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Toolbox } from "./backend.ts";
import { AGENT, Lab, type RunOptions } from "./lab.ts";
import { within } from "./within.ts";

const ORDINARY_USER = 65_534;

/** Ends with `code`; the error is one sentence, which is returned. */
async function failing(lab: Lab, code: number, flags: string[], options?: RunOptions): Promise<string> {
  const result = await lab.pod.run([AGENT, ...flags], options);
  expect(result.stdout).toBe("");
  const errors = result.stderr.split("\n").filter((line) => line.startsWith("error: "));
  expect(errors).toHaveLength(1);
  expect(result.code).toBe(code);
  return errors[0]!;
}

describe("without the means", () => {
  test("an ordinary user is told what is missing", async () => {
    await using lab = await Lab.create();
    for (const flags of [["init"], ["init", "--cleanup-only"], ["rules"]]) {
      expect(await failing(lab, 1, flags, { uid: ORDINARY_USER })).toContain("need root or NET_ADMIN");
    }
  });

  test("the capability NET_ADMIN is enough, with uid 0 and nothing else but NET_RAW", async () => {
    await using lab = await Lab.create();
    const drop = ["setpriv", "--bounding-set=-all,+net_admin,+net_raw", "--inh-caps=-all"];
    await lab.pod.check([...drop, AGENT, "init", "--preset", "sidecar", "--dual-stack"]);
    expect(await lab.pod.check(["ip", "-6", "address", "show", "dev", "lo"])).toContain("::6/128");
    const none = await lab.pod.run(["setpriv", "--bounding-set=-all", "--inh-caps=-all", AGENT, "init"]);
    expect(none.code).toBe(1);
    expect(none.stderr).toContain("need root or NET_ADMIN");
  });

  test.each([{ PATH: "" }, { PATH: "/nonexistent" }])("without iptables the package is named: %j", async (env) => {
    await using lab = await Lab.create();
    const { code, stderr } = await lab.pod.run([AGENT, "init", "--preset", "sidecar"], { env });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: iptables is not installed[^\n]*\n[^\n]*package iptables[^\n]*\n$/);
  });

  test("without ip6tables IPv4 works, and IPv6 is refused", async () => {
    await using lab = await Lab.create();
    using tools = new Toolbox("nft");
    tools.remove("ip6tables-restore");
    await lab.pod.check([AGENT, "init", "--preset", "sidecar"], { env: tools.env });
    const flags = ["init", "--preset", "sidecar", "--dual-stack"];
    expect(await failing(lab, 1, flags, { env: tools.env })).toContain("ip6tables is not installed");
  });

  test("without a usable address init asks for the family, and the dry run assumes IPv4", async () => {
    await using lab = await Lab.create();
    await lab.pod.check(["ip", "address", "flush", "dev", "eth0"]);
    expect(await failing(lab, 1, ["init", "--preset", "sidecar"])).toContain("no usable address");
    const dryRun = await lab.pod.run([AGENT, "rules", "--dry-run", "--preset", "sidecar"]);
    expect(dryRun.code).toBe(0);
    expect(dryRun.stderr).toContain("warning: no usable address on this host: IPv4 is assumed");
    expect(dryRun.stdout).not.toContain("ip6tables");
    await lab.pod.check([AGENT, "init", "--preset", "sidecar", "--ip-family", "4"]);
  });
});

describe("wrong usage", () => {
  test.each([
    [["init", "-p", "0"], '-p "0": must be a port number'],
    [["init", "-c", "name-that-is-too-long"], "longer than the 15 characters"],
    [["init", "-i", "10.0.0.0"], "is not an address range"],
    [["init", "--istio-inbound-port", "80"], "did you mean --istio-inbound-ports?"],
    [["init", "--redirect-dns"], "--redirect-dns: not supported yet"],
    [["init", "-m", "TPROXY"], "-m TPROXY: not supported yet"],
    [["rules", "--dry-run", "--native-nftables"], "--native-nftables: not supported yet"],
    [["rules", "--dry-run", "--format", "json"], "must be commands or restore"],
  ])("%j", async (flags, sentence) => {
    await using lab = await Lab.create();
    expect(await failing(lab, 2, flags)).toContain(sentence);
  });
});

describe("a failure half-way leaves what was there", () => {
  const before = "--preset vm --dual-stack -c net1 -k kv0".split(" ");
  const after = "-b 80 -i 10.0.0.0/8 --dual-stack -c net2".split(" ");
  const FAIL = 'case "$*" in *--test*) real "$@";; esac; echo "ip6tables-restore: made to fail" >&2; exit 4';

  test("of the second family, on a first run", async () => {
    await using lab = await Lab.create();
    using tools = new Toolbox("nft");
    tools.replace("ip6tables-restore", FAIL);
    const error = await failing(lab, 1, ["init", ...after], { env: tools.env });
    expect(error).toMatch(/made to fail.*could not be put back|made to fail.*are back/);
    expect(await tools.saved(lab.pod)).not.toContain("ISTIO_");
    expect(await lab.pod.check(["ip", "-6", "address", "show", "dev", "lo"])).not.toContain("::6/128");
  });

  test("of the second family, over earlier rules and others'", async () => {
    await using lab = await Lab.create();
    using tools = new Toolbox("nft");
    await lab.pod.check([AGENT, "init", ...before]);
    await lab.pod.check(["iptables", "-t", "nat", "-A", "OUTPUT", "-p", "udp", "-j", "ACCEPT"]);
    await lab.pod.check(["iptables", "-t", "nat", "-I", "PREROUTING", "2", "-p", "udp", "-j", "ACCEPT"]);
    const saved = await tools.saved(lab.pod);
    tools.replace("ip6tables-restore", FAIL);
    expect(await failing(lab, 1, ["init", ...after], { env: tools.env })).toContain("made to fail");
    expect(await tools.saved(lab.pod)).toBe(saved);
  });

  test("of the verification: a kernel that holds something else", async () => {
    await using lab = await Lab.create();
    using tools = new Toolbox("nft");
    await lab.pod.check([AGENT, "init", ...before]);
    const saved = await tools.saved(lab.pod);
    // Drops a rule on the way in, the first time: as a kernel that takes what it is told for something else.
    const once = `${tools.directory}/once`;
    tools.replace(
      "iptables-restore",
      `case "$*" in *--test*) real "$@";; esac
if [ -e ${once} ]; then real "$@"; fi
: >${once}
/bin/sed '/-A ISTIO_OUTPUT -d 127/d' | real "$@"`,
    );
    const error = await failing(lab, 1, ["init", ...after], { env: tools.env });
    expect(error).toMatch(
      /IPv4 rules are not the planned ones: rule \d+ of ISTIO_OUTPUT is .*; the earlier rules are back/,
    );
    expect(await tools.saved(lab.pod)).toBe(saved);
  });

  test("of the test run: nothing was touched", async () => {
    await using lab = await Lab.create();
    using tools = new Toolbox("nft");
    tools.replace("ip6tables-restore", 'echo "ip6tables-restore: unknown option" >&2; exit 2');
    expect(await failing(lab, 1, ["init", ...after], { env: tools.env })).toContain("unknown option");
    expect(await tools.saved(lab.pod)).not.toContain("ISTIO_");
  });

  test("IPv6 switched off on lo: the address cannot be added", async () => {
    await using lab = await Lab.create();
    using tools = new Toolbox("nft");
    await lab.pod.check(["sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/lo/disable_ipv6"]);
    expect(await failing(lab, 1, ["init", ...after])).toContain("cannot add ::6/128 to lo");
    expect(await tools.saved(lab.pod)).not.toContain("ISTIO_");
  });
});

test("there is no moment without rules while they are replaced", async () => {
  await using lab = await Lab.create();
  const { pod, node } = lab;
  await pod.check([AGENT, "init", "--preset", "sidecar"]);
  using _listener = within(pod, () =>
    Bun.listen({ hostname: "0.0.0.0", port: 15001, socket: { open: (socket) => void socket.end(), data() {} } }),
  );
  let isReplacing = true;
  let connected = 0;
  // Nobody listens at the node: a connection that is not redirected is refused.
  const connecting = (async () => {
    while (isReplacing) {
      await new Promise<void>((resolve, reject) => {
        within(pod, () =>
          Bun.connect({
            hostname: node.v4,
            port: 9,
            socket: { open() {}, data() {}, close: () => resolve(), connectError: (_socket, error) => reject(error) },
          }).catch(reject),
        );
      });
      connected++;
    }
  })();
  const replacing = (async () => {
    for (const preset of ["vm", "sidecar", "vm", "sidecar", "vm"]) {
      await pod.check([AGENT, "init", "--preset", preset, "-c", `nic${preset}`]);
    }
    isReplacing = false;
  })();
  await Promise.all([connecting, replacing]);
  expect(connected).toBeGreaterThan(50);
});

describe("interrupted", () => {
  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "by %s between the families, init finishes both",
    async (signal) => {
      await using lab = await Lab.create();
      using tools = new Toolbox("nft");
      const gate = join(tools.directory, "gate");
      tools.replace(
        "ip6tables-restore",
        `for option; do [ "$option" != --test ] || real "$@"; done
while [ ! -e ${gate} ]; do /bin/sleep 0.02; done
real "$@"`,
      );
      const flags = ["init", "--preset", "sidecar", "--dual-stack"];
      const init = lab.pod.spawn([AGENT, ...flags], { env: tools.env });
      while (!(await tools.saved(lab.pod)).includes("-A ISTIO_REDIRECT")) await Bun.sleep(20);
      init.kill(signal);
      await init.waitFor(/finishing the change of the rules first/, "stderr");
      writeFileSync(gate, "");
      expect(await init.exited).toBe(0);
      const interrupted = await tools.saved(lab.pod);
      expect(interrupted).toContain("-A OUTPUT -j ISTIO_OUTPUT");
      await lab.pod.check([AGENT, ...flags]);
      expect(await tools.saved(lab.pod)).toBe(interrupted);
    },
  );
});
