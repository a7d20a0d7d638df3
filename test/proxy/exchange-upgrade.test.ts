// From an exchange to a tunnel, in both lanes: 101 and CONNECT, with bytes that came early on either side.
import { describe, expect } from "bun:test";
import { crlf, inBothLanes } from "./world.ts";

const UPGRADE = crlf("GET /ws HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: websocket\nx-request-id: 1\n\n");
const SWITCHING = crlf("HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nX-A: 1\n\n");
const CONNECT = crlf("CONNECT h:443 HTTP/1.1\nHost: h:443\nx-request-id: 1\n\n");
const ESTABLISHED = crlf("HTTP/1.1 200 Connection established\n\n");
const GET = crlf("GET /b HTTP/1.1\nHost: h\nx-request-id: 2\n\n");
const OK = crlf("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");

describe("upgrade", () => {
  inBothLanes("passes, and then bytes both ways", async (world) => {
    const client = world.client();
    await world.deliver(client, UPGRADE);
    expect(world.upstream.takeWritten()).toBe(UPGRADE);
    await world.deliver(world.upstream, SWITCHING);
    expect(client.takeWritten()).toBe(SWITCHING);
    expect(world.records).toHaveLength(0);
    await world.deliver(client, "\x81\0ping");
    await world.deliver(world.upstream, "\x81\0pong!");
    expect([world.upstream.written, client.written]).toEqual(["\x81\0ping", "\x81\0pong!"]);
    await world.end(world.upstream);
    expect(client.ending).toBe("fin");
    await world.end(client);
    expect(world.inFlight).toBe(0);
    expect(world.lastRecord).toMatchObject({
      ...{ responseCode: 101, responseFlag: "", responseCodeDetails: "via_upstream", protocol: "http" },
      ...{ bytesReceived: 6, bytesSent: 7, upstreamHost: "10.0.0.2:80", upstreamLocalAddress: "10.0.0.1:40000" },
    });
  });

  inBothLanes("bytes glued to the request wait for the 101, bytes glued to the 101 follow it", async (world) => {
    const client = world.client();
    await world.deliver(client, `${UPGRADE}early`);
    await world.deliver(client, "more");
    expect(world.upstream.written).toBe(UPGRADE);
    await world.deliver(world.upstream, `${SWITCHING}glued`);
    expect(world.upstream.written).toBe(`${UPGRADE}earlymore`);
    expect(client.written).toBe(`${SWITCHING}glued`);
    expect(client.isPaused).toBe(false);
  });

  inBothLanes("a 101 cut anywhere is a 101", async (world) => {
    const wire = `${SWITCHING}ab`;
    for (let cut = 1; cut < wire.length; cut++) {
      const client = world.client();
      await world.deliver(client, UPGRADE);
      await world.deliver(world.upstream, wire.slice(0, cut));
      await world.deliver(world.upstream, wire.slice(cut));
      expect(client.written).toBe(wire);
    }
  });

  inBothLanes("interim responses may precede the 101", async (world) => {
    const client = world.client();
    await world.deliver(client, UPGRADE);
    await world.deliver(world.upstream, crlf("HTTP/1.1 103 Early Hints\n\n") + SWITCHING);
    expect(client.written).toBe(crlf("HTTP/1.1 103 Early Hints\n\n") + SWITCHING);
  });

  inBothLanes("refused: an ordinary response, and the connection goes on", async (world) => {
    const client = world.client();
    await world.deliver(client, UPGRADE + GET);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    expect(world.upstreams).toHaveLength(1);
    expect(world.upstream.written).toBe(UPGRADE + GET);
  });

  inBothLanes("426 keeps its Upgrade field", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(
      world.upstream,
      crlf("HTTP/1.1 426 Upgrade Required\nConnection: Upgrade\nUpgrade: h2c\nContent-Length: 0\n\n"),
    );
    expect(client.written).toBe(crlf("HTTP/1.1 426 Upgrade Required\nUpgrade: h2c\nContent-Length: 0\n\n"));
  });

  for (const [name, request] of [
    ["Upgrade without Connection", "GET / HTTP/1.1\nHost: h\nUpgrade: websocket\n\n"],
    ["Connection without Upgrade", "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\n\n"],
    ["HTTP/1.0", "GET / HTTP/1.0\nHost: h\nConnection: Upgrade\nUpgrade: websocket\n\n"],
    ["a word that only contains upgrade", "GET / HTTP/1.1\nHost: h\nConnection: x-upgrade\nUpgrade: websocket\n\n"],
    ["CONNECT, which is answered by 2xx", "CONNECT h:1 HTTP/1.1\nHost: h:1\n\n"],
  ] as const) {
    inBothLanes(`a 101 to ${name} opens no tunnel: 502`, async (world) => {
      const client = world.client();
      await world.deliver(client, crlf(request));
      expect(world.upstream.written.toLowerCase()).not.toContain("upgrade:");
      await world.deliver(world.upstream, `${SWITCHING}glued`);
      expect(client.written).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
      expect(client.written).not.toContain("glued");
      expect(world.upstream.ending).toBe("reset");
      expect(world.lastRecord).toMatchObject({ responseCode: 502, responseFlag: "UPE" });
    });
  }

  inBothLanes(
    "a 101 before the request is complete opens no tunnel: the bytes would be read two ways",
    async (world) => {
      const client = world.client();
      await world.deliver(client, UPGRADE.replace("Host", "Transfer-Encoding: chunked\r\nHost"));
      await world.deliver(world.upstream, SWITCHING);
      expect(client.written).toStartWith("HTTP/1.1 502 Bad Gateway\r\n");
      expect(world.upstream.ending).toBe("reset");
    },
  );

  inBothLanes("an upgrade with a body switches once the body is through", async (world) => {
    const client = world.client();
    await world.deliver(client, `${UPGRADE.replace("Host", "Content-Length: 4\r\nHost")}bodyraw`);
    await world.deliver(world.upstream, SWITCHING);
    expect(world.upstream.written).toEndWith("\r\n\r\nbodyraw");
    await world.verify();
    expect(world.lastRecord.bytesReceived).toBe(7);
  });

  inBothLanes(
    "inbound keeps the Server field of a 101 as it is",
    async (world) => {
      const client = world.client();
      await world.deliver(client, UPGRADE);
      await world.deliver(world.upstream, SWITCHING);
      expect(client.written).toBe(SWITCHING);
    },
    { direction: "inbound" },
  );

  inBothLanes("while draining, a tunnel is in flight until it ends", async (world) => {
    const client = world.client();
    await world.deliver(client, UPGRADE);
    await world.deliver(world.upstream, SWITCHING);
    world.isDraining = true;
    expect([world.inFlight, world.idleCalls]).toEqual([1, 0]);
    await world.end(client);
    await world.end(world.upstream);
    expect([world.inFlight, world.idleCalls]).toEqual([0, 1]);
  });

  inBothLanes("a client that half-closed behind its early bytes has half-closed the tunnel", async (world) => {
    const client = world.client();
    client.receive(`${UPGRADE}bye`);
    client.end();
    await world.settle();
    await world.deliver(world.upstream, SWITCHING);
    expect(world.upstream.written).toBe(`${UPGRADE}bye`);
    expect(world.upstream.ending).toBe("fin");
    await world.deliver(world.upstream, "last words");
    expect(client.written).toBe(`${SWITCHING}last words`);
  });

  inBothLanes("so has one whose end was known before the 101", async (world) => {
    const client = world.client();
    await world.deliver(client, UPGRADE);
    await world.end(client);
    await world.deliver(world.upstream, SWITCHING);
    expect(world.upstream.ending).toBe("fin");
    await world.deliver(world.upstream, "last words");
    expect(client.written).toBe(`${SWITCHING}last words`);
    await world.end(world.upstream);
    expect(world.lastRecord).toMatchObject({ responseCode: 101, responseFlag: "" });
  });
});

