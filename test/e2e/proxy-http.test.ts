// HTTP/1 through the proxy as byte streams: what one end sends is what the other end gets, inbound and outbound, IPv4 and IPv6,
// in both lanes. Framing, order, streaming and keep-alive; failures are proxy-failures.test.ts.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Lanes, PLACES, type Scene } from "./lanes.ts";
import { answerEach, type RawConnection, type RawServer } from "./raw-socket.ts";

let lanes: Lanes;
beforeAll(async () => {
  lanes = await Lanes.create();
}, 30_000);
afterAll(() => lanes?.[Symbol.asyncDispose]());

const ID = "x-request-id: 1b4e28ba-2fa1-41d2-883f-0016d3cca427\r\n";
const OK = "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 2\r\n\r\nok";

/** The name in `Server` that the client sees of an application that says `app`. */
const serverOf = (scene: Scene): string => (scene.isInbound ? "pilotfish" : "app");

/** Sends a request to a fresh upstream; both ends when the upstream has the whole of it. */
async function ask(
  scene: Scene,
  request: string,
  endsWith = "\r\n\r\n",
): Promise<{ client: RawConnection; upstream: RawConnection; server: RawServer }> {
  const server = scene.serve();
  const client = (await scene.connect(server)).send(request);
  const upstream = await server.accept();
  await upstream.until((received) => received.endsWith(endsWith));
  return { client, upstream, server };
}

/** The same case in every place and lane. */
function everywhere(name: string, act: (scene: Scene) => Promise<void>): void {
  test.each(PLACES)(`${name}: $name`, (place) => lanes.play(place, act));
}

