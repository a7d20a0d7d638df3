// One large body up or down through a proxy, with a reader that sleeps: an origin server, a client, and a check of the bytes.
// Raw sockets on purpose: an HTTP library would buffer by itself, and the sleeping reader would not be felt by the proxy.
import type { Socket, TCPSocketListener } from "bun";

export type TransferDirection = "upload" | "download";

/** How much is sent, and how its reader behaves. */
export interface TransferPlan {
  readonly totalBytes: number;
  /** The reader sleeps after each of these. Bytes. */
  readonly sleepEveryBytes: number;
  readonly sleepMs: number;
  /** A transfer that takes longer has failed. */
  readonly timeoutMs: number;
}

/** What arrived. */
export interface TransferResult {
  readonly bytes: number;
  /** Every byte is the one that was sent, in order. */
  readonly intact: boolean;
  readonly seconds: number;
  /** How often the reader slept. */
  readonly sleeps: number;
}

/** Not a power of two, so that a lost or doubled buffer of any usual size shifts the pattern and shows. */
const PATTERN = crypto.getRandomValues(new Uint8Array(65_521)).toBase64();
const BLOCK = Buffer.from(PATTERN.repeat(8), "latin1");
const HEAD_END = "\r\n\r\n";

/** Writes the pattern as fast as the socket takes it. */
class PatternWriter {
  #sent = 0;
  constructor(private readonly totalBytes: number) {}

  writeTo(socket: Socket<Stage>): void {
    while (this.#sent < this.totalBytes) {
      const from = this.#sent % BLOCK.length;
      const length = Math.min(BLOCK.length - from, this.totalBytes - this.#sent);
      const written = socket.write(BLOCK, from, length);
      if (written < 0) return;
      this.#sent += written;
      if (written < length) return;
    }
  }
}

/** Compares what comes with the pattern, and pauses the socket after each portion. */
class SleepingReader {
  bytes = 0;
  sleeps = 0;
  intact = true;
  constructor(private readonly plan: TransferPlan) {}

  get isDone(): boolean {
    return this.bytes >= this.plan.totalBytes;
  }

  read(socket: Socket<Stage>, chunk: Uint8Array): void {
    const portion = Math.floor(this.bytes / this.plan.sleepEveryBytes);
    this.#compare(chunk);
    if (this.isDone || Math.floor(this.bytes / this.plan.sleepEveryBytes) === portion) return;
    this.sleeps++;
    socket.pause();
    setTimeout(() => socket.resume(), this.plan.sleepMs);
  }

  #compare(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      const from = this.bytes % BLOCK.length;
      const length = Math.min(BLOCK.length - from, chunk.length - at);
      if (BLOCK.compare(chunk, at, at + length, from, from + length) !== 0) this.intact = false;
      at += length;
      this.bytes += length;
    }
  }
}

/** One side of a connection: the head that is being collected, then what is done with the body. */
interface Stage {
  head: string;
  writer: PatternWriter | undefined;
  reader: SleepingReader | undefined;
}

/** An HTTP/1.1 server on a free port of 127.0.0.1: `PUT /upload` is read slowly, `GET /download` is answered with the pattern. */
export class Origin implements Disposable {
  readonly #listener: TCPSocketListener<Stage>;

  constructor(private readonly plan: TransferPlan) {
    this.#listener = Bun.listen<Stage>({
      hostname: "127.0.0.1",
      port: 0,
      socket: {
        open: (socket) => {
          socket.data = { head: "", writer: undefined, reader: undefined };
        },
        data: (socket, chunk) => this.#onData(socket, chunk),
        drain: (socket) => socket.data.writer?.writeTo(socket),
        error() {},
      },
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  [Symbol.dispose](): void {
    this.#listener.stop(true);
  }

  #onData(socket: Socket<Stage>, chunk: Uint8Array): void {
    const body = socket.data.reader === undefined ? takeHead(socket.data, chunk) : chunk;
    if (body === undefined) return;
    const { head } = socket.data;
    if (head.startsWith("GET /download ")) {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${this.plan.totalBytes}${HEAD_END}`);
      socket.data.writer = new PatternWriter(this.plan.totalBytes);
      socket.data.writer.writeTo(socket);
    } else if (head.startsWith("PUT /upload ")) {
      socket.data.reader ??= new SleepingReader(this.plan);
      const { reader } = socket.data;
      reader.read(socket, body);
      if (!reader.isDone) return;
      const { bytes, intact, sleeps } = reader;
      const answer = JSON.stringify({ bytes, intact, sleeps });
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${answer.length}${HEAD_END}${answer}`);
    } else {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2${HEAD_END}ok`);
    }
    socket.data = { head: "", writer: socket.data.writer, reader: undefined };
  }
}

/** Sends one body through the proxy on `port` to the Origin behind it, and resolves when the reader has all of it. */
export async function transfer(
  port: number,
  direction: TransferDirection,
  plan: TransferPlan,
): Promise<TransferResult> {
  const started = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<Omit<TransferResult, "seconds">>();
  const stage: Stage = { head: "", writer: undefined, reader: undefined };
  const download = new SleepingReader(plan);
  let answer = "";

  const onBody = (socket: Socket<Stage>, body: Uint8Array): void => {
    if (direction === "download") {
      download.read(socket, body);
      if (download.isDone) resolve({ bytes: download.bytes, intact: download.intact, sleeps: download.sleeps });
      return;
    }
    answer += Buffer.from(body).toString("latin1");
    if (answer.endsWith("}")) resolve(JSON.parse(answer) as Omit<TransferResult, "seconds">);
  };
  const socket = await Bun.connect<Stage>({
    hostname: "127.0.0.1",
    port,
    data: stage,
    socket: {
      data(socket, chunk) {
        const inBody = socket.data.head.endsWith(HEAD_END);
        const body = inBody ? chunk : takeHead(socket.data, chunk);
        if (body === undefined) return;
        if (inBody || socket.data.head.startsWith("HTTP/1.1 200 ")) onBody(socket, body);
        else reject(new Error(`${direction} was answered ${socket.data.head.split("\r\n")[0]}`));
      },
      drain: (socket) => socket.data.writer?.writeTo(socket),
      close: () => reject(new Error(`the proxy closed the ${direction} after ${download.bytes} bytes of answer`)),
      error: (_socket, error) => reject(error),
    },
  });
  const timer = setTimeout(
    () => reject(new Error(`the ${direction} did not end within ${plan.timeoutMs} ms`)),
    plan.timeoutMs,
  );
  try {
    const [requestLine, length] = direction === "upload" ? ["PUT /upload", plan.totalBytes] : ["GET /download", 0];
    socket.write(`${requestLine} HTTP/1.1\r\nHost: bench\r\nContent-Length: ${length}${HEAD_END}`);
    if (direction === "upload") {
      stage.writer = new PatternWriter(plan.totalBytes);
      stage.writer.writeTo(socket);
    }
    const result = await promise;
    return { ...result, seconds: (performance.now() - started) / 1000 };
  } finally {
    clearTimeout(timer);
    socket.end();
  }
}

/** Collects the head into the stage; the bytes after it once it is complete, undefined before. */
function takeHead(stage: Stage, chunk: Uint8Array): Uint8Array | undefined {
  const before = stage.head.length;
  const text = stage.head + Buffer.from(chunk).toString("latin1");
  const end = text.indexOf(HEAD_END);
  stage.head = end < 0 ? text : text.slice(0, end + HEAD_END.length);
  return end < 0 ? undefined : chunk.subarray(stage.head.length - before);
}