describe("CONNECT", () => {
  inBothLanes("2xx makes a tunnel, with bytes that came early on either side", async (world) => {
    const client = world.client();
    await world.deliver(client, `${CONNECT}\x16\x03\x01hello`);
    expect(world.upstream.written).toBe(CONNECT);
    await world.deliver(world.upstream, `${ESTABLISHED}\x16\x03\x03back`);
    expect(world.upstream.written).toBe(`${CONNECT}\x16\x03\x01hello`);
    expect(client.written).toBe(`${ESTABLISHED}\x16\x03\x03back`);
    await world.break(client, "ECONNRESET");
    expect(world.upstream.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({
      ...{ method: "CONNECT", target: "h:443", responseCode: 200, responseFlag: "DC", bytesReceived: 8, bytesSent: 7 },
    });
  });

  for (const field of ["Content-Length: 5", "Transfer-Encoding: chunked"]) {
    inBothLanes(`RFC 9110 §9.3.6: ${field} in the 2xx means nothing and is not passed on`, async (world) => {
      const client = world.client();
      await world.deliver(client, CONNECT);
      await world.deliver(world.upstream, crlf(`HTTP/1.1 200 OK\n${field}\nX-A: 1\n\nraw`));
      expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nX-A: 1\n\nraw"));
      await world.deliver(client, "0\r\n\r\n");
      expect(world.upstream.written).toEndWith("0\r\n\r\n");
    });
  }

  inBothLanes("anything else is a response, and early bytes are no tunnel's", async (world) => {
    const client = world.client();
    await world.deliver(client, `${CONNECT}\x16\x03\x01`);
    await world.deliver(world.upstream, crlf("HTTP/1.1 407 Proxy Authentication Required\nContent-Length: 2\n\nno"));
    expect(client.written).toStartWith(crlf("HTTP/1.1 407 Proxy Authentication Required\nContent-Length: 2\n\nno"));
    expect(world.upstream.written).toBe(CONNECT);
  });

  inBothLanes("after a refusal the connection goes on", async (world) => {
    const client = world.client();
    await world.deliver(client, CONNECT);
    await world.deliver(world.upstream, crlf("HTTP/1.1 407 Proxy Authentication Required\nContent-Length: 0\n\n"));
    await world.deliver(client, CONNECT);
    await world.deliver(world.upstream, ESTABLISHED);
    expect(world.upstreams).toHaveLength(1);
    expect(client.written).toEndWith(ESTABLISHED);
  });
});
