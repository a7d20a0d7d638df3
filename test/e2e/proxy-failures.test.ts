// What the client, the upstream and the log see when one end fails in the middle of HTTP, in both lanes.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Lanes, PLACES, type Scene } from "./lanes.ts";

let lanes: Lanes;
beforeAll(async () => {
  lanes = await Lanes.create();
}, 30_000);
afterAll(() => lanes?.[Symbol.asyncDispose]());

const ID = "x-request-id: 1b4e28ba-2fa1-41d2-883f-0016d3cca427\r\n";
const HEAD_OF_TEN = "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 10\r\n\r\n";

/** The same case in every place and lane. `path` is the play's own, to find its line in the log. */
function everywhere(name: string, act: (scene: Scene, path: string) => Promise<void>): void {
  let play = 0;
  const slug = name.replaceAll(/[^a-z]+/gi, "-");
  test.each(PLACES)(`${name}: $name`, (place) => {
    play++;
    return lanes.play(place, (scene) => act(scene, `/${slug}/${play}`));
  });
}

/** Status, flag, details and upstream failure of the log line of the path. */
async function logged(scene: Scene, path: string): Promise<string> {
  const line = await scene.sidecar.logLine(path);
  const [, fields] = /" (\d+ \S+ \S+ \S+ "[^"]*")/.exec(line) ?? [];
  return fields ?? line;
}

describe("the upstream", () => {
  everywhere("refuses the connection: 503, UF", async (scene, path) => {
    const client = await scene.connect({ port: scene.unusedPort() });
    client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    await client.until("\r\n\r\n");
    await client.until((received) => received.endsWith("\n") && !received.endsWith("\r\n\r\n"));
    expect(client.received).toStartWith("HTTP/1.1 503 Service Unavailable\r\n");
    expect(client.received).toEndWith("\r\n\r\nupstream connect failed: connection refused\n");
    expect(await logged(scene, path)).toBe(
      '503 UF upstream_reset_before_response_started{connection_failure} - "connection refused"',
    );
    // The connection goes on: the failure was the upstream's alone.
    client.send(`GET ${path}/again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${ID}\r\n`);
    expect(await client.untilEnd()).toBe("fin");
    expect(client.received.split("HTTP/1.1 503 ")).toHaveLength(3);
  });

  everywhere("ends before it answers: 503, UC", async (scene, path) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    const upstream = await server.accept();
    await upstream.until("\r\n\r\n");
    upstream.finish();
    await client.until("\r\n\r\n");
    expect(client.received).toStartWith("HTTP/1.1 503 Service Unavailable\r\n");
    expect(await logged(scene, path)).toStartWith(
      "503 UC upstream_reset_before_response_started{connection_termination} - ",
    );
  });

  const halves = [
    ["ends", "of a known length", HEAD_OF_TEN, "half!"],
    ["breaks off", "of a known length", HEAD_OF_TEN, "half!"],
    ["ends", "in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhalf!\r\n"],
    ["breaks off", "in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "5\r\nhalf!\r\n"],
  ] as const;
  for (const [how, framing, head, half] of halves) {
    everywhere(`${how} in the middle of an answer ${framing}: the client sees it, UC`, async (scene, path) => {
      const server = scene.serve();
      const client = (await scene.connect(server)).send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
      const upstream = await server.accept();
      await upstream.until("\r\n\r\n");
      upstream.send(head + half);
      await client.until(half);
      if (how === "ends") upstream.finish();
      else upstream.reset();
      expect(await client.untilEnd()).toBe("reset");
      expect(client.received).toEndWith(`\r\n\r\n${half}`);
      expect(await logged(scene, path)).toStartWith(
        "200 UC upstream_reset_after_response_started{connection_termination} - ",
      );
    });
  }

  everywhere("answers what is no HTTP: 502, UPE", async (scene, path) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    const upstream = await server.accept();
    await upstream.until("\r\n\r\n");
    upstream.send("220 smtp.test ESMTP\r\n\r\n");
    await client.until("\r\n\r\n");
    expect(client.received).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    expect(await upstream.untilEnd()).toBe("reset");
    expect(await logged(scene, path)).toStartWith("502 UPE ");
  });

  everywhere("gives two different lengths: 502, and no byte of the answer", async (scene, path) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    const upstream = await server.accept();
    await upstream.until("\r\n\r\n");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd");
    await client.until("\r\n\r\n");
    expect(client.received).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
    expect(client.received).not.toContain("abc");
  });
});

describe("the client", () => {
  everywhere("breaks off while the answer comes: the upstream hears of it, DC", async (scene, path) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    const upstream = await server.accept();
    await upstream.until("\r\n\r\n");
    upstream.send(`${HEAD_OF_TEN}half!`);
    await client.until("half!");
    client.reset();
    expect(await upstream.untilEnd()).toBe("reset");
    expect(await logged(scene, path)).toStartWith("200 DC downstream_remote_disconnect - ");
  });

  everywhere("breaks off while it waits: the upstream hears of it, DC", async (scene, path) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    const upstream = await server.accept();
    await upstream.until("\r\n\r\n");
    client.reset();
    expect(await upstream.untilEnd()).toBe("reset");
    expect(await logged(scene, path)).toStartWith("0 DC downstream_remote_disconnect - ");
  });

  everywhere("breaks off in the middle of its upload: the upstream sees no complete body", async (scene, path) => {
    const server = scene.serve();
    const client = await scene.connect(server);
    client.send(`POST ${path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n${ID}\r\n5\r\nhalf!\r\n`);
    const upstream = await server.accept();
    await upstream.until("half!\r\n");
    client.finish();
    expect(await upstream.untilEnd()).toBe("reset");
    expect(upstream.received).not.toContain("0\r\n\r\n");
    expect(await logged(scene, path)).toStartWith("0 DC ");
  });
});

test.each(PLACES)("curl reports an answer that was cut: $name", async (place) => {
  await lanes.play(place, async (scene) => {
    const server = scene.serve(async (connection) => {
      await connection.until("\r\n\r\n");
      connection.send(`${HEAD_OF_TEN}half!`).finish();
    });
    const host = scene.upstreamAddress.includes(":") ? `[${scene.upstreamAddress}]` : scene.upstreamAddress;
    const { code } = await scene.clientNamespace.run([
      ..."curl -sS -m 5 -o /dev/null".split(" "),
      ...["-A", "test", "-H", "Host: a", `http://${host}:${server.port}/cut`],
    ]);
    // 18: fewer bytes than announced; 56: the connection was reset.
    expect([18, 56]).toContain(code);
  });
});
