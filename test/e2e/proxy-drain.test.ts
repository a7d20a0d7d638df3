// How a proxy ends: SIGTERM fails its readiness but not its traffic, and it goes as soon as nothing is in flight, or when its time
// or the user's patience is over. Each case has a pod of its own.
import { describe, expect, test } from "bun:test";
import { answerEach, connectFrom, type RawConnection, RawServer } from "./raw-socket.ts";
import { Sidecar } from "./sidecar.ts";

/** From the end of the last request to the end of the process, on a busy machine. */
const PROMPT_S = 2;
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

interface Stage {
  readonly sidecar: Sidecar;
  /** The application: answers every request at once, /bytes/N with so many; but /slow not at all. */
  readonly server: RawServer;
  /** The application's connection that has the slow request, once it is there. */
  slowOne(): Promise<RawConnection>;
  /** A new client's connection through the proxy, with this request sent. */
  ask(path: string): Promise<RawConnection>;
  /** Status of the readiness probe, as the kubelet sees it. */
  readiness(): Promise<number>;
}

/** A pod with a raw application; the proxy drains for `drainDuration`. */
async function onStage(drainDuration: string, act: (stage: Stage) => Promise<void>): Promise<void> {
  await using sidecar = await Sidecar.start({ proxy: ["--termination-drain-duration", drainDuration] });
  let seen: (connection: RawConnection) => void = () => {};
  const slow = new Promise<RawConnection>((resolve) => {
    seen = resolve;
  });
  using server = new RawServer(sidecar.pod, 0, (connection) => {
    answerEach(connection, (head) => {
      const bytes = Number(/^GET \/bytes\/(\d+)/.exec(head)?.[1] ?? 0);
      if (bytes > 0) return `HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n${"x".repeat(bytes)}`;
      if (!head.startsWith("GET /slow ")) return OK;
      seen(connection);
      return "";
    });
  });
  const { node, pod } = sidecar;
  await act({
    sidecar,
    server,
    slowOne: () => slow,
    ask: async (path) => (await connectFrom(node, pod.v4, server.port)).send(get(path)),
    readiness: async () => {
      const probe = [
        "curl",
        "-s",
        "-m",
        "5",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "http://127.0.0.1:15021/healthz/ready",
      ];
      return Number((await pod.run(probe)).stdout);
    },
  });
}

async function secondsOf<T>(wait: Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const result = await wait;
  return [result, (performance.now() - start) / 1000];
}

