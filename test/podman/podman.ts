// A podman of our own: private configuration, storage and network namespace ("the node"), so that neither the machine's
// containers nor its firewall are touched and nothing is pulled. One at a time per machine. Root only; used by the pod tests.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Playable, playable } from "./playable.ts";

/** Short on purpose: with more than 32 characters podman waits 20 s for an init container (its socket paths get too long). */
const STATE = "/var/cache/pilotfish-pods";
const NODE = "pft-pods-node";
const LOCK_WAIT_S = 300;
const RUN_TIMEOUT_MS = 120_000;
const IMPORT_TIMEOUT_MS = 450_000;
const READY_TIMEOUT_MS = 30_000;
const POLL_MS = 50;
const TOOL_PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A pod that plays: `ip` is reachable from the node alone. */
export interface PlayedPod {
  readonly name: string;
  readonly ip: string;
  /** What the played copy of the manifest lacks, one sentence each. */
  readonly changes: readonly string[];
}

export class Podman implements AsyncDisposable {
  readonly #lock: Bun.Subprocess<"pipe", "pipe", "inherit">;

  private constructor(lock: Bun.Subprocess<"pipe", "pipe", "inherit">) {
    this.#lock = lock;
  }

  /** Waits for another test run on this machine to end, clears what a killed one left behind, and makes the node. */
  static async create(): Promise<Podman> {
    mkdirSync(STATE, { recursive: true, mode: 0o700 });
    // The lock lives as long as its standard input: our end closes it, however it comes.
    const lock = Bun.spawn(
      ["flock", "-w", String(LOCK_WAIT_S), join(STATE, "lock"), "sh", "-c", "echo held; exec cat >/dev/null"],
      {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "inherit",
      },
    );
    const { value } = await lock.stdout.getReader().read();
    if (!value) throw new Error(`${STATE} has been in use for ${LOCK_WAIT_S} s: another run of the pod test hangs`);
    configure();
    const podman = new Podman(lock);
    await podman.#clear();
    await must(["ip", "netns", "add", NODE]);
    await must(["ip", "-n", NODE, "link", "set", "lo", "up"]);
    // `kube play` would make this network with a DNS server, whose state all podmans of a machine share.
    if (!existsSync(join(STATE, "networks/podman-default-kube-network.json"))) {
      await podman.podman("network", "create", "--disable-dns", "podman-default-kube-network");
    }
    return podman;
  }

  /** Runs a command in the node's network namespace. Never throws on an exit code. */
  run(...command: string[]): Promise<Result> {
    // nsenter: `ip netns exec` mounts a fresh /sys, which hides the cgroups.
    return run(["nsenter", `--net=/run/netns/${NODE}`, "--", ...command]);
  }

  /** `podman ARGUMENT…`: its standard output; throws when it fails. */
  async podman(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run("podman", ...args);
    if (code !== 0) throw new Error(`podman ${args.join(" ")}: exit ${code}: ${stderr.trim()}`);
    return stdout.trim();
  }

  /** What a container wrote, stream by stream; `container` is its name in the manifest. */
  logs(pod: PlayedPod, container: string): Promise<Result> {
    return this.run("podman", "logs", `${pod.name}-${container}`);
  }

  /** One field of `podman inspect`, as a Go template. */
  inspect(pod: PlayedPod, container: string, template: string): Promise<string> {
    return this.podman("inspect", `${pod.name}-${container}`, "-f", template);
  }

  /** Loads an archive of `docker save`'s kind; what it replaces is removed. */
  async load(archive: string): Promise<void> {
    await this.podman("load", "-q", "-i", archive);
    await this.podman("image", "prune", "-f");
  }

  /** Makes the image `name` of the file system that `script OUT.tar` writes, once per machine. */
  async importOnce(name: string, script: string, entrypoint: readonly string[]): Promise<void> {
    if ((await this.run("podman", "image", "exists", name)).code === 0) return;
    const archive = join(STATE, "rootfs.tar");
    await must([script, archive], IMPORT_TIMEOUT_MS);
    await this.podman("import", "-q", "--change", `CMD ${JSON.stringify(entrypoint)}`, archive, name);
    rmSync(archive);
  }

