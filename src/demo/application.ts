// The process behind the demo's httpbin: binds a port, gives its rights away and answers until it is killed. Shell.
// It is started inside a namespace of the demo and says "ready" on stdout.
import { createHttpbin } from "./httpbin.ts";

/** nobody and nogroup: an application needs no rights. */
const NOBODY = 65_534;

/** Never returns by itself. */
export async function serveApplication(port: number): Promise<number> {
  const app = createHttpbin(Bun.sleep);
  Bun.serve({
    hostname: "::",
    port,
    fetch: (request, server) => app.fetch(request, { remoteAddress: server.requestIP(request)?.address ?? "" }),
  });
  process.setgroups?.([]);
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
  process.stdout.write("ready\n");
  return new Promise<number>(() => {});
}
