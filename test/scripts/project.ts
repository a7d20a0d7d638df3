// A throw-away project with copies of our scripts, for the tests of the scripts themselves: their root is where they lie.
// What needs the network or root there (setup) is replaced by a stub that does nothing.
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const ROOT = join(import.meta.dir, "../..");

const LOCK = {
  lockfileVersion: 2,
  configVersion: 1,
  workspaces: { "": { name: "trial" }, part: { name: "part" } },
  packages: { part: ["part@workspace:part"] },
};

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Project implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "pft-project-"));

  /** `stubs`: names of scripts that shall do nothing and succeed. */
  constructor(stubs: readonly string[]) {
    cpSync(join(ROOT, "scripts"), join(this.root, "scripts"), { recursive: true });
    for (const name of stubs) {
      this.write(`scripts/${name}`, "#!/bin/sh\nexit 0\n");
      chmodSync(join(this.root, "scripts", name), 0o755);
    }
    // One local package: of a project without any, Bun removes the lockfile.
    const workspaces = ["part"];
    this.write("package.json", JSON.stringify({ name: "trial", packageManager: `bun@${Bun.version}`, workspaces }));
    this.write("part/package.json", JSON.stringify({ name: "part" }));
    this.write("bun.lock", JSON.stringify(LOCK));
    this.write("tsconfig.json", "{}");
    // The Bun that runs this test is the one that the scripts find.
    mkdirSync(join(this.root, ".tools/node_modules/.bin"), { recursive: true });
    symlinkSync(process.execPath, join(this.root, ".tools/node_modules/.bin/bun"));
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
  }

  /** Runs a script of the copy, without the variables that would make it act for somebody else. */
  run(script: string, ...args: string[]): Outcome {
    const { SUDO_USER: _user, AGENT: _agent, ...env } = process.env;
    const { exitCode, stdout, stderr } = Bun.spawnSync([join(this.root, "scripts", script), ...args], {
      env,
      stdin: "ignore",
    });
    return { code: exitCode, stdout: stdout.toString(), stderr: stderr.toString() };
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }
}
