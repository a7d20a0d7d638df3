// What goes wrong between a request and its response, in both lanes: who hears of it, how, and what the record says.
import { describe, expect } from "bun:test";
import { crlf, inBothLanes, type World } from "./world.ts";

const GET = crlf("GET /a HTTP/1.1\nHost: h\nx-request-id: 1\n\n");
const GET_2 = crlf("GET /b HTTP/1.1\nHost: h\nx-request-id: 2\n\n");
const OK = crlf("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");
const POST_HEAD = crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 5\nx-request-id: 1\n\n");

/** An answer in the proxy's own name. */
function answer(status: string, text: string, connection?: "close"): string {
  const field = connection === undefined ? "" : "Connection: close\n";
  const head = `HTTP/1.1 ${status}\ncontent-type: text/plain\ncontent-length: ${text.length + 1}\nServer: pilotfish\n${field}\n`;
  return `${crlf(head)}${text}\n`;
}

/** One request and response, so that the next one finds a pooled connection. */
async function warmUp(world: World) {
  const client = world.client();
  await world.deliver(client, GET);
  await world.deliver(world.upstream, OK);
  client.takeWritten();
  world.upstream.takeWritten();
  return client;
}

describe("an upstream that cannot be reached", () => {
  inBothLanes(
    "refused → 503 UF, and the client's connection goes on",
    async (world) => {
      const client = world.client();
      await world.deliver(client, GET);
      await world.break(world.upstream, "ECONNREFUSED");
      expect(client.written).toBe(answer("503 Service Unavailable", "upstream connect failed: econnrefused"));
      expect(client.ending).toBe("open");
      expect(world.lastRecord).toMatchObject({
        ...{ responseCode: 503, responseFlag: "UF", upstreamTransportFailureReason: "econnrefused" },
        responseCodeDetails: "upstream_reset_before_response_started{connection_failure}",
        ...{ upstreamHost: "10.0.0.2:80", upstreamServiceTimeMs: -1, bytesSent: 38 },
      });
      await world.deliver(client, GET_2);
      expect(world.upstreams).toHaveLength(2);
    },
    { opensAtOnce: false },
  );

  inBothLanes(
    "refused in the middle of an upload → 503, and the rest of the upload is not read",
    async (world) => {
      const client = world.client();
      await world.deliver(client, `${POST_HEAD}he`);
      await world.break(world.upstream, "ECONNREFUSED");
      expect(client.written).toBe(answer("503 Service Unavailable", "upstream connect failed: econnrefused", "close"));
      expect(client.ending).toBe("lingering");
    },
    { opensAtOnce: false },
  );

  inBothLanes(
    "no answer within the connect timeout → 503 UF",
    async (world) => {
      const client = world.client();
      await world.deliver(client, GET);
      expect(world.upstream.deadlineMs).toBe(10_001);
      await world.passDeadline(world.upstream);
      expect(client.written).toBe(answer("503 Service Unavailable", "upstream connect timeout: connect timeout"));
      expect(world.upstream.ending).toBe("reset");
      expect(world.lastRecord).toMatchObject({
        ...{ responseCode: 503, responseFlag: "UF", upstreamTransportFailureReason: "connect timeout" },
        responseCodeDetails: "upstream_reset_before_response_started{connection_timeout}",
      });
    },
    { opensAtOnce: false },
  );

  inBothLanes("the connect timeout is over once it is connected", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    expect(world.upstream.deadlineMs).toBe(0);
  });
});

