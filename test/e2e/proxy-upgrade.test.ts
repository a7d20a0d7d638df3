// HTTP that becomes something else: WebSockets of the ws package, Upgrade and CONNECT as raw bytes, in both lanes.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Lanes, PLACES, type Scene } from "./lanes.ts";
import type { RawConnection } from "./raw-socket.ts";

let lanes: Lanes;
beforeAll(async () => {
  lanes = await Lanes.create();
}, 30_000);
afterAll(() => lanes?.[Symbol.asyncDispose]());

const ID = "x-request-id: 1b4e28ba-2fa1-41d2-883f-0016d3cca427\r\n";
const UPGRADE = `GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo/1\r\n${ID}\r\n`;
const SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo/1\r\nConnection: Upgrade\r\nX-App: 1\r\n\r\n";
const CONNECT = `CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n${ID}\r\n`;
const WS_PEER = new URL("ws-peer.ts", import.meta.url).pathname;

function everywhere(name: string, act: (scene: Scene) => Promise<void>): void {
  test.each(PLACES)(`${name}: $name`, (place) => lanes.play(place, act));
}

/** Sends the request; both ends when the upstream has its head. */
async function ask(scene: Scene, request: string): Promise<{ client: RawConnection; upstream: RawConnection }> {
  const server = scene.serve();
  const client = (await scene.connect(server)).send(request);
  const upstream = await server.accept();
  await upstream.until("\r\n\r\n");
  return { client, upstream };
}

/** Bytes both ways, then the end of each side seen by the other. */
async function isTunnel(client: RawConnection, upstream: RawConnection): Promise<void> {
  client.send("\0\xffping\n");
  await upstream.until("\0\xffping\n");
  upstream.send("\xfe\0pong\r\n\r\n");
  await client.until("\xfe\0pong\r\n\r\n");
  client.finish();
  expect(await upstream.untilEnd()).toBe("fin");
  upstream.send("last words").finish();
  expect(await client.untilEnd()).toBe("fin");
  expect(client.received).toEndWith("last words");
}

describe("Upgrade", () => {
  everywhere("the ws package talks through it", async (scene) => {
    const server = scene.upstreamNamespace.spawn([process.execPath, WS_PEER, "serve"]);
    const [, port] = await server.waitFor(/port (\d+)/);
    const host = scene.place.family === "IPv6" ? `[${scene.upstreamAddress}]` : scene.upstreamAddress;
    const talk = await scene.clientNamespace.run([process.execPath, WS_PEER, "talk", `ws://${host}:${port}/room?a=1`]);
    expect(talk.stdout.trim().split("\n")).toEqual([
      "text welcome to /room?a=1 as tester",
      "text hello",
      "binary intact 1000000",
      "pong are you there",
      "closed 4000 enough",
    ]);
    await server.waitFor(/closed 4000 enough/);
    server.kill();
  });

  everywhere("becomes a tunnel after 101, heads intact", async (scene) => {
    const { client, upstream } = await ask(scene, UPGRADE);
    expect(upstream.received).toBe(
      `GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n${ID}${scene.forwardedFor}\r\n`,
    );
    upstream.send(SWITCHING);
    await client.until("\r\n\r\n");
    expect(client.received).toBe(SWITCHING);
    await isTunnel(client, upstream);
  });

  everywhere("what the server sends right behind its 101 is not lost", async (scene) => {
    const { client, upstream } = await ask(scene, UPGRADE);
    upstream.send(`${SWITCHING}early`);
    await client.until("\r\n\r\nearly");
    await isTunnel(client, upstream);
  });

  everywhere("a server that stays with HTTP keeps the connection in HTTP", async (scene) => {
    const { client, upstream } = await ask(scene, UPGRADE);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
    await client.until("\r\n\r\nno");
    client.send(`GET /next HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    await upstream.until("GET /next HTTP/1.1\r\n");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
    await client.until("yes");
  });

  everywhere("a 101 that nobody asked for is refused", async (scene) => {
    const { client, upstream } = await ask(scene, `GET / HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    upstream.send(SWITCHING);
    await client.until("\r\n\r\n");
    expect(client.received).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    expect(await upstream.untilEnd()).toBe("reset");
  });
});

describe("CONNECT", () => {
  everywhere("becomes a tunnel after 200", async (scene) => {
    const { client, upstream } = await ask(scene, CONNECT);
    expect(upstream.received).toStartWith("CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n");
    upstream.send("HTTP/1.1 200 Connection established\r\n\r\n");
    await client.until("\r\n\r\n");
    expect(client.received).toStartWith("HTTP/1.1 200 Connection established\r\n");
    expect(client.received.toLowerCase()).not.toContain("transfer-encoding");
    await isTunnel(client, upstream);
  });

  everywhere("a banner right behind the 200 is not lost", async (scene) => {
    const { client, upstream } = await ask(scene, CONNECT);
    upstream.send("HTTP/1.1 200 OK\r\n\r\nSSH-2.0-test\r\n");
    await client.until("\r\n\r\nSSH-2.0-test\r\n");
    await isTunnel(client, upstream);
  });

  everywhere("nothing of the client goes on before the 2xx", async (scene) => {
    const { client, upstream } = await ask(scene, CONNECT);
    const before = upstream.received;
    client.send("impatient");
    upstream.send("HTTP/1.1 102 Processing\r\n\r\n");
    await client.until("HTTP/1.1 102 Processing\r\n\r\n");
    expect(upstream.received).toBe(before);
    upstream.send("HTTP/1.1 200 OK\r\n\r\n");
    await upstream.until("\r\n\r\nimpatient");
    await isTunnel(client, upstream);
  });

  everywhere("a 403 stays HTTP", async (scene) => {
    const { client, upstream } = await ask(scene, CONNECT);
    upstream.send("HTTP/1.1 403 Forbidden\r\nServer: gate\r\nContent-Length: 3\r\n\r\nno!");
    await client.until("\r\n\r\nno!");
    client.send(`GET /next HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    await upstream.until("GET /next HTTP/1.1\r\n");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes");
    await client.until("\r\n\r\nyes");
  });
});
