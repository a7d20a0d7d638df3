// Messages through both lanes: framing, order, reuse and what goes on as it came. Ends and failures are in
// exchange-failures.test.ts, tunnels in exchange-upgrade.test.ts.
import { describe, expect } from "bun:test";
import { crlf, inBothLanes } from "./world.ts";

/** With an x-request-id of its own, an outbound request goes on byte for byte. */
const GET = crlf("GET /a HTTP/1.1\nHost: h\nx-request-id: 1\n\n");
const GET_2 = crlf("GET /b HTTP/1.1\nHost: h\nx-request-id: 2\n\n");
const OK = crlf("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");
const OK_2 = crlf("HTTP/1.1 200 OK\nContent-Length: 3\n\ntwo");

describe("keep-alive and order", () => {
  inBothLanes("a request and its response pass byte for byte", async (world) => {
    const client = world.client();
    const request = crlf("gET /%61?b=\xe9#c HTTP/1.1\nhOsT: h\nX-A: 1\nx-request-id: 1\nX-B: \nx-a: \xfc\n\n");
    const response = crlf("HTTP/1.1 299 F\xfcn \nX-Y: 1\ncontent-LENGTH: 2\nx-y: 2\nX-y: \n\nok");
    await world.deliver(client, request);
    expect(world.upstream.written).toBe(request);
    await world.deliver(world.upstream, response);
    expect(client.written).toBe(response);
    expect(world.records).toHaveLength(1);
    expect(world.lastRecord).toMatchObject({
      ...{ method: "gET", target: "/%61?b=\xe9#c", httpVersion: "HTTP/1.1", authority: "h", requestId: "1" },
      ...{ responseCode: 299, responseFlag: "", responseCodeDetails: "via_upstream", bytesReceived: 0, bytesSent: 2 },
      ...{ upstreamHost: "10.0.0.2:80", upstreamLocalAddress: "10.0.0.1:40000", upstreamCluster: "cluster" },
      ...{ downstreamRemoteAddress: "10.0.0.9:5000", originalDestination: "10.0.0.2:80", originalPort: 80 },
    });
  });

  inBothLanes("the white space around values becomes canonical", async (world) => {
    const client = world.client();
    await world.deliver(client, crlf("GET / HTTP/1.1\nHost:h\nA:\t 1 \t\nx-request-id: 1\n\n"));
    expect(world.upstream.written).toBe(crlf("GET / HTTP/1.1\nHost: h\nA: 1\nx-request-id: 1\n\n"));
  });

  inBothLanes("requests one after the other use one connection on each side", async (world) => {
    const client = world.client();
    for (let round = 0; round < 3; round++) {
      await world.deliver(client, GET);
      await world.deliver(world.upstream, OK);
    }
    expect(world.upstreams).toHaveLength(1);
    expect(world.upstream.written).toBe(GET.repeat(3));
    expect(client.written).toBe(OK.repeat(3));
    expect(client.ending).toBe("open");
    expect(world.records).toHaveLength(3);
  });

  inBothLanes("pipelined requests are answered in order, one at a time", async (world) => {
    const client = world.client();
    await world.deliver(client, GET + GET_2);
    expect(world.upstream.written).toBe(GET);
    await world.deliver(world.upstream, OK);
    expect(world.upstream.written).toBe(GET + GET_2);
    await world.deliver(world.upstream, OK_2);
    expect(client.written).toBe(OK + OK_2);
    expect(world.upstreams).toHaveLength(1);
    expect(client.isPaused).toBe(false);
  });

  inBothLanes("a pipelined request may arrive in pieces behind another", async (world) => {
    const client = world.client();
    await world.deliver(client, GET + GET_2.slice(0, 10));
    await world.deliver(world.upstream, OK);
    await world.deliver(client, GET_2.slice(10));
    await world.deliver(world.upstream, OK_2);
    expect(world.upstream.written).toBe(GET + GET_2);
    expect(client.written).toBe(OK + OK_2);
  });

  inBothLanes("a head cut anywhere is the same request", async (world) => {
    for (let cut = 1; cut < GET.length; cut++) {
      const client = world.client();
      await world.deliver(client, GET.slice(0, cut));
      await world.deliver(client, GET.slice(cut));
      expect(world.upstream.takeWritten()).toBe(GET);
      await world.deliver(world.upstream, OK);
      expect(client.written).toBe(OK);
    }
    expect(world.upstreams).toHaveLength(1);
  });

  inBothLanes("a response cut anywhere is the same response", async (world) => {
    const wire = crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\nT: 1\n\n");
    const client = world.client();
    for (let cut = 1; cut < wire.length; cut++) {
      await world.deliver(client, GET);
      await world.deliver(world.upstream, wire.slice(0, cut));
      await world.deliver(world.upstream, wire.slice(cut));
      expect(client.takeWritten().replace(/1\r\no\r\n1\r\nk\r\n/, "2\r\nok\r\n")).toBe(wire);
    }
    expect(world.upstreams).toHaveLength(1);
  });

  inBothLanes("two clients at once have two upstream connections, and leave both for the next", async (world) => {
    const [one, two, three] = [world.client(), world.client(), world.client()] as const;
    await world.deliver(one, GET);
    await world.deliver(two, GET_2);
    expect(world.upstreams).toHaveLength(2);
    await world.deliver(world.upstreams[1]!, OK_2);
    await world.deliver(world.upstreams[0]!, OK);
    expect([one.written, two.written]).toEqual([OK, OK_2]);
    await world.deliver(three, GET);
    expect(world.upstreams).toHaveLength(2);
    // The last one returned is the first one taken.
    expect(world.upstreams[0]!.written).toBe(GET + GET);
  });

  inBothLanes("no more idle connections are kept than the limit: the oldest goes", async (world) => {
    const clients = [world.client(), world.client(), world.client()];
    for (const client of clients) await world.deliver(client, GET);
    for (const upstream of world.upstreams) await world.deliver(upstream, OK);
    expect(world.upstreams.map((upstream) => upstream.ending)).toEqual(["closed", "open", "open"]);
  });

  inBothLanes("Connection: close of the client ends both connections in order", async (world) => {
    const client = world.client();
    await world.deliver(client, crlf("GET / HTTP/1.1\nHost: h\nConnection: Close\nx-request-id: 1\n\n"));
    expect(world.upstream.written).toBe(crlf("GET / HTTP/1.1\nHost: h\nx-request-id: 1\n\n"));
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nok"));
    expect(client.ending).toBe("closed");
    expect(world.upstream.ending).toBe("open");
  });

  inBothLanes("Connection: close of the upstream ends the upstream's connection only", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok"));
    expect(client.written).toBe(OK);
    expect(client.ending).toBe("open");
    expect(world.upstream.ending).toBe("closed");
    await world.deliver(client, GET_2);
    expect(world.upstreams).toHaveLength(2);
  });

  inBothLanes("empty lines before a request are skipped", async (world) => {
    const client = world.client();
    await world.deliver(client, `\r\n\r\n${GET}`);
    await world.deliver(world.upstream, OK);
    await world.deliver(client, "\r\n");
    await world.deliver(client, `\n${GET_2}`);
    expect(world.upstream.written).toBe(GET + GET_2);
    await world.deliver(world.upstream, OK);
    // Their bound is each request's own.
    for (let round = 0; round < 12; round++) {
      await world.deliver(client, `\r\n${GET}`);
      await world.deliver(world.upstream, OK);
    }
    expect(world.records).toHaveLength(14);
  });

  inBothLanes("while draining, answers carry Connection: close, and the end of the last one is told", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    world.isDraining = true;
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nok"));
    expect(client.ending).toBe("closed");
    expect(world.idleCalls).toBe(1);
  });
});

