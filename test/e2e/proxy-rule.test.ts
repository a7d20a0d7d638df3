// The well-known demo project replayed: a proxy that sets a header and sleeps six seconds is a rule of the configuration file here.
// With Debian's httpbin as the application; without the rule, nothing of it.
import { expect, test } from "bun:test";
import { startHttpbin } from "./httpbin-server.ts";
import { hostOf, Sidecar } from "./sidecar.ts";

const RULE = `
inbound:
  http:
    - name: demo
      match:
        - uri: { prefix: /headers }
          method: { exact: GET }
      headers:
        request:
          set: { proxy: xx1 }
          remove: [x-secret]
        response:
          add: { x-proxied: "yes" }
      fault:
        delay: { fixedDelay: 6s }
`;

interface Visit {
  readonly seconds: number;
  readonly seen: Record<string, string>;
  readonly head: string;
}

/** What httpbin saw of a request to the path, and how long its answer took. */
async function visit(sidecar: Sidecar, path: string): Promise<Visit> {
  const url = `http://${hostOf(sidecar.pod, "IPv4")}:80${path}`;
  const start = performance.now();
  const text = await sidecar.node.check(["curl", "-sSi", "-m", "20", "-H", "X-Secret: 1", url]);
  const seconds = (performance.now() - start) / 1000;
  const [head = "", body = "{}"] = text.split(/\r\n\r\n(.*)/s);
  return { seconds, head, seen: (JSON.parse(body) as { headers: Record<string, string> }).headers };
}

test("without a rule: no header of the proxy's, and no delay", async () => {
  await using sidecar = await Sidecar.start();
  await startHttpbin(sidecar.pod);
  const visits = [];
  for (let count = 0; count < 3; count++) visits.push(await visit(sidecar, "/headers"));
  // The fastest: the first one waits for httpbin itself.
  const { seconds, seen, head } = visits.reduce((best, next) => (next.seconds < best.seconds ? next : best));
  expect(Object.keys(seen)).not.toContain("Proxy");
  expect(seen).toMatchObject({ "X-Secret": "1" });
  expect(head).not.toContain("x-proxied");
  expect(seconds).toBeLessThan(1);
}, 60_000);

test("with the rule: the application gets its header, the client waits six seconds; other paths do not", async () => {
  await using sidecar = await Sidecar.start({ config: RULE });
  await startHttpbin(sidecar.pod);
  await visit(sidecar, "/anything");
  const [matched, other] = await Promise.all([visit(sidecar, "/headers?a=b"), visit(sidecar, "/anything")]);
  expect(matched.seen).toMatchObject({ Proxy: "xx1" });
  expect(Object.keys(matched.seen)).not.toContain("X-Secret");
  expect(matched.head).toContain("\r\nx-proxied: yes");
  expect(matched.seconds).toBeGreaterThanOrEqual(6);
  expect(matched.seconds).toBeLessThan(8);
  expect(Object.keys(other.seen)).not.toContain("Proxy");
  expect(other.seconds).toBeLessThan(1);
}, 60_000);
