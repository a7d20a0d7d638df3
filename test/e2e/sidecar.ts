// A pod with its rules and its proxy, as the injector would set it up, and what tests ask of it. The lab gives the network.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AGENT, Lab, type Namespace, type Proc, type RunOptions } from "./lab.ts";

/** The flags of `agent init` in the original article, for IPv6 too. */
export const ARTICLE_RULES: readonly string[] =
  "-p 15001 -z 15006 -u 1337 -g 1337 -m REDIRECT -i * -b * -d 15090,15020 --dual-stack".split(" ").concat("-x", "");

/** One rule that matches everything and does nothing: every request takes the pipeline lane. */
export const PIPELINE_CONFIG = "inbound: {http: [{name: all}]}\noutbound: {http: [{name: all}]}\n";

export const FAMILIES = ["IPv4", "IPv6"] as const;
export type Family = (typeof FAMILIES)[number];

/** The namespace's address of a family. */
export const addressOf = (namespace: Namespace, family: Family): string =>
  family === "IPv4" ? namespace.v4 : namespace.v6;

/** The address as it stands in a URL. */
export const hostOf = (namespace: Namespace, family: Family): string =>
  family === "IPv4" ? namespace.v4 : `[${namespace.v6}]`;

/** An application's user: its traffic is captured, unlike that of the proxy's own. */
export const APPLICATION_UID = 1000;
export const PROXY_UID = 1337;

/**
 * A client of a test that says nothing for long is a busy machine: a test that means silence sets a shorter time. Otherwise the
 * proxy would connect upstream, to see who speaks first, and the test would take that connection for the request's.
 */
const PATIENCE = ["--protocol-detection-timeout", "10s"];

export interface SidecarOptions {
  /** Flags of `agent init`; without capture by rules: undefined. Default: the article's, and the proxy's user by uid. */
  readonly rules?: readonly string[] | undefined;
  /** Changes the network before the rules are made. */
  readonly prepare?: (lab: Lab) => Promise<void>;
  /** Flags of `agent proxy`, behind PATIENCE. */
  readonly proxy?: readonly string[];
  /** Text of its configuration file. */
  readonly config?: string;
  /** Who starts it; default the proxy's own uid. */
  readonly startedAs?: RunOptions;
}

export class Sidecar implements AsyncDisposable {
  private constructor(
    readonly lab: Lab,
    readonly proxy: Proc,
    private readonly directory: string,
  ) {}

  /** A new lab with rules and a proxy that is ready. */
  static async start(options: SidecarOptions = {}): Promise<Sidecar> {
    const lab = await Lab.create();
    const directory = mkdtempSync(join(tmpdir(), "agent-e2e-"));
    chmodSync(directory, 0o755);
    try {
      await options.prepare?.(lab);
      const rules = "rules" in options ? options.rules : ARTICLE_RULES;
      if (rules !== undefined) await lab.pod.check([AGENT, "init", ...rules]);
      const command = [AGENT, "proxy", ...PATIENCE, ...(options.proxy ?? [])];
      if (options.config !== undefined) {
        const file = join(directory, "config.yaml");
        writeFileSync(file, options.config);
        command.push("--config", file);
      }
      const proxy = lab.pod.spawn(command, options.startedAs ?? { uid: PROXY_UID });
      await proxy.waitFor(/ready/, "stderr");
      return new Sidecar(lab, proxy, directory);
    } catch (error) {
      await lab[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true });
      throw error;
    }
  }

  get pod(): Namespace {
    return this.lab.pod;
  }

  get node(): Namespace {
    return this.lab.node;
  }

  /** The access log line (TEXT, JSON) of the request for this path, once it is written. */
  async logLine(path: string): Promise<string> {
    const [line] = await this.proxy.waitFor(new RegExp(`^.*${path.replaceAll(/[.?*+^$()[\]{}|\\]/g, "\\$&")}.*$`, "m"));
    return line;
  }

  /** The sum of the samples of the proxy's metrics that have these labels; 0 when there is none. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const text = await this.pod.check(["curl", "-sS", "-m", "5", "http://127.0.0.1:15090/stats/prometheus"]);
    return sumOf(text, name, labels);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
    rmSync(this.directory, { recursive: true });
  }
}

/** The sum of all samples of `name` in a Prometheus text that have these labels. */
export function sumOf(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return text
    .split("\n")
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((label) => line.includes(label)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0);
}