describe("bodies", () => {
  inBothLanes("Content-Length both ways, in pieces", async (world) => {
    const client = world.client();
    const head = crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 5\nx-request-id: 1\n\n");
    await world.deliver(client, `${head}he`);
    await world.deliver(client, "llo");
    expect(world.upstream.written).toBe(`${head}hello`);
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\nContent-Length: 5\n\nwor"));
    await world.deliver(world.upstream, "ld");
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nContent-Length: 5\n\nworld"));
    expect(world.lastRecord).toMatchObject({ bytesReceived: 5, bytesSent: 5 });
    await world.deliver(client, GET);
    expect(world.upstreams).toHaveLength(1);
  });

  inBothLanes("chunks and trailers both ways; extensions are dropped", async (world) => {
    const client = world.client();
    const head = crlf("POST / HTTP/1.1\nHost: h\nTrailer: X-T\nTransfer-Encoding: Chunked\nx-request-id: 1\n\n");
    await world.deliver(client, `${head}${crlf("005;x=y\nhello\n0\nX-T: 1\nHost: evil\n\n")}`);
    expect(world.upstream.written).toBe(head.replace("Chunked", "chunked") + crlf("5\nhello\n0\nX-T: 1\n\n"));
    const response = crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-U\n\n2\nok\n0\nX-U: \xe9\nx-u:\n\n");
    await world.deliver(world.upstream, response.replace("X-U: \xe9", "X-U:\xe9").replace("x-u:", "x-u: "));
    expect(client.written).toBe(response.replace("x-u:", "x-u: "));
    expect(world.lastRecord).toMatchObject({ bytesReceived: 5, bytesSent: 2, responseCode: 200 });
  });

  inBothLanes("a body behind a pipelined request is not taken for the next", async (world) => {
    const client = world.client();
    const post = crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 4\nx-request-id: 1\n\n");
    await world.deliver(client, `${post}GET ${GET}`);
    await world.deliver(world.upstream, OK);
    expect(world.upstream.written).toBe(`${post}GET ${GET}`);
  });

  inBothLanes("GET may have a body", async (world) => {
    const client = world.client();
    const request = crlf("GET / HTTP/1.1\nHost: h\nContent-Length: 2\nx-request-id: 1\n\nhi");
    await world.deliver(client, request);
    expect(world.upstream.written).toBe(request);
  });

  inBothLanes("Expect: 100-continue is the upstream's to answer", async (world) => {
    const client = world.client();
    const head = crlf("PUT / HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 2\nx-request-id: 1\n\n");
    await world.deliver(client, head);
    expect(world.upstream.written).toBe(head);
    await world.deliver(world.upstream, crlf("HTTP/1.1 100 Continue\n\n"));
    expect(client.takeWritten()).toBe(crlf("HTTP/1.1 100 Continue\n\n"));
    await world.deliver(client, "hi");
    expect(world.upstream.written).toBe(`${head}hi`);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
  });

  inBothLanes("a refused Expect lets the connection go on when the body came after all", async (world) => {
    const client = world.client();
    const head = crlf("PUT / HTTP/1.1\nHost: h\nExpect: 100-continue\nContent-Length: 2\nx-request-id: 1\n\n");
    await world.deliver(client, head);
    const refusal = crlf("HTTP/1.1 417 No\nContent-Length: 0\n\n");
    await world.deliver(world.upstream, refusal);
    expect(client.takeWritten()).toBe(refusal);
    expect(world.records).toHaveLength(0);
    await world.deliver(client, `hi${GET_2}`);
    expect(world.upstream.written).toBe(`${head}hi${GET_2}`);
    expect(world.records).toHaveLength(1);
  });

  inBothLanes("several interim responses pass at once, before the final one", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    const hints = crlf("HTTP/1.1 103 Early Hints\nLink: </a.css>\nlink: b\n\n");
    const interim = crlf("HTTP/1.1 100 Continue\n\n") + hints + hints;
    await world.deliver(world.upstream, interim);
    expect(client.takeWritten()).toBe(interim);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    expect(world.lastRecord.responseCode).toBe(200);
  });

  inBothLanes("an interim response glued to the final one passes too", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 103 Early Hints\n\n") + OK);
    expect(client.written).toBe(crlf("HTTP/1.1 103 Early Hints\n\n") + OK);
  });

  inBothLanes("HTTP/1.0 gets no interim responses", async (world) => {
    const client = world.client();
    await world.deliver(client, crlf("GET / HTTP/1.0\nHost: h\nx-request-id: 1\n\n"));
    await world.deliver(world.upstream, crlf("HTTP/1.1 100 Continue\n\nHTTP/1.1 103 Early Hints\nLink: a\n\n") + OK);
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nok"));
  });
});

