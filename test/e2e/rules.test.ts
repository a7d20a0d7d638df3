// init and rules --dry-run against the real kernel, with both kinds of iptables: what is programmed, again and away.
import { describe, expect, test } from "bun:test";
import { FLAG_CASES } from "../netfilter/cases.ts";
import { shellWords } from "../netfilter/flags.ts";
import { BACKENDS, type Backend, Toolbox } from "./backend.ts";
import { AGENT, Lab } from "./lab.ts";

const ORDINARY_USER = 65_534;

/** A fresh pod (and a fresh node) with one kind of iptables, and what the tests do there. */
class Ground implements AsyncDisposable {
  private constructor(
    readonly lab: Lab,
    readonly tools: Toolbox,
  ) {}

  static async create(backend: Backend): Promise<Ground> {
    return new Ground(await Lab.create(), new Toolbox(backend));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    this.tools[Symbol.dispose]();
  }

  init(flags: string): Promise<string> {
    return this.lab.pod.check([AGENT, "init", ...shellWords(flags)], { env: this.tools.env });
  }

  liveRules(): Promise<string> {
    return this.lab.pod.check([AGENT, "rules"], { env: this.tools.env });
  }

  /** As an ordinary user, without iptables on PATH. */
  dryRun(flags: string): Promise<string> {
    const command = [AGENT, "rules", "--dry-run", ...shellWords(flags)];
    return this.lab.pod.check(command, { uid: ORDINARY_USER, env: { PATH: "/nonexistent" } });
  }

  shell(text: string, namespace = this.lab.pod): Promise<string> {
    return namespace.check(["/bin/sh", "-e"], { stdin: text, env: this.tools.env });
  }

  /** Feeds both families. */
  async restore(ipv4: string, ipv6 = ipv4, namespace = this.lab.pod): Promise<void> {
    await namespace.check([`${this.tools.directory}/iptables-restore`, "--noflush"], { stdin: ipv4 });
    await namespace.check([`${this.tools.directory}/ip6tables-restore`, "--noflush"], { stdin: ipv6 });
  }

  /** The pod's rules. */
  saved(namespace = this.lab.pod): Promise<string> {
    return this.tools.saved(namespace);
  }

  loopbackAddresses(): Promise<string> {
    return this.lab.pod.check(["/bin/cat", "/proc/net/if_inet6"]);
  }
}

describe("an ordinary user's dry run, fed to a shell in a fresh namespace, gives the rules of init", () => {
  const dual = (names: readonly string[]) =>
    names.map((name) => [name, `${FLAG_CASES[name]} --ip-family dual`] as const);
  const cases: (readonly [Backend, string, string])[] = [
    ["nft", "as the article has it", FLAG_CASES["demo"]!],
    ...dual(Object.keys(FLAG_CASES)).map(([name, flags]) => ["nft", name, flags] as const),
    ...dual(["demo", "everything", "virtual-interfaces-all"]).map(([name, flags]) => ["legacy", name, flags] as const),
  ];
  test.each(cases)("%s: %s", async (backend, _name, flags) => {
    await using ground = await Ground.create(backend);
    const lines = await ground.dryRun(flags);
    expect(lines).toMatch(/^(ip6?tables -t nat -[NAI] .*\n)+$/);
    await ground.shell(lines, ground.lab.node);
    await ground.init(flags);
    const saved = await ground.saved();
    expect(saved).toContain("-A OUTPUT -j ISTIO_OUTPUT");
    // Of legacy, init's look at the other family is enough to make its tables.
    expect(filled(saved)).toBe(filled(await ground.saved(ground.lab.node)));
  });
});

/** The tables that are not empty: iptables makes tables when it looks at them. */
function filled(saved: string): string {
  return saved.replace(/^\*\w+\n(:.*\n)+COMMIT\n/gm, "");
}

