// Writes the access log to stdout or a file without ever waiting for it. Shell.
// commands/proxy.ts opens it (before root is given up), and closes it at exit. It decides nothing but when to write.
// Writes go through the runtime's thread pool, one at a time: a pipe that nobody reads then holds up a pool thread, where a
// synchronous write would hold up the proxy, and O_NONBLOCK would be set for everybody who shares the terminal.
import { close, constants, openSync, write } from "node:fs";
import { CommandError } from "../config/errors.ts";

/** Collected text is written when it is this long … (characters) */
const FLUSH_LENGTH = 64 * 1024;
/** … or this old. (milliseconds) */
const FLUSH_DELAY_MS = 100;
/** Collected and being written together; what comes on top is dropped. (characters) */
const MAX_BUFFERED = 1024 * 1024;
/** Somebody set O_NONBLOCK on our stdout and its pipe is full: try again after this. (milliseconds) */
const RETRY_DELAY_MS = 20;

export interface LogWriterOptions {
  readonly maxBuffered?: number;
  /** Told of entries that were thrown away. */
  onDropped(entries: number): void;
  /** Told in one sentence, once, of what keeps entries from being written. */
  onProblem(message: string): void;
}

/** A batching, bounded writer of text entries. */
export class LogWriter {
  readonly #path: string;
  readonly #fd: number;
  readonly #options: LogWriterOptions;
  readonly #maxBuffered: number;
  #pending = "";
  #pendingEntries = 0;
  #writing: Buffer | undefined = undefined;
  #writingEntries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined = undefined;
  #isOff = false;
  #hasComplained = false;
  #idleWaiters: (() => void)[] = [];

  private constructor(path: string, fd: number, options: LogWriterOptions) {
    this.#path = path;
    this.#fd = fd;
    this.#options = options;
    this.#maxBuffered = options.maxBuffered ?? MAX_BUFFERED;
  }

  /**
   * `/dev/stdout` and `/dev/stderr` are the process's own; another path is appended to.
   * @throws CommandError when the file cannot be opened
   */
  static open(path: string, options: LogWriterOptions): LogWriter {
    return new LogWriter(path, openLog(path), options);
  }

  /** Takes an entry, its newline included. Never blocks and never throws. */
  write(entry: string): void {
    if (this.#isOff) return;
    if (this.#pending.length + (this.#writing?.length ?? 0) + entry.length > this.#maxBuffered) {
      this.#options.onDropped(1);
      return;
    }
    this.#pending += entry;
    this.#pendingEntries++;
    if (this.#writing !== undefined) return;
    if (this.#pending.length >= FLUSH_LENGTH) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), FLUSH_DELAY_MS);
  }

  /** Writes what was collected; resolves when all of it is out, or is known to stay. */
  flush(): Promise<void> {
    if (this.#pending !== "" && this.#writing === undefined) this.#start();
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
    });
  }

  /**
   * Flushes for at most `timeoutMs`, then takes no more. What a reader did not take by then is counted as dropped; its
   * write cannot be called back, so the caller has to end the process by `process.exit`.
   */
  async close(timeoutMs = 1_000): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.flush(), timeout]);
    clearTimeout(timer);
    const isWritten = this.#isIdle();
    this.#turnOff();
    if (isWritten && this.#fd > 2) close(this.#fd);
  }

  #isIdle(): boolean {
    return this.#pending === "" && this.#writing === undefined;
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = Buffer.from(this.#pending);
    this.#writingEntries = this.#pendingEntries;
    this.#pending = "";
    this.#pendingEntries = 0;
    this.#writeFrom(0);
  }

  #writeFrom(offset: number): void {
    const buffer = this.#writing;
    if (buffer === undefined) return;
    write(this.#fd, buffer, offset, buffer.length - offset, null, (error, written) => {
      if (this.#isOff) return;
      if (error !== null) this.#failed(error, offset);
      else if (offset + written < buffer.length) this.#writeFrom(offset + written);
      else this.#finished();
    });
  }

  #failed(error: NodeJS.ErrnoException, offset: number): void {
    if (error.code === "EAGAIN") {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#writeFrom(offset);
      }, RETRY_DELAY_MS);
      return;
    }
    if (error.code === "EPIPE" || error.code === "EBADF") {
      this.#complain(`the access log is off: nobody reads ${this.#path} any more`);
      this.#turnOff();
      return;
    }
    this.#complain(
      `cannot write the access log to ${this.#path}: ${error.message}; entries are dropped until it works`,
    );
    this.#options.onDropped(this.#writingEntries);
    this.#finished();
  }

  #finished(): void {
    this.#writing = undefined;
    this.#writingEntries = 0;
    const isWaitedFor = this.#idleWaiters.length > 0;
    if (this.#pending.length >= FLUSH_LENGTH || (isWaitedFor && this.#pending !== "")) this.#start();
    else if (this.#pending !== "") this.#timer = setTimeout(() => this.#start(), FLUSH_DELAY_MS);
    else this.#release();
  }

  #turnOff(): void {
    const left = this.#pendingEntries + this.#writingEntries;
    if (left > 0) this.#options.onDropped(left);
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isOff = true;
    this.#pending = "";
    this.#pendingEntries = 0;
    this.#writing = undefined;
    this.#writingEntries = 0;
    this.#release();
  }

  #release(): void {
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }

  #complain(message: string): void {
    if (this.#hasComplained) return;
    this.#hasComplained = true;
    this.#options.onProblem(message);
  }
}

function openLog(path: string): number {
  if (path === "/dev/stdout") return 1;
  if (path === "/dev/stderr") return 2;
  // O_NONBLOCK: opening a FIFO without a reader must fail, not hang.
  const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY, 0o644);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new CommandError(`cannot open the access log ${path}: ${OPEN_REASONS[code ?? ""] ?? message}`, {
      cause: error,
    });
  }
}

const OPEN_REASONS: Readonly<Record<string, string>> = {
  ENOENT: "its directory does not exist",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENXIO: "it is a FIFO that nobody reads",
  EROFS: "the file system is read-only",
};
