// The whole product in a real pod: k8s/httpbin.yaml played with podman, Debian's real httpbin, both containers from the one image
// that scripts/image builds. podman cannot run httpGet probes and publishes containerPorts: the played copy has them left out.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type PlayedPod, Podman } from "../podman/podman.ts";

const ROOT = join(import.meta.dir, "../..");
const MANIFEST = readFileSync(join(ROOT, "k8s/httpbin.yaml"), "utf8");
const ARCHIVE = join(ROOT, `dist/image-${process.arch === "x64" ? "amd64" : process.arch}.tar`);
const HTTPBIN_IMAGE = "localhost/httpbin:debian";
const GUNICORN = ["/usr/bin/gunicorn", "--bind", "0.0.0.0:80", "--workers", "1", "--threads", "4", "httpbin:app"];
/** The first run on a machine makes httpbin's image: a small Debian, a minute or three. */
const SETUP_TIMEOUT_MS = 500_000;
const LOG_TIMEOUT_MS = 5_000;
const MAX_IMAGE_BYTES = 130_000_000;

let podman: Podman;
let pod: PlayedPod;

beforeAll(async () => {
  const image = Bun.spawnSync([join(ROOT, "scripts/image")], { stdin: "ignore", stdout: "inherit", stderr: "inherit" });
  if (image.exitCode !== 0) throw new Error(`scripts/image ended with ${image.exitCode}`);
  podman = await Podman.create();
  await podman.load(ARCHIVE);
  await podman.importOnce(HTTPBIN_IMAGE, join(ROOT, "test/podman/httpbin-rootfs"), GUNICORN);
  pod = await podman.play(MANIFEST, { "docker.io/kennethreitz/httpbin": HTTPBIN_IMAGE });
  await podman.untilSucceeds(pod, "curl", "-sf", "-o", "/dev/null", `http://${pod.ip}:15021/healthz/ready`);
  // httpbin has no probe; asked over the pod's loopback, which is not captured, it leaves no entry in the proxy's log.
  await podman.untilSucceeds(pod, ...(await inPod("curl", "-sf", "-o", "/dev/null", "http://127.0.0.1/status/200")));
}, SETUP_TIMEOUT_MS);

afterAll(async () => {
  await podman?.[Symbol.asyncDispose]();
}, SETUP_TIMEOUT_MS);

/** A command of this machine in the pod's network. */
async function inPod(...command: string[]): Promise<string[]> {
  return ["nsenter", `--net=/proc/${await podman.inspect(pod, "httpbin", "{{.State.Pid}}")}/ns/net`, "--", ...command];
}

/** curl from outside the pod. */
async function curl(...args: string[]): Promise<{ status: string; server: string | undefined; body: string }> {
  const { code, stdout, stderr } = await podman.run("curl", "-sSi", "-m", "10", ...args);
  if (code !== 0) throw new Error(`curl ${args.join(" ")}: exit ${code}: ${stderr}`);
  const [head = "", body = ""] = stdout.split(/\r\n\r\n(.*)/s);
  return { status: head.split("\r\n", 1)[0] ?? "", server: /^server: (.*)$/im.exec(head)?.[1], body };
}

/** One entry of `--access-log-encoding BLOCK`. */
const entry = (path: string, requestBytes: number, status: number): string =>
  [
    `Original URL: http://${pod.ip}:80${path}`,
    `Proxy URL: http://${pod.ip}:80${path}`,
    "Request Duration: DURATION",
    `Request Size: ${requestBytes}`,
    "Response Size: BYTES",
    `Response Status: ${status}`,
    "\n",
  ].join("\n");