describe("heads", () => {
  everywhere("names keep their case, order and duplicates, targets and reasons their bytes", async (scene) => {
    const { client, upstream } = await ask(
      scene,
      `GET /a%20b/../c?d=%2f&&e HTTP/1.1\r\nHOST: pod.test\r\nX-Zeta: 1\r\naccept: */*\r\nX-aLPHA:2\r\nX-Zeta: \xe93\r\n${ID}\r\n`,
    );
    expect(upstream.received).toBe(
      `GET /a%20b/../c?d=%2f&&e HTTP/1.1\r\nHOST: pod.test\r\nX-Zeta: 1\r\naccept: */*\r\nX-aLPHA: 2\r\nX-Zeta: \xe93\r\n${ID}${scene.forwardedFor}\r\n`,
    );
    upstream.send(
      "HTTP/1.1 299 Not \xdcsual\r\nset-cookie: a\r\nSERVER: app\r\nContent-Length: 2\r\nSet-Cookie: b\r\n\r\nok",
    );
    await client.until("\r\n\r\nok");
    expect(client.received).toBe(
      `HTTP/1.1 299 Not \xdcsual\r\nset-cookie: a\r\nSERVER: ${serverOf(scene)}\r\nContent-Length: 2\r\nSet-Cookie: b\r\n\r\nok`,
    );
  });

  everywhere("a request without x-request-id gets a UUID", async (scene) => {
    const { upstream } = await ask(scene, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(upstream.received).toMatch(
      /\r\nx-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\r\n/,
    );
  });

  everywhere("x-forwarded-for is appended to on the way in, and left alone on the way out", async (scene) => {
    const { upstream } = await ask(scene, `GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n${ID}\r\n`);
    const list = scene.isInbound ? `192.0.2.1, ${scene.clientAddress}` : "192.0.2.1";
    expect(upstream.received).toBe(`GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ${list}\r\n${ID}\r\n`);
  });

  everywhere("fields of one connection do not cross the proxy", async (scene) => {
    const { client, upstream } = await ask(
      scene,
      `GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=9\r\nX-Hop: 1\r\nProxy-Connection: close\r\nX-Kept: 1\r\n${ID}\r\n`,
    );
    expect(upstream.received).toBe(`GET / HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\n${ID}${scene.forwardedFor}\r\n`);
    upstream.send(
      "HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nServer: app\r\nContent-Length: 0\r\n\r\n",
    );
    await client.until("\r\n\r\n");
    expect(client.received).toBe(`HTTP/1.1 200 OK\r\nServer: ${serverOf(scene)}\r\nContent-Length: 0\r\n\r\n`);
  });
});

describe("bodies", () => {
  everywhere("chunked both ways, with trailers", async (scene) => {
    const { client, upstream } = await ask(
      scene,
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n${ID}\r\n`,
    );
    client.send("5;ignored=1\r\nhello\r\n");
    await upstream.until("hello\r\n");
    client.send("00a\r\n0123456789\r\n0\r\nX-Sum: 15\r\nx-sum: again\r\n\r\n");
    await upstream.until("again\r\n\r\n");
    expect(upstream.received).toBe(
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nConnection: TE\r\n${ID}${scene.forwardedFor}\r\n` +
        "5\r\nhello\r\na\r\n0123456789\r\n0\r\nX-Sum: 15\r\nx-sum: again\r\n\r\n",
    );
    upstream.send(
      "HTTP/1.1 200 OK\r\nServer: app\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n",
    );
    await client.until("X-End: yes\r\n\r\n");
    expect(client.received).toBe(
      `HTTP/1.1 200 OK\r\nServer: ${serverOf(scene)}\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n3\r\nabc\r\n0\r\nX-End: yes\r\n\r\n`,
    );
  });

  everywhere("an upload is passed on as it comes, not collected", async (scene) => {
    const { client, upstream } = await ask(scene, `PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n${ID}\r\n`);
    for (const part of ["ab", "cd", "ef"]) {
      client.send(part);
      await upstream.until((received) => received.endsWith(part));
    }
    upstream.send(OK);
    await client.until("ok");
  });

  everywhere("an event stream arrives event by event", async (scene) => {
    const { client, upstream } = await ask(scene, `GET /events HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
    upstream.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    await client.until("\r\n\r\n");
    for (let event = 1; event <= 5; event++) {
      upstream.send(`9\r\ndata: ${event}\n\n\r\n`);
      await client.until(`9\r\ndata: ${event}\n\n\r\n`);
    }
    upstream.send("0\r\n\r\n");
    await client.until("0\r\n\r\n");
  });

  everywhere("Expect: 100-continue waits for the upstream's word", async (scene) => {
    const { client, upstream } = await ask(
      scene,
      `POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n${ID}\r\n`,
    );
    expect(upstream.received).toContain("\r\nExpect: 100-continue\r\n");
    expect(client.received).toBe("");
    upstream.send("HTTP/1.1 100 Continue\r\n\r\n");
    await client.until("\r\n\r\n");
    expect(client.received).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    await upstream.until("body");
    upstream.send(OK);
    await client.until("ok");
  });

  everywhere("Expect: 100-continue may be refused, and 103 is passed on", async (scene) => {
    const { client, upstream } = await ask(
      scene,
      `POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n${ID}\r\n`,
    );
    upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    await client.until("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    upstream.send("HTTP/1.1 417 No\r\nServer: app\r\nContent-Length: 0\r\n\r\n");
    await client.until(`HTTP/1.1 417 No\r\nServer: ${serverOf(scene)}\r\nContent-Length: 0\r\n\r\n`);
  });

  everywhere("an answer that comes before the end of a large upload reaches the client", async (scene) => {
    const server = scene.serve((connection) => {
      connection.keepsBytes = false;
      connection.pause();
    });
    const client = await scene.connect(server);
    client.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000000\r\n${ID}\r\n`);
    client.send(Buffer.alloc(20_000_000, "x"));
    const upstream = await server.accept();
    upstream.send("HTTP/1.1 413 Too Much\r\nServer: app\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!").finish();
    await client.until("no!");
    expect(client.received).toStartWith("HTTP/1.1 413 Too Much\r\n");
  });
});

describe("answers without a body", () => {
  everywhere("HEAD, 204 and 304 leave the connection in step", async (scene) => {
    const answers = [
      "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 1000\r\n\r\n",
      "HTTP/1.1 204 No Content\r\nServer: app\r\n\r\n",
      "HTTP/1.1 304 Not Modified\r\nServer: app\r\nContent-Length: 1000\r\n\r\n",
      "HTTP/1.1 200 OK\r\nServer: app\r\nTransfer-Encoding: chunked\r\n\r\n",
      OK,
    ];
    const server = scene.serve((connection) => void answerEach(connection, (_head, index) => answers[index]!));
    const client = await scene.connect(server);
    for (const [index, method] of ["HEAD", "GET", "GET", "HEAD", "GET"].entries()) {
      client.send(`${method} /${index} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
      await client.until((received) => received.split("HTTP/1.1 ").length === index + 2);
    }
    await client.until((received) => received.endsWith("ok"));
    expect(client.received).toBe(answers.join("").replaceAll("app", serverOf(scene)));
    expect(server.connections).toHaveLength(1);
  });
});

describe("connections", () => {
  everywhere("20 pipelined requests are answered in order, over one upstream connection", async (scene) => {
    const server = scene.serve(
      (connection) =>
        void answerEach(connection, (head) => {
          const path = head.split(" ")[1]!;
          return `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`;
        }),
    );
    const paths = Array.from({ length: 20 }, (_, index) => `/${index};`);
    const client = await scene.connect(server);
    client.send(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`).join(""));
    await client.until((received) => received.endsWith("/19;"));
    expect(client.received.split(/(?<=;)HTTP/).map((answer) => answer.split("\r\n\r\n")[1] ?? "")).toEqual(paths);
    expect(server.connections).toHaveLength(1);
  });

  everywhere("a pipelined request behind an upload waits its turn", async (scene) => {
    const { client, upstream } = await ask(
      scene,
      `POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n${ID}\r\nabcGET /2 HTTP/1.1\r\nHost: a\r\n${ID}\r\n`,
      "abc",
    );
    upstream.send(OK);
    await upstream.until("GET /2");
    upstream.send(OK);
    await client.until((received) => received.split("ok").length === 3);
  });

  everywhere("Connection: close of the client is kept, and not passed on", async (scene) => {
    const { client, upstream } = await ask(scene, `GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${ID}\r\n`);
    expect(upstream.received).toBe(`GET / HTTP/1.1\r\nHost: a\r\n${ID}${scene.forwardedFor}\r\n`);
    upstream.send(OK);
    expect(await client.untilEnd()).toBe("fin");
    expect(client.received).toBe(
      `HTTP/1.1 200 OK\r\nServer: ${serverOf(scene)}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok`,
    );
  });

  everywhere("a client that sends FIN behind its request still gets its answer", async (scene) => {
    const server = scene.serve();
    const client = (await scene.connect(server)).send(`GET / HTTP/1.1\r\nHost: a\r\n${ID}\r\n`).finish();
    const upstream = await server.accept();
    await upstream.until("\r\n\r\n");
    upstream.send(OK);
    expect(await client.untilEnd()).toBe("fin");
    expect(client.received).toEndWith("\r\n\r\nok");
  });

  everywhere("an idle upstream connection that turns out dead costs a GET nothing", async (scene) => {
    const server = scene.serve(
      (connection) =>
        void answerEach(connection, (_head, index) => {
          if (index === 0) return OK;
          connection.reset();
          return "";
        }),
    );
    const client = await scene.connect(server);
    for (let request = 1; request <= 3; request++) {
      client.send(`GET /${request} HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
      await client.until((received) => received.split("ok").length === request + 1);
    }
    expect(server.connections).toHaveLength(3);
  });
});

describe("HTTP/1.0", () => {
  everywhere("a client of 1.0 gets the answer unchunked and then the end", async (scene) => {
    const { client, upstream } = await ask(scene, `GET / HTTP/1.0\r\nHost: a\r\n${ID}\r\n`);
    expect(upstream.received).toStartWith("GET / HTTP/1.1\r\nHost: a\r\n");
    upstream.send(
      "HTTP/1.1 200 OK\r\nServer: app\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    expect(await client.untilEnd()).toBe("fin");
    expect(client.received).toBe(`HTTP/1.1 200 OK\r\nServer: ${serverOf(scene)}\r\nConnection: close\r\n\r\nabcde`);
  });

  everywhere("a client of 1.0 may keep the connection when it says so", async (scene) => {
    const { client, upstream } = await ask(scene, `GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n${ID}\r\n`);
    for (let request = 1; request <= 2; request++) {
      upstream.send(OK);
      await client.until((received) => received.split("ok").length === request + 1);
      if (request === 1) client.send(`GET /2 HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n${ID}\r\n`);
      await upstream.until((received) => received.includes("GET /2"));
    }
    expect(client.received.match(/^Connection: keep-alive\r$/gim)).toHaveLength(2);
  });

  everywhere("a request of 1.0 without Host gets the address it was sent to", async (scene) => {
    const server = scene.serve();
    (await scene.connect(server)).send(`GET / HTTP/1.0\r\n${ID}\r\n`);
    const upstream = await server.accept();
    await upstream.until("\r\n\r\n");
    const { upstreamAddress: address } = scene;
    const host = address.includes(":") ? `[${address}]` : address;
    expect(upstream.received).toContain(`\r\nHost: ${host}:${server.port}\r\n`);
    // It differs between the plays: the two pods have different addresses and ports.
    upstream.received = "";
  });

  everywhere(
    "the answer of a server of 1.0 ends with its connection, and is chunked for a client of 1.1",
    async (scene) => {
      const { client, upstream } = await ask(scene, `GET / HTTP/1.1\r\nHost: a\r\n${ID}\r\n`);
      upstream.send("HTTP/1.0 200 OK\r\nServer: app\r\n\r\nabc");
      await client.until("3\r\nabc\r\n");
      upstream.finish();
      await client.until("0\r\n\r\n");
      expect(client.received).toBe(
        `HTTP/1.1 200 OK\r\nServer: ${serverOf(scene)}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
      );
    },
  );
});
