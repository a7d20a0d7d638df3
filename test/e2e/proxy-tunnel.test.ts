// Everything that is not HTTP/1 goes through the proxy untouched: banners, opaque bytes, TLS, HTTP/2, half-closes and resets;
// inbound and outbound, IPv4 and IPv6. The pipeline lane is for HTTP alone, but its presence must change nothing here.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lanes, PLACES, type Scene } from "./lanes.ts";

const DETECTION_TIMEOUT_MS = 30;
/** From the client's connection to the server's banner: the detection timeout, and time for a busy machine. */
const BANNER_LIMIT_MS = 1_000;
const TEN_MEGABYTES = 10_000_000;

let lanes: Lanes;
let directory: string;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "agent-tunnel-"));
  lanes = await Lanes.create(["--protocol-detection-timeout", `${DETECTION_TIMEOUT_MS}ms`]);
}, 30_000);
afterAll(async () => {
  await lanes?.[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function everywhere(name: string, act: (scene: Scene) => Promise<void>): void {
  test.each(PLACES)(`${name}: $name`, (place) => lanes.play(place, act));
}

const urlHost = (scene: Scene): string =>
  scene.place.family === "IPv6" ? `[${scene.upstreamAddress}]` : scene.upstreamAddress;

describe("opaque bytes", () => {
  everywhere("a server that speaks first is heard soon", async (scene) => {
    const server = scene.serve((connection) => connection.send("220 smtp.test ESMTP\r\n"));
    const start = performance.now();
    const client = await scene.connect(server);
    await client.until("220 smtp.test ESMTP\r\n");
    expect(performance.now() - start).toBeLessThan(BANNER_LIMIT_MS);
    client.send("EHLO a\r\n");
    const upstream = await server.accept();
    await upstream.until("EHLO a\r\n");
    expect(server.connections).toHaveLength(1);
  });

  everywhere("a client that speaks first, then half-closes, gets the rest", async (scene) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send("\x01\x02binary\xff").finish();
    const upstream = await server.accept();
    expect(await upstream.untilEnd()).toBe("fin");
    expect(upstream.received).toBe("\x01\x02binary\xff");
    upstream.send("answer after the end").finish();
    expect(await client.untilEnd()).toBe("fin");
    expect(client.received).toBe("answer after the end");
  });

  everywhere("a server that half-closes first can still be written to", async (scene) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send("\0hello");
    const upstream = await server.accept();
    await upstream.until("\0hello");
    upstream.send("bye").finish();
    expect(await client.untilEnd()).toBe("fin");
    client.send("more").finish();
    await upstream.until("more").catch(() => {});
    expect(await upstream.untilEnd()).toBe("fin");
    expect(upstream.received).toBe("\0hellomore");
  });

  everywhere("a client that connects and goes, goes", async (scene) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).finish();
    expect(await client.untilEnd()).toBe("fin");
  });

  everywhere("what only begins like HTTP is passed on as it is", async (scene) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send("GETTING started\n");
    const upstream = await server.accept();
    await upstream.until("GETTING started\n");
    client.finish();
    expect(await upstream.untilEnd()).toBe("fin");
  });

  everywhere("a reset is passed on to the client", async (scene) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send("\0hello");
    const upstream = await server.accept();
    await upstream.until("\0hello");
    upstream.reset();
    expect(await client.untilEnd()).toBe("reset");
  });

  everywhere("a reset is passed on to the server", async (scene) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send("\0hello");
    const upstream = await server.accept();
    await upstream.until("\0hello");
    client.reset();
    expect(await upstream.untilEnd()).toBe("reset");
  });

  everywhere("a server that is not there is a reset, UF", async (scene) => {
    const port = scene.unusedPort();
    const client = (await scene.connect({ port })).send("\0hello");
    expect(await client.untilEnd()).toBe("reset");
    const line = await scene.sidecar.logLine(`${urlHost(scene)}:${port}`);
    expect(line).toMatch(/^\[[^\]]+\] "- - -" 0 UF - - "connection refused" /);
  });

  everywhere("10 MB both ways at once arrive intact", async (scene) => {
    const data = Buffer.alloc(TEN_MEGABYTES, Buffer.from(Array.from({ length: 251 }, (_, index) => 250 - index)));
    const digest = new Bun.CryptoHasher("sha1").update(data).digest("hex");
    const server = scene.serve((connection) => {
      connection.keepsBytes = false;
      connection.send(data).finish();
    });
    const client = await scene.connect(server);
    client.keepsBytes = false;
    client.send(data).finish();
    const upstream = await server.accept();
    expect(await upstream.untilEnd(20_000)).toBe("fin");
    expect(await client.untilEnd(20_000)).toBe("fin");
    expect([upstream.receivedBytes, client.receivedBytes]).toEqual([TEN_MEGABYTES, TEN_MEGABYTES]);
    expect([upstream.digest, client.digest]).toEqual([digest, digest]);
  });
});

describe("protocols", () => {
  everywhere("TLS is end to end: openssl meets openssl's certificate", async (scene) => {
    const { clientNamespace, upstreamNamespace, lane } = scene;
    const key = join(directory, `key-${lane}.pem`);
    const certificate = join(directory, `certificate-${lane}.pem`);
    await upstreamNamespace.check([
      ..."openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1".split(" "),
      ...["-subj", `/CN=tls.test`, "-keyout", key, "-out", certificate],
    ]);
    const port = scene.unusedPort();
    const server = upstreamNamespace.spawn([
      ..."openssl s_server -www -naccept 1".split(" "),
      ...["-accept", `${urlHost(scene)}:${port}`, "-key", key, "-cert", certificate],
    ]);
    await server.waitFor(/ACCEPT/);
    const { stdout } = await clientNamespace.run(
      ["openssl", "s_client", "-connect", `${urlHost(scene)}:${port}`, "-servername", "tls.test", "-ign_eof", "-brief"],
      { stdin: "GET / HTTP/1.0\r\n\r\n" },
    );
    expect(stdout).toContain("HTTP/1.0 200 ok");
    await server.exited;
    expect(await scene.sidecar.logLine(`${urlHost(scene)}:${port}`)).toContain('"- - -" 0 - ');
  });

  everywhere("HTTP/2 with prior knowledge is relayed", async (scene) => {
    const port = scene.unusedPort();
    const configuration = join(directory, `nginx-${scene.lane}.conf`);
    writeFileSync(
      configuration,
      `daemon off; master_process off; pid ${directory}/nginx-${scene.lane}.pid; error_log stderr notice; events {}
       http { access_log off; server { listen [::]:${port} ipv6only=off http2;
       location / { return 200 "over $server_protocol\\n"; } } }`,
    );
    const nginx = scene.upstreamNamespace.spawn(["nginx", "-p", directory, "-c", configuration]);
    await nginx.waitFor(/start worker process|using the "epoll" event method/, "stderr");
    const { stdout } = await scene.clientNamespace.run(["nghttp", "-v", `http://${urlHost(scene)}:${port}/`]);
    nginx.kill();
    expect(stdout).toContain(":status: 200");
    expect(stdout).toContain("over HTTP/2.0");
    expect(await nginx.exited).toBe(0);
  });
});