describe.each(BACKENDS.map((backend) => [backend]))("iptables of %s", (backend) => {
  test("the restore format gives the rules of init", async () => {
    await using ground = await Ground.create(backend);
    const text = await ground.dryRun("--preset sidecar --dual-stack --format restore");
    const [, ipv4, ipv6] = text.split(/^# .*\n/m);
    await ground.restore(ipv4!, ipv6!, ground.lab.node);
    await ground.init("--preset sidecar --dual-stack");
    expect(filled(await ground.saved())).toBe(filled(await ground.saved(ground.lab.node)));
  });

  test("any number of runs, with the same or other flags, is the last run alone", async () => {
    await using ground = await Ground.create(backend);
    await ground.shell("iptables -t nat -A OUTPUT -p udp -j ACCEPT\n");
    for (const flags of [
      "--preset sidecar",
      "--preset sidecar",
      "--preset vm --dual-stack -c net1,net2 -k kv0",
      "-b 80,81 -i 10.0.0.0/8,fd00::/8 -u 5 -c net2 -k kv1 --dual-stack",
      "-b 80,81 -i 10.0.0.0/8,fd00::/8 -u 5 -c net2 -k kv1 --dual-stack",
      "-q 443 -c net3",
      "",
    ]) {
      await ground.init(flags);
      const saved = await ground.saved();
      await ground.init("--cleanup-only");
      await ground.init(flags);
      expect(sorted(saved)).toBe(sorted(await ground.saved()));
    }
  });

  test("the same flags again leave the counters alone", async () => {
    await using ground = await Ground.create(backend);
    await ground.init("--preset sidecar");
    await ground.lab.pod.run(["/bin/bash", "-c", `echo >/dev/tcp/${ground.lab.node.v4}/9`]);
    const before = await ground.liveRules();
    expect(before).toMatch(/-A ISTIO_REDIRECT -c [1-9]\d* \d+ -p tcp -j REDIRECT --to-ports 15001/);
    await ground.init("--preset sidecar");
    expect(await ground.liveRules()).toBe(before);
  });

  test("clean-up leaves rules, chains and addresses as they were, among others' rules too", async () => {
    await using ground = await Ground.create(backend);
    const foreign = [
      ":DOCKER - [0:0]",
      "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
      "-A PREROUTING -i eth9 -j RETURN",
      '-A PREROUTING -p tcp -m comment --comment "ISTIO_INBOUND -j ISTIO_INBOUND" -j ACCEPT',
      "-A OUTPUT -p tcp -m tcp --dport 81 -j RETURN",
      "-A OUTPUT -o eth8 -j RETURN",
      "-A DOCKER -i docker0 -j RETURN",
    ];
    await ground.restore(
      `*nat\n${foreign.join("\n")}\nCOMMIT\n*filter\n-A INPUT -p tcp -m tcp --dport 82 -j DROP\nCOMMIT\n`,
    );
    const before = { saved: await ground.saved(), addresses: await ground.loopbackAddresses() };
    for (const flags of ["--preset sidecar --dual-stack", "-b 1 -i 10.0.0.0/8 -c net1 -k kv0 --ip-family 6", ""]) {
      await ground.init(flags);
      expect(await ground.saved()).not.toBe(before.saved);
      if (flags !== "") expect(await ground.loopbackAddresses()).toMatch(/^0{31}6 01 80 .* lo$/m);
      await ground.init("--cleanup-only");
      expect({ saved: await ground.saved(), addresses: await ground.loopbackAddresses() }).toEqual(before);
    }
  });

  test("clean-up of a clean namespace changes nothing, and says so", async () => {
    await using ground = await Ground.create(backend);
    const { pod } = ground.lab;
    const { code, stdout, stderr } = await pod.run([AGENT, "init", "--cleanup-only"], { env: ground.tools.env });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "", stderr: "there were no rules to remove\n" });
    expect(filled(await ground.saved())).toBe("");
  });

  test("half-made and outdated ISTIO chains are replaced", async () => {
    await using ground = await Ground.create(backend);
    await ground.shell(
      [
        "iptables -t nat -N ISTIO_OUTPUT",
        "iptables -t nat -N ISTIO_OLD",
        "iptables -t nat -A ISTIO_OLD -j ISTIO_OUTPUT",
        "iptables -t nat -A OUTPUT -p udp -j ISTIO_OLD",
        "iptables -t nat -A OUTPUT -j ISTIO_OUTPUT",
        "iptables -t nat -A OUTPUT -j ISTIO_OUTPUT",
      ].join("\n"),
    );
    await ground.init("--preset sidecar");
    const saved = await ground.saved();
    expect(saved).not.toContain("ISTIO_OLD");
    expect(saved.match(/^-A OUTPUT .*$/gm)).toEqual(["-A OUTPUT -j ISTIO_OUTPUT"]);
    await ground.init("--cleanup-only");
    expect(filled(await ground.saved())).toBe("");
  });

  test("--dry-run changes nothing, also with --cleanup-only", async () => {
    await using ground = await Ground.create(backend);
    expect(await ground.init("--preset sidecar --dry-run")).toStartWith("iptables -t nat -N ISTIO_INBOUND\n");
    expect(filled(await ground.saved())).toBe("");
    await ground.init("--preset sidecar");
    const programmed = await ground.saved();
    expect(await ground.init("--cleanup-only --dry-run")).toContain("-X ISTIO_OUTPUT\n");
    expect(await ground.saved()).toBe(programmed);
  });
});