  /** Plays the one pod of a manifest; it is running, and its init containers have ended with 0, when this returns. */
  async play(manifest: string, images: Readonly<Record<string, string>>): Promise<PlayedPod> {
    const copy: Playable = playable(manifest, images);
    // An empty directory: podman would take a file or folder named like an image for something to build.
    const directory = mkdtempSync(join(tmpdir(), "pft-play-"));
    try {
      writeFileSync(join(directory, "pod.yaml"), copy.yaml);
      const { code, stderr } = await this.run(
        "env",
        "-C",
        directory,
        "podman",
        "kube",
        "play",
        "--build=false",
        "pod.yaml",
      );
      if (code !== 0) throw new Error(`podman kube play: ${stderr.trim()}\n${await this.#story(copy.podName)}`);
    } finally {
      rmSync(directory, { recursive: true });
    }
    const infra = await this.podman("pod", "inspect", copy.podName, "-f", "{{.InfraContainerID}}");
    const ip = await this.podman("inspect", infra, "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
    return { name: copy.podName, ip, changes: copy.changes };
  }

  /** Repeats a command in the node until it ends with 0: what the kubelet does with a probe. */
  async untilSucceeds(pod: PlayedPod, ...command: string[]): Promise<void> {
    const deadline = Date.now() + READY_TIMEOUT_MS;
    for (;;) {
      const { code } = await this.run(...command);
      if (code === 0) return;
      if (Date.now() > deadline)
        throw new Error(`${command.join(" ")}: still exit ${code}\n${await this.#story(pod.name)}`);
      await Bun.sleep(POLL_MS);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#clear();
    this.#lock.stdin.end();
    await this.#lock.exited;
  }

  /** State and last words of every container of a pod: what a person needs when it does not start. */
  async #story(pod: string): Promise<string> {
    const { stdout } = await this.run(
      "podman",
      "ps",
      "-a",
      "--filter",
      `pod=${pod}`,
      "--format",
      "{{.Names}} {{.Status}}",
    );
    const containers = stdout.split("\n").filter((line) => line && !line.includes("-infra "));
    const logs = containers.map(async (line) => {
      const log = await this.run("podman", "logs", "--tail", "20", line.split(" ")[0] ?? "");
      return `--- ${line}\n${log.stdout}${log.stderr}`;
    });
    return (await Promise.all(logs)).join("");
  }

  /** Removes pods, containers and the node; images stay for the next run. */
  async #clear(): Promise<void> {
    if (existsSync(`/run/netns/${NODE}`)) {
      // Killed first: a container that ignores SIGTERM would cost its whole grace period.
      await this.run("podman", "kill", "-a");
      await this.run("podman", "pod", "rm", "-f", "-a", "-t", "0");
      await this.run("podman", "rm", "-f", "-a", "-t", "0");
      const { stdout } = await run(["ip", "netns", "pids", NODE]);
      for (const pid of stdout.split("\n").filter(Boolean)) await run(["kill", "-9", pid]);
      await must(["ip", "netns", "del", NODE]);
    }
    // podman keeps its storage mounted on itself.
    for (const mount of readFileSync("/proc/mounts", "utf8").split("\n").reverse()) {
      const path = mount.split(" ")[1] ?? "";
      if (path.startsWith(`${STATE}/`)) await run(["umount", "-l", path]);
    }
    // Run state must not outlive a reboot, or podman takes the pods of before for running ones.
    for (const directory of ["run", "libpod"]) rmSync(join(STATE, directory), { recursive: true, force: true });
  }
}

/** Writes podman's configuration and points this process's children to it. */
function configure(): void {
  // Without CAP_SYS_RESOURCE a hard limit cannot be raised, and podman's own default (1048576 files) would make every start fail.
  const [files, processes] = ["Max open files", "Max processes"].map((name) => hardLimit(name));
  const overlay = Bun.spawnSync(["stat", "-f", "-c", "%T", STATE]).stdout.toString().trim() !== "overlayfs";
  write("containers.conf", [
    "[containers]",
    `default_ulimits = ["nofile=${files}:${files}", "nproc=${processes}:${processes}"]`,
    'log_driver = "k8s-file"',
    "http_proxy = false",
    "[engine]",
    // No systemd and no journal are asked for; the file locks are not shared with other podmans of this machine.
    'runtime = "runc"',
    'cgroup_manager = "cgroupfs"',
    'events_logger = "file"',
    'lock_type = "file"',
    `tmp_dir = "${STATE}/libpod"`,
    `image_copy_tmp_dir = "${STATE}"`,
    "[network]",
    'network_backend = "netavark"',
    `network_config_dir = "${STATE}/networks"`,
  ]);
  write("storage.conf", [
    "[storage]",
    `driver = "${overlay ? "overlay" : "vfs"}"`,
    `graphroot = "${STATE}/storage"`,
    `runroot = "${STATE}/run"`,
  ]);
  mkdirSync(join(STATE, "networks"), { recursive: true });
}

function hardLimit(name: string): number {
  const line = readFileSync("/proc/self/limits", "utf8")
    .split("\n")
    .find((text) => text.startsWith(name));
  // podman itself lowers the number of processes to pid_max before it starts anything.
  const ceiling = name === "Max processes" ? Number(readFileSync("/proc/sys/kernel/pid_max", "utf8")) : 1_048_576;
  const hard = Number(line?.slice(name.length).trim().split(/\s+/)[1]);
  return Number.isNaN(hard) ? ceiling : Math.min(hard, ceiling);
}

function write(name: string, lines: readonly string[]): void {
  writeFileSync(join(STATE, name), `${lines.join("\n")}\n`);
}

/** The environment of every command: our podman's configuration, and no HTTP proxy, since the node leads nowhere. */
function environment(): Record<string, string | undefined> {
  return {
    ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(https?|all)_proxy$/i.test(name))),
    PATH: TOOL_PATH,
    CONTAINERS_CONF: join(STATE, "containers.conf"),
    CONTAINERS_STORAGE_CONF: join(STATE, "storage.conf"),
  };
}

async function run(command: string[], timeoutMs = RUN_TIMEOUT_MS): Promise<Result> {
  const child = Bun.spawn(command, {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: timeoutMs,
    env: environment(),
  });
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr };
}

async function must(command: string[], timeoutMs = RUN_TIMEOUT_MS): Promise<void> {
  const { code, stderr } = await run(command, timeoutMs);
  if (code !== 0) throw new Error(`${command.join(" ")}: exit ${code}: ${stderr.trim()}`);
}