describe("responses without a body", () => {
  for (const [name, method, response, expected = response] of [
    ["HEAD with Content-Length", "HEAD", "HTTP/1.1 200 OK\nContent-Length: 500\n\n"],
    ["HEAD with chunked", "HEAD", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"],
    ["HEAD with neither", "HEAD", "HTTP/1.1 200 OK\n\n"],
    ["304 with Content-Length", "GET", 'HTTP/1.1 304 Not Modified\nETag: "a"\nContent-Length: 500\n\n'],
    ["304 with neither", "GET", "HTTP/1.1 304 Not Modified\n\n"],
    ["204", "DELETE", "HTTP/1.1 204 No Content\n\n"],
    [
      "204 with a length, which it must not have",
      "GET",
      "HTTP/1.1 204 No Content\nContent-Length: 0\n\n",
      "HTTP/1.1 204 No Content\n\n",
    ],
    ["200 with length 0", "GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"],
    ["an empty reason", "GET", "HTTP/1.1 200 \nContent-Length: 0\n\n"],
    ["205", "POST", "HTTP/1.1 205 Reset Content\nContent-Length: 0\n\n"],
  ] as const) {
    inBothLanes(`${name} ends at its head, and both connections go on`, async (world) => {
      const client = world.client();
      const request = crlf(`${method} / HTTP/1.1\nHost: h\nx-request-id: 1\n\n`);
      await world.deliver(client, request);
      await world.deliver(world.upstream, crlf(response));
      expect(client.takeWritten()).toBe(crlf(expected));
      expect(world.records).toHaveLength(1);
      expect(world.lastRecord.bytesSent).toBe(0);
      await world.deliver(client, GET_2);
      expect(world.upstreams).toHaveLength(1);
      await world.deliver(world.upstream, OK_2);
      expect(client.written).toBe(OK_2);
    });
  }
});

describe("HTTP/1.0", () => {
  const GET_10 = crlf("GET / HTTP/1.0\nHost: h\nx-request-id: 1\n\n");

  inBothLanes("a 1.0 request goes upstream as 1.1, with a Host", async (world) => {
    const client = world.client();
    await world.deliver(client, crlf("GET / HTTP/1.0\nx-request-id: 1\n\n"));
    expect(world.upstream.written).toBe(crlf("GET / HTTP/1.1\nx-request-id: 1\nHost: 10.0.0.2:80\n\n"));
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nok"));
    expect(client.ending).toBe("closed");
    expect(world.lastRecord.httpVersion).toBe("HTTP/1.0");
  });

  inBothLanes("Connection: keep-alive is granted", async (world) => {
    const client = world.client();
    for (let round = 0; round < 2; round++) {
      await world.deliver(client, crlf("GET / HTTP/1.0\nHost: h\nConnection: Keep-Alive\nx-request-id: 1\n\n"));
      expect(world.upstream.takeWritten()).toBe(crlf("GET / HTTP/1.1\nHost: h\nx-request-id: 1\n\n"));
      await world.deliver(world.upstream, OK);
      expect(client.takeWritten()).toBe(crlf("HTTP/1.1 200 OK\nContent-Length: 2\nConnection: keep-alive\n\nok"));
    }
    expect(client.ending).toBe("open");
  });

  inBothLanes("chunks are taken off for a 1.0 client, and the close is the end", async (world) => {
    const client = world.client();
    await world.deliver(client, crlf("GET / HTTP/1.0\nHost: h\nConnection: keep-alive\nx-request-id: 1\n\n"));
    await world.deliver(
      world.upstream,
      crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n1\n!\n0\nT: 1\n\n"),
    );
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nConnection: close\n\nok!"));
    expect(client.ending).toBe("closed");
    expect(world.upstream.ending).toBe("open");
  });

  inBothLanes("a response until close goes to a 1.0 client as it is", async (world) => {
    const client = world.client();
    await world.deliver(client, GET_10);
    await world.deliver(world.upstream, crlf("HTTP/1.0 200 OK\nServer: s\n\nhel"));
    await world.deliver(world.upstream, "lo");
    expect(client.ending).toBe("open");
    await world.end(world.upstream);
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nServer: s\nConnection: close\n\nhello"));
    expect(client.ending).toBe("closed");
    expect(world.upstream.ending).toBe("closed");
    expect(world.lastRecord).toMatchObject({ responseCode: 200, responseFlag: "", bytesSent: 5 });
  });

  inBothLanes("a response until close goes to a 1.1 client in chunks, and its connection goes on", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.0 200 OK\n\nhel"));
    await world.deliver(world.upstream, "lo");
    await world.end(world.upstream);
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nhel\n2\nlo\n0\n\n"));
    expect(client.ending).toBe("open");
    expect(world.lastRecord).toMatchObject({ bytesSent: 5, responseFlag: "" });
  });

  inBothLanes("an empty response until close is an empty body", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\n\n"));
    await world.end(world.upstream);
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\n\n"));
  });

  inBothLanes("a 1.0 upstream without keep-alive is not used again, one with it is", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.0 200 OK\nContent-Length: 2\n\nok"));
    expect(world.upstream.ending).toBe("closed");
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 2\n\nok"));
    await world.deliver(client, GET);
    expect(world.upstreams).toHaveLength(2);
    expect(client.written).toBe(OK + OK);
  });
});