describe("an upstream that goes away", () => {
  for (const [name, code] of [
    ["ends", undefined],
    ["resets", "ECONNRESET"],
  ] as const) {
    inBothLanes(`${name} before its response → 503 UC, on a connection of its own`, async (world) => {
      const client = world.client();
      await world.deliver(client, GET);
      if (code === undefined) await world.end(world.upstream);
      else await world.break(world.upstream, code);
      const reason = code === undefined ? "" : ": econnreset";
      expect(client.written).toBe(
        answer("503 Service Unavailable", `upstream closed the connection before its response${reason}`),
      );
      expect(client.ending).toBe("open");
      expect(world.upstreams).toHaveLength(1);
      expect(world.lastRecord).toMatchObject({ responseCode: 503, responseFlag: "UC" });
    });

    inBothLanes(`${name} in the middle of a response head → 503 UC`, async (world) => {
      const client = world.client();
      await world.deliver(client, GET);
      await world.deliver(world.upstream, "HTTP/1.1 200 O");
      if (code === undefined) await world.end(world.upstream);
      else await world.break(world.upstream, code);
      expect(client.written).toStartWith("HTTP/1.1 503 ");
      expect(world.lastRecord).toMatchObject({ responseCode: 503, responseFlag: "UC" });
    });

    for (const [framing, head] of [
      ["Content-Length", "HTTP/1.1 200 OK\nContent-Length: 9\n\n"],
      ["chunked", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n9\n"],
    ] as const) {
      for (const version of ["1.1", "1.0"] as const) {
        inBothLanes(
          `${name} in the middle of a body (${framing}) → an HTTP/${version} client sees a reset`,
          async (world) => {
            const client = world.client();
            await world.deliver(client, crlf(`GET / HTTP/${version}\nHost: h\n\n`));
            await world.deliver(world.upstream, crlf(`${head}part`));
            expect(client.ending).toBe("open");
            if (code === undefined) await world.end(world.upstream);
            else await world.break(world.upstream, code);
            expect(client.ending).toBe("reset");
            expect(client.written).not.toContain("\r\n0\r\n");
            expect(world.lastRecord).toMatchObject({ responseCode: 200, responseFlag: "UC", bytesSent: 4 });
          },
        );
      }
    }
  }

  inBothLanes("a reset in the middle of a body until close → the client sees a reset", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\n\npart"));
    await world.break(world.upstream, "ECONNRESET");
    expect(client.written).toBe(crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\npart\n"));
    expect(client.ending).toBe("reset");
  });

  inBothLanes("a broken chunk in the middle of a body → the client sees a reset", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n4\npart\n"));
    await world.deliver(world.upstream, "zz\r\n");
    expect(client.ending).toBe("reset");
    expect(world.upstream.ending).toBe("reset");
    expect(client.written).toEndWith("4\r\npart\r\n");
  });

  inBothLanes("an idle one that ends is not used again", async (world) => {
    const client = await warmUp(world);
    await world.end(world.upstream);
    expect(world.upstream.ending).toBe("closed");
    await world.deliver(client, GET);
    expect(world.upstreams).toHaveLength(2);
  });

  inBothLanes("an idle one that resets is not used again", async (world) => {
    const client = await warmUp(world);
    await world.break(world.upstream, "ECONNRESET");
    await world.deliver(client, GET);
    expect(world.upstreams).toHaveLength(2);
  });

  inBothLanes("an idle one is closed after its time", async (world) => {
    const client = await warmUp(world);
    expect(world.upstream.deadlineMs).toBe(3_001);
    await world.passDeadline(world.upstream);
    expect(world.upstream.ending).toBe("closed");
    await world.deliver(client, GET);
    expect(world.upstreams).toHaveLength(2);
  });

  inBothLanes("one in use has no idle deadline", async (world) => {
    const client = await warmUp(world);
    await world.deliver(client, GET);
    expect(world.upstream.deadlineMs).toBe(0);
  });
});

