// The two kinds of iptables that Debian has, each as a PATH on which `iptables` is that one. Files, not rules.
import { chmodSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Namespace } from "./lab.ts";

export type Backend = "nft" | "legacy";
export const BACKENDS: readonly Backend[] = ["nft", "legacy"];

/** Every program that we or a shell line call. */
const PROGRAMS = ["iptables", "ip6tables"].flatMap((tool) => [tool, `${tool}-save`, `${tool}-restore`]);

/** A directory with the programs of one kind alone. Programs can be replaced, to make them fail. */
export class Toolbox implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "agent-tools-"));

  constructor(backend: Backend) {
    chmodSync(this.directory, 0o755);
    const program = `/usr/sbin/xtables-${backend}-multi`;
    if (!existsSync(program)) throw new Error(`${program} is missing (package iptables): run scripts/setup`);
    for (const name of PROGRAMS) symlinkSync(program, join(this.directory, name));
  }

  /** For `env`: nothing but these programs. */
  get env(): { PATH: string } {
    return { PATH: this.directory };
  }

  /** Puts a shell script in a program's place; `real "$@"` there is the program itself, of nft. */
  replace(name: string, script: string): void {
    const path = join(this.directory, name);
    rmSync(path);
    writeFileSync(path, `#!/bin/sh\nreal() { exec /usr/sbin/xtables-nft-multi ${name} "$@"; }\n${script}\n`, {
      mode: 0o755,
    });
  }

  remove(name: string): void {
    rmSync(join(this.directory, name));
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }

  /** What iptables-save and ip6tables-save say, without comments and counters. */
  async saved(namespace: Namespace): Promise<string> {
    const texts = await Promise.all(
      ["iptables-save", "ip6tables-save"].map((name) => namespace.check([join(this.directory, name)])),
    );
    return texts.map((text) => text.replace(/^#.*\n/gm, "").replace(/ \[\d+:\d+\]$/gm, "")).join("");
  }
}