describe("backpressure", () => {
  inBothLanes("a slow client pauses the upstream, and its drain resumes it", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\nContent-Length: 6\n\n"));
    client.congest();
    await world.deliver(world.upstream, "ab");
    expect(world.upstream.pauses).toEqual(["pause backpressure"]);
    await world.deliver(world.upstream, "cd");
    expect(client.written.endsWith("ab")).toBe(true);
    await world.drain(client);
    expect(world.upstream.pauses).toEqual(["pause backpressure", "resume backpressure"]);
    expect(client.written.endsWith("abcd")).toBe(true);
    await world.deliver(world.upstream, "ef");
    expect(world.records).toHaveLength(1);
  });

  inBothLanes("a slow upstream pauses the client, and its drain resumes it", async (world) => {
    const client = world.client();
    await world.deliver(client, crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 4\n\n"));
    world.upstream.congest();
    await world.deliver(client, "ab");
    expect(client.isPaused).toBe(true);
    await world.deliver(client, "cd");
    expect(world.upstream.written.endsWith("\r\n\r\nab")).toBe(true);
    await world.drain(world.upstream);
    expect(client.isPaused).toBe(false);
    expect(world.upstream.written.endsWith("\r\n\r\nabcd")).toBe(true);
  });

  inBothLanes("a response that ends while the client is slow leaves its upstream usable for others", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    client.congest();
    await world.deliver(world.upstream, OK);
    const other = world.client();
    await world.deliver(other, GET_2);
    expect(world.upstreams).toHaveLength(1);
    await world.deliver(world.upstream, OK_2);
    expect(other.written).toBe(OK_2);
    await world.drain(client);
    await world.deliver(client, GET);
    expect(world.upstreams).toHaveLength(1);
  });

  inBothLanes(
    "a body before its upstream is connected waits in the kernel",
    async (world) => {
      const client = world.client();
      await world.deliver(client, crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 6\nx-request-id: 1\n\nab"));
      await world.deliver(client, "cd");
      expect(client.isPaused).toBe(true);
      expect(world.upstream.written.endsWith("ab")).toBe(true);
      world.upstream.open();
      await world.settle();
      expect(client.isPaused).toBe(false);
      expect(world.upstream.written.endsWith("abcd")).toBe(true);
    },
    { opensAtOnce: false },
  );
});