describe("a pooled connection that turns out dead", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]) {
    inBothLanes(`${method} without a body is sent a second time, on a new connection`, async (world) => {
      const client = await warmUp(world);
      const request = crlf(`${method} / HTTP/1.1\nHost: h\nx-request-id: 3\n\n`);
      await world.deliver(client, request);
      await world.end(world.upstream);
      expect(world.upstreams.map((upstream) => upstream.written)).toEqual([request, request]);
      await world.deliver(world.upstream, crlf("HTTP/1.1 204 No Content\n\n"));
      expect(client.written).toBe(crlf("HTTP/1.1 204 No Content\n\n"));
      expect(world.records).toHaveLength(2);
      expect(world.lastRecord).toMatchObject({ responseCode: 204, responseFlag: "" });
    });
  }

  inBothLanes("the second attempt is the last", async (world) => {
    const client = await warmUp(world);
    await world.deliver(client, GET);
    await world.break(world.upstream, "ECONNRESET");
    await world.break(world.upstream, "ECONNRESET");
    expect(world.upstreams).toHaveLength(2);
    expect(client.written).toStartWith("HTTP/1.1 503 ");
    expect(world.lastRecord).toMatchObject({ responseFlag: "UC", responseCode: 503 });
  });

  inBothLanes("the second attempt takes no pooled connection, which may be as dead", async (world) => {
    const [one, two] = [world.client(), world.client()];
    await world.deliver(one, GET);
    await world.deliver(two, GET);
    for (const upstream of world.upstreams) await world.deliver(upstream, OK);
    await world.deliver(one, GET);
    await world.break(world.upstreams[1]!, "ECONNRESET");
    expect(world.upstreams).toHaveLength(3);
    expect(world.upstreams[0]!.written).toBe(GET);
  });

  for (const [name, request] of [
    ["POST without a body", "POST / HTTP/1.1\nHost: h\n\n"],
    ["PATCH without a body", "PATCH / HTTP/1.1\nHost: h\n\n"],
    ["an unknown method", "BREW / HTTP/1.1\nHost: h\n\n"],
    ["POST with a body", "POST / HTTP/1.1\nHost: h\nContent-Length: 2\n\nhi"],
    ["PUT with a body, which is gone", "PUT / HTTP/1.1\nHost: h\nContent-Length: 2\n\nhi"],
    ["get in lower case, another method", "get / HTTP/1.1\nHost: h\n\n"],
  ] as const) {
    inBothLanes(`${name} is never sent twice`, async (world) => {
      const client = await warmUp(world);
      await world.deliver(client, crlf(request));
      await world.end(world.upstream);
      expect(world.upstreams).toHaveLength(1);
      expect(client.written).toStartWith("HTTP/1.1 503 ");
      expect(world.lastRecord).toMatchObject({ responseFlag: "UC", responseCode: 503 });
    });
  }

  inBothLanes("GET is not sent again once anything of a response has come", async (world) => {
    const client = await warmUp(world);
    await world.deliver(client, GET);
    await world.deliver(world.upstream, "H");
    await world.break(world.upstream, "ECONNRESET");
    expect(world.upstreams).toHaveLength(1);
    expect(client.written).toStartWith("HTTP/1.1 503 ");
  });

  inBothLanes("an interim response counts as one", async (world) => {
    const client = await warmUp(world);
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 103 Early Hints\n\n"));
    await world.break(world.upstream, "ECONNRESET");
    expect(world.upstreams).toHaveLength(1);
    expect(client.written).toContain("HTTP/1.1 503 ");
  });
});