describe("k8s/httpbin.yaml in podman", () => {
  test("the played copy differs from the manifest only where podman cannot follow", () => {
    expect(
      pod.changes.filter((change) => !/left out, podman|^restartPolicy: Never|^httpbin: image/.test(change)),
    ).toEqual([]);
  });

  test("three requests from outside are answered by httpbin through the proxy, and logged", async () => {
    const get = await curl(`http://${pod.ip}:80/get?query=param`);
    expect(get).toMatchObject({ status: "HTTP/1.1 200 OK", server: "pilotfish" });
    expect(JSON.parse(get.body)).toMatchObject({ args: { query: "param" }, headers: { Host: pod.ip } });

    const post = await curl("-X", "POST", "-d", "body=parameters", `http://${pod.ip}:80/post`);
    expect(post).toMatchObject({ status: "HTTP/1.1 200 OK", server: "pilotfish" });
    expect(JSON.parse(post.body)).toMatchObject({ form: { body: "parameters" } });

    const status = await curl(`http://${pod.ip}:80/status/429`);
    expect(status).toMatchObject({ status: "HTTP/1.1 429 TOO MANY REQUESTS", server: "pilotfish", body: "" });

    const deadline = Date.now() + LOG_TIMEOUT_MS;
    let log = "";
    while (log.split("\n\n").length < 4 && Date.now() < deadline) log = (await podman.logs(pod, "proxy")).stdout;
    const sizes = [...log.matchAll(/^Response Size: (\d+)$/gm)].map((match) => Number(match[1]));
    expect(sizes).toEqual([get.body.length, post.body.length, 0]);
    // Go's duration text: 1.979348ms, 912.5µs, 1.2s.
    const steady = log
      .replaceAll(/(?<=Duration: )\d+(\.\d+)?(µs|ms|s)$/gm, "DURATION")
      .replaceAll(/(?<=Response Size: )\d+/g, "BYTES");
    expect(steady).toBe(entry("/get?query=param", 0, 200) + entry("/post", 15, 200) + entry("/status/429", 0, 429));
  });

  test("a request of the application to the outside goes through the proxy too", async () => {
    const python =
      "import http.client as h; c = h.HTTPConnection('10.255.255.1', 81, timeout=9); c.request('GET', '/'); print(c.getresponse().status)";
    expect(await podman.podman("exec", `${pod.name}-httpbin`, "/usr/bin/python3", "-c", python)).toBe("503");
  });

  test("both containers are the one image, and it is small", async () => {
    const id = await podman.podman("image", "inspect", "localhost/pilotfish:latest", "-f", "{{.Id}}");
    for (const container of ["init", "proxy"]) expect(await podman.inspect(pod, container, "{{.Image}}")).toBe(id);
    expect(Number(await podman.podman("image", "inspect", id, "-f", "{{.Size}}"))).toBeLessThan(MAX_IMAGE_BYTES);
  });

  test("the init container programs the rules with two capabilities and lists them", async () => {
    expect(await podman.inspect(pod, "init", "{{.State.Status}} {{.State.ExitCode}} {{.EffectiveCaps}}")).toBe(
      "exited 0 [CAP_NET_ADMIN CAP_NET_RAW]",
    );
    const { stdout, stderr } = await podman.logs(pod, "init");
    const live = await podman.run(...(await inPod("iptables-save", "-t", "nat")));
    const rules = live.stdout.split("\n").filter((line) => line.startsWith("-A"));
    expect(rules).toContain("-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006");
    expect(rules).toContain("-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001");
    for (const rule of rules) expect(stdout + stderr).toContain(rule);
  });

  test("the proxy is user 1337 without any capability, on a read-only root", async () => {
    const status = readFileSync(`/proc/${await podman.inspect(pod, "proxy", "{{.State.Pid}}")}/status`, "utf8");
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
      expect(status).toContain(`${set}:\t0000000000000000\n`);
    expect(status).toContain("Uid:\t1337\t1337\t1337\t1337\n");
    expect(status).toContain("Gid:\t1337\t1337\t1337\t1337\n");
    expect(status).toContain("NoNewPrivs:\t1\n");
    expect(await podman.inspect(pod, "proxy", "{{.HostConfig.ReadonlyRootfs}}")).toBe("true");
  });

  // Last: it ends the proxy.
  test("the proxy ends with 0 when the pod is stopped", async () => {
    await podman.podman("stop", "-t", "10", `${pod.name}-proxy`);
    expect(await podman.inspect(pod, "proxy", "{{.State.ExitCode}}")).toBe("0");
  });
});
