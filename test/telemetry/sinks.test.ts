import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandError } from "../../src/config/errors.ts";
import { LogWriter } from "../../src/telemetry/sinks.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "pilotfish-sinks-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Heard {
  dropped: number;
  problems: string[];
}

function openWriter(path: string, maxBuffered?: number): LogWriter & { heard: Heard } {
  const heard: Heard = { dropped: 0, problems: [] };
  const writer = LogWriter.open(path, {
    ...(maxBuffered === undefined ? {} : { maxBuffered }),
    onDropped: (entries) => {
      heard.dropped += entries;
    },
    onProblem: (message) => {
      heard.problems.push(message);
    },
  });
  return Object.assign(writer, { heard });
}

async function fifo(name: string): Promise<string> {
  const path = join(folder, name);
  expect(await Bun.spawn(["mkfifo", path]).exited).toBe(0);
  return path;
}

describe("a file", () => {
  test("gets every entry, in order, appended", async () => {
    const path = join(folder, "access.log");
    await Bun.write(path, "before\n");
    const writer = openWriter(path);
    let all = "before\n";
    for (let at = 0; at < 5_000; at++) {
      const entry = `entry ${at} µ ${"x".repeat(at % 100)}\n`;
      all += entry;
      writer.write(entry);
      if (at % 1_000 === 0) await writer.flush();
    }
    await writer.close();
    expect(readFileSync(path, "utf8")).toBe(all);
    expect(writer.heard).toEqual({ dropped: 0, problems: [] });
  });

  test("gets an entry without anybody flushing", async () => {
    const path = join(folder, "alone.log");
    const writer = openWriter(path);
    writer.write("alone\n");
    expect(readFileSync(path, "utf8")).toBe("");
    const deadline = Date.now() + 5_000;
    while (readFileSync(path, "utf8") === "" && Date.now() < deadline) await Bun.sleep(10);
    expect(readFileSync(path, "utf8")).toBe("alone\n");
    await writer.close();
  });

  test("takes nothing after close", async () => {
    const path = join(folder, "closed.log");
    const writer = openWriter(path);
    await writer.close();
    writer.write("late\n");
    await writer.flush();
    expect(readFileSync(path, "utf8")).toBe("");
  });

  test("that takes no more costs entries, and is complained about once", async () => {
    const writer = openWriter("/dev/full");
    writer.write("one\n");
    await writer.flush();
    writer.write("two\n");
    writer.write("three\n");
    await writer.close();
    expect(writer.heard.dropped).toBe(3);
    expect(writer.heard.problems).toHaveLength(1);
    expect(writer.heard.problems[0]).toContain("/dev/full");
  });
});

test.each([
  ["/nowhere/access.log", "cannot open the access log /nowhere/access.log: its directory does not exist"],
  ["/tmp", "cannot open the access log /tmp: it is a directory"],
])("opening %s fails in one sentence", (path, message) => {
  expect(() => openWriter(path)).toThrow(new CommandError(message));
});

test("a FIFO that nobody reads cannot be opened, and opening it does not hang", async () => {
  const path = await fifo("unread");
  expect(() => openWriter(path)).toThrow(/it is a FIFO that nobody reads/);
});

test("a reader who stops reading costs entries, but all that was taken arrives", async () => {
  const path = await fifo("slow");
  const reader = Bun.spawn(["sh", "-c", `exec 3<"${path}"; read -r _; exec cat <&3`], {
    stdin: "pipe",
    stdout: "pipe",
  });
  const writer = await retry(() => openWriter(path, 256 * 1024));
  const entry = `${"x".repeat(999)}\n`;
  for (let at = 0; at < 1_000; at++) writer.write(entry);
  await Bun.sleep(150);
  for (let at = 0; at < 1_000; at++) writer.write(entry);
  expect(writer.heard.dropped).toBeGreaterThan(1_000);
  reader.stdin.write("go\n");
  reader.stdin.end();
  await writer.close(5_000);
  expect((await reader.stdout.text()).length).toBe((2_000 - writer.heard.dropped) * entry.length);
});

test("a reader who goes away turns the log off, with one message", async () => {
  const path = await fifo("gone");
  const reader = Bun.spawn(["sh", "-c", `exec 3<"${path}"; read -r line <&3; echo "$line"`], { stdout: "pipe" });
  const writer = await retry(() => openWriter(path));
  writer.write("first\n");
  await writer.flush();
  expect(await reader.stdout.text()).toBe("first\n");
  await reader.exited;
  for (let at = 0; at < 3; at++) {
    writer.write("lost\n");
    await writer.flush();
  }
  await writer.close();
  expect(writer.heard.problems).toEqual([`the access log is off: nobody reads ${path} any more`]);
});

test("stdout as a pipe that nobody reads holds up neither the event loop nor the end", async () => {
  const program = `
    import { LogWriter } from ${JSON.stringify(join(import.meta.dir, "../../src/telemetry/sinks.ts"))};
    let dropped = 0;
    const writer = LogWriter.open("/dev/stdout", { onDropped: (n) => { dropped += n; }, onProblem: () => {} });
    let worstMs = 0;
    let last = performance.now();
    const entry = "x".repeat(999) + "\\n";
    for (let tick = 0; tick < 100; tick++) {
      for (let at = 0; at < 50; at++) writer.write(entry);
      await Bun.sleep(2);
      worstMs = Math.max(worstMs, performance.now() - last);
      last = performance.now();
    }
    const before = performance.now();
    await writer.close(200);
    console.error(JSON.stringify({ dropped, worstMs, closeMs: performance.now() - before }));
    process.exit(0);
  `;
  const pipe = openSync(await fifo("stdout"), constants.O_RDWR);
  const unread = Bun.spawn([process.execPath, "-e", program], { stdout: pipe, stderr: "pipe" });
  const said = await unread.stderr.text();
  expect(await unread.exited).toBe(0);
  closeSync(pipe);
  const { dropped, worstMs, closeMs } = JSON.parse(said);
  expect(dropped).toBeGreaterThan(0);
  expect(worstMs).toBeLessThan(500);
  expect(closeMs).toBeWithin(150, 1_500);
});

test("without entries nothing keeps the process running", async () => {
  const program = `
    import { LogWriter } from ${JSON.stringify(join(import.meta.dir, "../../src/telemetry/sinks.ts"))};
    const writer = LogWriter.open("/dev/stdout", { onDropped: () => {}, onProblem: () => {} });
    writer.write("one\\n");
  `;
  const started = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", timeout: 10_000 });
  expect(await started.stdout.text()).toBe("one\n");
  expect(await started.exited).toBe(0);
});

/** The reader's shell needs a moment to open its end. */
async function retry<T>(open: () => T): Promise<T> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    try {
      return open();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await Bun.sleep(10);
    }
  }
}