describe("surplus bytes of an upstream never answer another request", () => {
  const EVIL = crlf("HTTP/1.1 200 OK\nContent-Length: 4\n\nevil");
  const responses = [
    ["Content-Length", OK],
    ["Content-Length: 0", crlf("HTTP/1.1 200 OK\nContent-Length: 0\n\n")],
    ["chunked", crlf("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n")],
    ["204", crlf("HTTP/1.1 204 No Content\n\n")],
    ["304", crlf("HTTP/1.1 304 Not Modified\nContent-Length: 4\n\n")],
  ] as const;

  for (const [name, response] of responses) {
    inBothLanes(`${name}, glued, with a pipelined request waiting`, async (world) => {
      const client = world.client();
      await world.deliver(client, GET + GET_2);
      await world.deliver(world.upstream, response + EVIL);
      expect(client.written).toBe(response);
      expect(world.upstreams.map((upstream) => upstream.written)).toEqual([GET, GET_2]);
      await world.deliver(world.upstream, OK);
      expect(client.written).toBe(response + OK);
    });

    inBothLanes(`${name}, in the next packet, with a pipelined request waiting`, async (world) => {
      const client = world.client();
      await world.deliver(client, GET + GET_2);
      world.upstream.receive(response);
      world.upstream.receive(EVIL);
      await world.settle();
      // Bytes that come when the next request is on its way cannot be told from its answer; but whoever got them
      // before must not use them for it.
      if (world.upstreams.length === 2) expect(client.written).toBe(response);
    });

    inBothLanes(`${name}, when the connection is idle`, async (world) => {
      const client = world.client();
      await world.deliver(client, GET);
      await world.deliver(world.upstream, response);
      await world.deliver(world.upstream, EVIL);
      expect(world.upstream.ending).toBe("reset");
      await world.deliver(client, GET_2);
      expect(world.upstreams).toHaveLength(2);
      expect(client.written).toBe(response);
    });

    inBothLanes(`${name}, one byte of it`, async (world) => {
      const client = world.client();
      await world.deliver(client, GET);
      await world.deliver(world.upstream, `${response}\n`);
      await world.deliver(client, GET_2);
      expect(world.upstreams).toHaveLength(2);
    });
  }

  inBothLanes("HEAD answered with a body", async (world) => {
    const client = world.client();
    await world.deliver(client, crlf("HEAD / HTTP/1.1\nHost: h\n\n") + GET_2);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK.slice(0, -2));
    expect(world.upstreams.map((upstream) => upstream.written).at(-1)).toBe(GET_2);
    expect(world.upstreams).toHaveLength(2);
  });

  inBothLanes("a response before any request", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, OK);
    await world.deliver(world.upstream, EVIL);
    await world.deliver(client, GET_2);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK + OK);
  });
});

describe("an upstream that speaks no HTTP/1", () => {
  for (const [name, bytes] of [
    ["garbage", "garbage\n\n"],
    ["a bare LF", "HTTP/1.1 200 OK\nA: 1\n"],
    ["HTTP/2", "HTTP/2 200\r\n\r\n"],
    ["bad framing", crlf("HTTP/1.1 200 OK\nContent-Length: 1\nTransfer-Encoding: chunked\n\n")],
    ["differing lengths", crlf("HTTP/1.1 200 OK\nContent-Length: 1\nContent-Length: 2\n\n")],
    ["an unknown coding", crlf("HTTP/1.1 200 OK\nTransfer-Encoding: gzip, chunked\n\n")],
    ["obs-fold", crlf("HTTP/1.1 200 OK\nA: 1\n 2\n\n")],
    ["an endless head", `HTTP/1.1 200 OK\r\nA: ${"x".repeat(70_000)}`],
    ["a head over the limit", `HTTP/1.1 200 OK\r\nA: ${"x".repeat(70_000)}\r\n\r\n`],
    ["interim responses without end", crlf("HTTP/1.1 100 Continue\n\n").repeat(17)],
    ["an uninvited 101", crlf("HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n")],
  ] as const) {
    inBothLanes(`${name} → 502 UPE, and the connection is not used again`, async (world) => {
      const client = world.client();
      await world.deliver(client, GET);
      await world.deliver(world.upstream, bytes);
      expect(client.written.replace(/^(HTTP\/1.1 100 Continue\r\n\r\n)+/, "")).toStartWith(
        "HTTP/1.1 502 Bad Gateway\r\n",
      );
      expect(client.ending).toBe("open");
      expect(world.upstream.ending).toBe("reset");
      expect(world.lastRecord).toMatchObject({ responseCode: 502, responseFlag: "UPE" });
      await world.deliver(client, GET_2);
      expect(world.upstreams).toHaveLength(2);
    });
  }
});

