// A WebSocket server or client of the ws package, as a process of its own that a test starts in a namespace.
// Bun has an implementation of its own under the name "ws": the package is taken by its path.
// usage: ws-peer.ts serve | ws-peer.ts talk URL
import { createHash } from "node:crypto";

const PACKAGE = new URL("../../node_modules/ws/wrapper.mjs", import.meta.url).pathname;
const { WebSocket, WebSocketServer } = (await import(PACKAGE)) as typeof import("ws");

const [mode, url] = process.argv.slice(2);
if (mode === "serve") serve();
else if (mode === "talk" && url !== undefined) talk(url);
else throw new Error("usage: ws-peer.ts serve | talk URL");

/** Greets first, then echoes. Prints its port, and how each connection ended. */
function serve(): void {
  const server = new WebSocketServer({ port: 0, host: "::", perMessageDeflate: false });
  server.on("listening", () => console.log(`port ${(server.address() as { port: number }).port}`));
  server.on("connection", (socket, request) => {
    socket.send(`welcome to ${request.url} as ${request.headers["x-name"]}`);
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    socket.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
  });
}

/** Sends a text, a megabyte and a ping, then closes; prints what came back, a line each. */
function talk(address: string): void {
  const socket = new WebSocket(address, { headers: { "X-Name": "tester" }, perMessageDeflate: false });
  const megabyte = Buffer.alloc(1_000_000, "0123456789abcde");
  const sha1 = (data: Buffer): string => createHash("sha1").update(data).digest("hex");
  socket.on("open", () => {
    socket.send("hello");
    socket.send(megabyte);
  });
  socket.on("message", (data: Buffer, isBinary) => {
    if (!isBinary) console.log(`text ${data}`);
    else {
      console.log(`binary ${sha1(data) === sha1(megabyte) ? "intact" : "damaged"} ${data.length}`);
      socket.ping("are you there");
    }
  });
  socket.on("pong", (data) => {
    console.log(`pong ${data}`);
    socket.close(4000, "enough");
  });
  socket.on("close", (code, reason) => console.log(`closed ${code} ${reason}`));
  socket.on("error", (error) => console.log(`error ${error.message}`));
}