describe("SIGTERM", () => {
  test("with requests in flight: not ready, still serving, gone when the last one is answered", () =>
    onStage("60s", async ({ sidecar: { proxy }, slowOne, ask, readiness }) => {
      expect(await readiness()).toBe(200);
      const slow = await ask("/slow");
      const application = await slowOne();
      const kept = await ask("/kept");
      await kept.until("\r\n\r\nok");
      expect(kept.received).not.toContain("Connection: close");

      proxy.kill("SIGTERM");
      await proxy.waitFor(/draining: 1 in flight/, "stderr");
      expect(await readiness()).toBe(503);

      // A connection from before and a new one are both served, once more.
      kept.send(get("/kept/again"));
      const late = await ask("/late");
      for (const client of [kept, late]) {
        expect(await client.untilEnd()).toBe("fin");
        expect(client.received).toEndWith("\r\nConnection: close\r\n\r\nok");
      }

      application.send(OK);
      const [code, seconds] = await secondsOf(proxy.exited);
      expect(code).toBe(0);
      expect(seconds).toBeLessThan(PROMPT_S);
      expect(await slow.untilEnd()).toBe("fin");
      expect(slow.received).toEndWith("\r\nConnection: close\r\n\r\nok");
      const paths = [...proxy.stdout.matchAll(/"GET (\S+) HTTP/g)].map((match) => match[1]);
      expect(paths.toSorted()).toEqual(["/kept", "/kept/again", "/late", "/slow"]);
    }));

  test("with idle connections only: gone at once", () =>
    onStage("60s", async ({ sidecar: { proxy }, ask }) => {
      const client = await ask("/once");
      await client.until("\r\n\r\nok");
      proxy.kill("SIGTERM");
      const [code, seconds] = await secondsOf(proxy.exited);
      expect(code).toBe(0);
      expect(seconds).toBeLessThan(PROMPT_S);
      await client.untilEnd();
      expect(proxy.stdout).toContain('"GET /once HTTP/1.1" 200 ');
    }));

  test("with a request that hangs: gone after the drain duration, with the log of what was done", () =>
    onStage("700ms", async ({ sidecar: { proxy }, slowOne, ask }) => {
      const done = await ask("/done");
      await done.until("\r\n\r\nok");
      const hanging = await ask("/slow");
      await slowOne();
      proxy.kill("SIGTERM");
      const [code, seconds] = await secondsOf(proxy.exited);
      expect(code).toBe(0);
      expect(seconds).toBeGreaterThan(0.65);
      expect(seconds).toBeLessThan(0.7 + PROMPT_S);
      expect(proxy.stderr).toContain("ended with 1 in flight, cut off");
      expect(proxy.stdout).toContain('"GET /done HTTP/1.1" 200 ');
      await hanging.untilEnd();
      expect(hanging.received).toBe("");
    }));

  test("with an answer that is over but not read: it arrives to the last byte", () =>
    onStage("60s", async ({ sidecar: { proxy }, ask }) => {
      const isOver = (bytes: number, timeoutMs: number): Promise<boolean> =>
        proxy.waitFor(new RegExp(`"GET /bytes/${bytes} `), "stdout", timeoutMs).then(
          () => true,
          () => false,
        );
      // The largest answer that the proxy has read in full while its client reads nothing: the kernel holds not all of it.
      let reader: { client: RawConnection; bytes: number } | undefined;
      for (let bytes = 500_000; ; bytes += 100_000) {
        const client = await ask(`/bytes/${bytes}`);
        client.keepsBytes = false;
        client.pause();
        if (!(await isOver(bytes, 500))) {
          client.reset();
          expect(await isOver(bytes, 5_000)).toBe(true);
          break;
        }
        reader?.client.reset();
        reader = { client, bytes };
      }
      proxy.kill("SIGTERM");
      await proxy.waitFor(/draining: \d not sent in full/, "stderr");
      reader?.client.resume();
      expect(await reader?.client.untilEnd()).toBe("fin");
      expect(reader?.client.receivedBytes).toBeGreaterThan(reader?.bytes ?? Number.POSITIVE_INFINITY);
      expect(await proxy.exited).toBe(0);
    }));

  test("with a tunnel: it is in flight too", () =>
    onStage("60s", async ({ sidecar: { proxy, node, pod }, server }) => {
      const client = (await connectFrom(node, pod.v4, server.port)).send("\0tunnel");
      const application = await server.accept();
      await application.until("\0tunnel");
      proxy.kill("SIGTERM");
      await proxy.waitFor(/draining: 1 in flight/, "stderr");
      client.send("more");
      await application.until("more");
      client.finish();
      await application.untilEnd();
      application.finish();
      const [code, seconds] = await secondsOf(proxy.exited);
      expect(code).toBe(0);
      expect(seconds).toBeLessThan(PROMPT_S);
      expect(await client.untilEnd()).toBe("fin");
    }));
});

test.each(["SIGTERM", "SIGINT"] as const)("a second signal, %s, ends the proxy at once", (second) =>
  onStage("60s", async ({ sidecar: { proxy }, slowOne, ask }) => {
    await ask("/slow");
    await slowOne();
    proxy.kill("SIGTERM");
    await proxy.waitFor(/draining: 1 in flight/, "stderr");
    proxy.kill(second);
    const [code, seconds] = await secondsOf(proxy.exited);
    expect(code).toBe(0);
    expect(seconds).toBeLessThan(PROMPT_S);
  }),
);