describe("an early response", () => {
  inBothLanes("while the upload goes on: both end in order, and both connections go on", async (world) => {
    const client = world.client();
    await world.deliver(client, `${POST_HEAD}he`);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    expect(world.records).toHaveLength(0);
    await world.deliver(client, `llo${GET_2}`);
    expect(world.records).toHaveLength(1);
    expect(world.upstream.written).toBe(`${POST_HEAD}hello${GET_2}`);
  });

  inBothLanes("and the upstream closes: the client has its answer, the rest of the upload is let be", async (world) => {
    const client = world.client();
    await world.deliver(client, `${POST_HEAD}he`);
    await world.deliver(world.upstream, crlf("HTTP/1.1 413 Too Large\nConnection: close\nContent-Length: 0\n\n"));
    await world.end(world.upstream);
    expect(client.written).toBe(crlf("HTTP/1.1 413 Too Large\nContent-Length: 0\n\n"));
    expect(client.ending).toBe("lingering");
    expect(world.lastRecord).toMatchObject({ responseCode: 413, responseFlag: "", bytesReceived: 2 });
  });

  inBothLanes("to a backpressured upload, and the upstream resets", async (world) => {
    const client = world.client();
    await world.deliver(client, POST_HEAD);
    world.upstream.congest();
    await world.deliver(client, "he");
    expect(client.isPaused).toBe(true);
    await world.deliver(world.upstream, OK);
    await world.deliver(client, "llo");
    await world.break(world.upstream, "ECONNRESET");
    expect(client.written).toBe(OK);
    expect(client.ending).toBe("lingering");
    expect(world.lastRecord).toMatchObject({ responseCode: 200, responseFlag: "" });
  });

  inBothLanes("to an upload that is complete but not yet taken: the client's connection goes on", async (world) => {
    const client = world.client();
    await world.deliver(client, POST_HEAD);
    world.upstream.congest();
    await world.deliver(client, "hello");
    expect(client.isPaused).toBe(true);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    expect(world.upstream.ending).toBe("closed");
    await world.deliver(client, GET_2);
    expect(world.upstreams).toHaveLength(2);
    expect(world.upstream.written).toBe(GET_2);
  });

  inBothLanes("a client that asked for close gets it once its upload is over", async (world) => {
    const client = world.client();
    await world.deliver(client, POST_HEAD.replace("Host", "Connection: close\r\nHost"));
    await world.deliver(world.upstream, OK);
    expect(client.ending).toBe("open");
    await world.deliver(client, "hello");
    expect(client.ending).toBe("closed");
  });
});