/** Lines without regard to the place of ours among others' rules. */
function sorted(saved: string): string {
  return saved.split("\n").sort().join("\n");
}

describe("what init says", () => {
  test("the resulting rules, as iptables -S prints them", async () => {
    await using lab = await Lab.create();
    const { stdout, stderr } = await lab.pod.run([AGENT, "init", ...shellWords(FLAG_CASES["demo"]!)]);
    expect(stderr).toBe("");
    expect(stdout).toBe(`# IPv4: iptables -t nat -S\n${await lab.pod.check(["iptables", "-t", "nat", "-S"])}`);
  });

  test("JSON for scripts", async () => {
    await using lab = await Lab.create();
    const { tables } = JSON.parse(
      await lab.pod.check([AGENT, "init", "--preset", "vm", "--dual-stack", "--output", "json"]),
    );
    expect(tables.map(({ family, table }: { family: string; table: string }) => [family, table])).toEqual([
      ["IPv4", "nat"],
      ["IPv6", "nat"],
    ]);
    expect(tables[1].rules).toContain("-A ISTIO_OUTPUT -d ::1/128 -j RETURN");
  });

  test("that nothing is captured, when nothing is", async () => {
    await using lab = await Lab.create();
    const { code, stderr } = await lab.pod.run([AGENT, "init"]);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: nothing will be captured: [^\n]*\n$/);
  });
});

test("an IPv6-only host gets rules of both families", async () => {
  await using lab = await Lab.create();
  await lab.pod.check(["ip", "-4", "address", "flush", "dev", "eth0"]);
  await lab.pod.check([AGENT, "init", "--preset", "sidecar"]);
  expect(await lab.pod.check(["ip6tables-save"])).toContain("-A OUTPUT -j ISTIO_OUTPUT");
  expect(await lab.pod.check(["iptables-save"])).toContain("-A OUTPUT -j ISTIO_OUTPUT");
});

test("going from both families to IPv4 alone removes IPv6's rules and address", async () => {
  await using lab = await Lab.create();
  await lab.pod.check([AGENT, "init", "--preset", "sidecar", "--dual-stack"]);
  await lab.pod.check([AGENT, "init", "--preset", "sidecar"]);
  expect(await lab.pod.check(["ip6tables-save"])).not.toContain("ISTIO_");
  expect(await lab.pod.check(["ip", "-6", "address", "show", "dev", "lo"])).not.toContain("::6/128");
  expect(await lab.pod.check(["iptables-save"])).toContain("-A OUTPUT -j ISTIO_OUTPUT");
});