describe("a client that goes away", () => {
  for (const [name, leave] of [
    ["resets", (world: World) => world.break(world.clients[0]!, "ECONNRESET")],
    ["ends in the middle of its upload", (world: World) => world.end(world.clients[0]!)],
  ] as const) {
    inBothLanes(`${name}: the upstream hears of it at once`, async (world) => {
      const client = world.client();
      await world.deliver(client, `${POST_HEAD}he`);
      await leave(world);
      expect(world.upstream.ending).toBe("reset");
      expect(["gone", "reset"]).toContain(client.ending);
      expect(world.lastRecord).toMatchObject({
        ...{ responseCode: 0, responseFlag: "DC", responseCodeDetails: "downstream_remote_disconnect" },
        bytesReceived: 2,
      });
    });
  }

  inBothLanes(
    "before its upstream is connected",
    async (world) => {
      const client = world.client();
      await world.deliver(client, GET);
      await world.break(client, "ECONNRESET");
      expect(world.upstream.ending).toBe("reset");
      expect(world.lastRecord).toMatchObject({ responseFlag: "DC", responseCode: 0 });
    },
    { opensAtOnce: false },
  );

  inBothLanes("while it waits for the response", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.break(client, "ECONNRESET");
    expect(world.upstream.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({ responseFlag: "DC", responseCode: 0 });
  });

  inBothLanes("in the middle of the response", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\nContent-Length: 9\n\npart"));
    await world.break(client, "ECONNRESET");
    expect(world.upstream.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({ responseFlag: "DC", responseCode: 200, bytesSent: 4 });
  });

  inBothLanes("with a pipelined request waiting, which is never sent", async (world) => {
    const client = world.client();
    await world.deliver(client, GET + GET_2);
    await world.break(client, "ECONNRESET");
    expect(world.upstreams.map((upstream) => upstream.written)).toEqual([GET]);
    expect(world.records).toHaveLength(1);
  });

  inBothLanes("after its response: nothing more happens", async (world) => {
    const client = await warmUp(world);
    await world.break(client, "ECONNRESET");
    expect(world.upstream.ending).toBe("open");
    expect(world.records).toHaveLength(1);
  });

  inBothLanes("after the whole response, in the middle of its upload", async (world) => {
    const client = world.client();
    await world.deliver(client, `${POST_HEAD}he`);
    await world.deliver(world.upstream, OK);
    await world.break(client, "ECONNRESET");
    expect(world.upstream.ending).toBe("reset");
    expect(world.records).toHaveLength(1);
    expect(world.lastRecord.responseCode).toBe(200);
  });

  inBothLanes("one that only half-closed gets its answer", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.end(client);
    expect(client.deadlineMs).toBeWithin(2_000, 4_001);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    expect(client.ending).toBe("closed");
    expect(world.upstream.ending).toBe("open");
  });

  inBothLanes("one that half-closed behind two requests gets both answers", async (world) => {
    const client = world.client();
    client.receive(GET + GET_2);
    client.end();
    await world.settle();
    await world.deliver(world.upstream, OK);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK + OK);
    expect(client.ending).toBe("closed");
  });

  inBothLanes("one that half-closed is cut when the answer takes longer than its grace", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.end(client);
    await world.passDeadline(client);
    expect(client.ending).toBe("reset");
    expect(world.upstream.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({ responseFlag: "DC" });
  });

  inBothLanes("one that half-closed keeps its grace as long as the answer moves", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.end(client);
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\nContent-Length: 9\n\n"));
    client.setDeadline(1);
    await world.deliver(world.upstream, "part");
    expect(client.deadlineMs).toBeWithin(2_000, 4_001);
  });

  inBothLanes("one that ends behind half a pipelined request is closed after its answer", async (world) => {
    const client = world.client();
    client.receive(GET + GET_2.slice(0, 8));
    client.end();
    await world.settle();
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK);
    expect(client.ending).toBe("closed");
    expect(world.records).toHaveLength(1);
  });

  inBothLanes("one that ends between requests is closed", async (world) => {
    const client = await warmUp(world);
    await world.end(client);
    expect(client.ending).toBe("closed");
  });

  inBothLanes("one that ends in the middle of a head is closed without a record", async (world) => {
    const client = world.client();
    await world.deliver(client, GET.slice(0, 9));
    await world.end(client);
    expect(client.ending).toBe("closed");
    expect(world.records).toHaveLength(0);
  });
});

describe("time", () => {
  inBothLanes("a head that does not end in time → 408 DT", async (world) => {
    const client = world.client();
    await world.deliver(client, GET.slice(0, 9));
    expect(client.deadlineMs).toBe(10_000);
    await world.deliver(client, GET.slice(9, 12));
    await world.passDeadline(client);
    expect(client.written).toBe(answer("408 Request Timeout", "request header timeout", "close"));
    expect(client.isClosed).toBe(true);
    expect(world.upstreams).toHaveLength(0);
    expect(world.lastRecord).toMatchObject({
      ...{ responseCode: 408, responseFlag: "DT", responseCodeDetails: "request_header_timeout", durationMs: 0 },
    });
  });

  inBothLanes("more bytes of a head do not move its deadline", async (world) => {
    const client = world.client();
    await world.deliver(client, GET.slice(0, 9));
    client.setDeadline(77);
    await world.deliver(client, GET.slice(9, 12));
    expect(client.deadlineMs).toBe(77);
  });

  inBothLanes("a connection without a request is closed after its time, without a record", async (world) => {
    const client = await warmUp(world);
    expect(client.deadlineMs).toBe(300_001);
    await world.passDeadline(client);
    expect(client.ending).toBe("closed");
    expect(world.records).toHaveLength(1);
  });

  inBothLanes("an upstream that never answers → 504 SI", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    expect(client.deadlineMs).toBe(300_002);
    await world.passDeadline(client);
    expect(client.written).toBe(answer("504 Gateway Timeout", "neither side sent anything for too long"));
    expect(world.upstream.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({
      responseCode: 504,
      responseFlag: "SI",
      responseCodeDetails: "stream_idle_timeout",
    });
  });

  inBothLanes("an upload that stops → 408 SI", async (world) => {
    const client = world.client();
    await world.deliver(client, `${POST_HEAD}he`);
    client.setDeadline(1);
    await world.deliver(client, "l");
    expect(client.deadlineMs).toBe(300_002);
    await world.passDeadline(client);
    expect(client.written).toBe(answer("408 Request Timeout", "request body did not arrive in time", "close"));
    expect(client.ending).toBe("lingering");
    expect(world.upstream.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({ responseCode: 408, responseFlag: "SI" });
  });

  inBothLanes("a response that stops → the client sees a reset", async (world) => {
    const client = world.client();
    await world.deliver(client, GET);
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\nContent-Length: 9\n\n"));
    client.setDeadline(1);
    await world.deliver(world.upstream, "part");
    expect(client.deadlineMs).toBe(300_002);
    await world.passDeadline(client);
    expect(client.ending).toBe("reset");
    expect(world.upstream.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({ responseCode: 200, responseFlag: "SI" });
  });
});

describe("what is refused", () => {
  for (const [name, request, status, text] of [
    ["a bare LF", "GET / HTTP/1.1\nHost: h\n\n", "400 Bad Request", "bad http version"],
    [
      "two framings",
      crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 4\nTransfer-Encoding: chunked\n\n"),
      "400 Bad Request",
      "transfer encoding with content length",
    ],
    [
      "an unknown coding",
      crlf("POST / HTTP/1.1\nHost: h\nTransfer-Encoding: gzip, chunked\n\n"),
      "501 Not Implemented",
      "unknown transfer coding",
    ],
    ["an unknown version", crlf("GET / HTTP/3.0\nHost: h\n\n"), "505 HTTP Version Not Supported", "bad http version"],
    [
      "a head over the limit",
      `GET / HTTP/1.1\r\nHost: h\r\nA: ${"x".repeat(70_000)}\r\n\r\n`,
      "431 Request Header Fields Too Large",
      "header too long",
    ],
    [
      "a head over the limit that has no end",
      `GET / HTTP/1.1\r\nHost: h\r\nA: ${"x".repeat(70_000)}`,
      "431 Request Header Fields Too Large",
      "header too long",
    ],
    [
      "too many fields",
      crlf(`GET / HTTP/1.1\nHost: h\n${"a: 1\n".repeat(100)}\n`),
      "431 Request Header Fields Too Large",
      "too many headers",
    ],
    [
      "CONNECT with a body",
      crlf("CONNECT h:1 HTTP/1.1\nHost: h:1\nContent-Length: 4\n\n"),
      "400 Bad Request",
      "connect with body",
    ],
    ["empty lines without end", "\r\n".repeat(9), "400 Bad Request", "too many empty lines"],
  ] as const) {
    inBothLanes(`${name} → ${status}, nothing goes upstream, nothing after it is read`, async (world) => {
      const client = world.client();
      await world.deliver(client, request + GET);
      expect(client.written).toBe(answer(status, text, "close"));
      expect(client.isClosed).toBe(true);
      expect(world.upstreams).toHaveLength(0);
      expect(world.lastRecord).toMatchObject({
        ...{ responseCode: Number(status.slice(0, 3)), responseFlag: "DPE", durationMs: 0 },
        responseCodeDetails: `http1.${text.replaceAll(" ", "_")}`,
      });
    });
  }

  inBothLanes("a head with bare LFs is refused as soon as one is seen, not when its end never comes", async (world) => {
    const client = world.client();
    await world.deliver(client, "GET / HTTP/1.1\nHost: h\n\n");
    expect(client.written).toBe(answer("400 Bad Request", "bare lf", "close"));
    expect(client.isClosed).toBe(true);
  });

  inBothLanes("earlier pipelined requests are answered first", async (world) => {
    const client = world.client();
    await world.deliver(client, `${GET}GARBAGE\r\n\r\n${GET_2}`);
    await world.deliver(world.upstream, OK);
    expect(client.written).toBe(OK + answer("400 Bad Request", "bad method", "close"));
    expect(world.upstream.written).toBe(GET);
    expect(world.records.map((record) => record.responseCode)).toEqual([200, 400]);
  });

  inBothLanes("a bad chunk ends the request at both sides, and nothing after it is read", async (world) => {
    const client = world.client();
    const head = crlf("POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\nx-request-id: 1\n\n");
    await world.deliver(client, `${head}${crlf("2\nhi\n")}`);
    await world.deliver(client, `zz\r\n${GET}`);
    expect(client.written).toBe(answer("400 Bad Request", "bad chunk size", "close"));
    expect(world.upstream.written).toBe(`${head}${crlf("2\nhi\n")}`);
    expect(world.upstream.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({ responseFlag: "DPE", responseCode: 400, bytesReceived: 2 });
  });

  inBothLanes("a bad chunk after the response began breaks the connection", async (world) => {
    const client = world.client();
    await world.deliver(client, crlf("POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n"));
    await world.deliver(world.upstream, crlf("HTTP/1.1 200 OK\nContent-Length: 9\n\npart"));
    await world.deliver(client, "zz\r\n");
    expect(client.ending).toBe("reset");
    expect(world.upstream.ending).toBe("reset");
    expect(world.lastRecord).toMatchObject({ responseFlag: "DPE", responseCode: 200 });
  });

  inBothLanes("HEAD's refusal has no body, but its length", async (world) => {
    const client = world.client();
    await world.deliver(client, crlf("HEAD / HTTP/1.1\nHost: h\n\n"));
    await world.break(world.upstream, "ECONNRESET");
    expect(client.written).toMatch(/^HTTP\/1\.1 503 .*content-length: [1-9].*\r\n\r\n$/s);
    expect(world.lastRecord.bytesSent).toBe(0);
  });
});

describe("ports of our own, through the inbound listener", () => {
  const options = { direction: "inbound", isOwnPort: true } as const;

  inBothLanes(
    "health and metrics can be read",
    async (world) => {
      const client = world.client();
      await world.deliver(client, crlf("GET /stats/prometheus?x HTTP/1.1\nHost: h\n\n"));
      expect(world.upstreams).toHaveLength(1);
    },
    options,
  );

  for (const request of [
    "POST /stats/prometheus",
    "GET /quitquitquit",
    "GET /stats/prometheus/../../x",
    "GET http://h/metrics",
    "CONNECT h:1",
  ]) {
    inBothLanes(
      `${request} is denied`,
      async (world) => {
        const client = world.client();
        await world.deliver(client, crlf(`${request} HTTP/1.1\nHost: h\n\n`));
        expect(client.written).toStartWith("HTTP/1.1 403 Forbidden\r\n");
        expect(client.ending).toBe("open");
        expect(world.upstreams).toHaveLength(0);
        expect(world.lastRecord).toMatchObject({ responseCode: 403, responseFlag: "NR" });
      },
      options,
    );
  }

  inBothLanes(
    "a denied upload is not read to its end",
    async (world) => {
      const client = world.client();
      await world.deliver(client, crlf("POST /metrics HTTP/1.1\nHost: h\nContent-Length: 5\n\nhe"));
      expect(client.written).toContain("Connection: close\r\n");
      expect(client.ending).toBe("lingering");
    },
    options,
  );
});
