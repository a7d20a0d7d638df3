// The demo's text: every scene as a numbered step, the same on every machine, coloured on terminals only.

import { describe, expect, test } from "bun:test";
import { captured, type Exchange, type Scene, shortcomings } from "../../src/demo/scene.ts";
import { COLORED, PLAIN, tellEnd, tellLookAround, tellScene } from "../../src/demo/story.ts";
import { expectGolden } from "../golden.ts";

const exchange = (change: Partial<Exchange> = {}): Exchange => ({
  method: "GET",
  url: "http://10.77.0.2/get",
  requestBody: "",
  status: 200,
  server: "pilotfish",
  durationMs: 3.07,
  requestId: "0f0e",
  ...change,
});
const row = {
  direction: "inbound",
  responseCode: "200",
  requests: 4,
  meanDurationMs: 2.5,
  requestBytes: 15,
  responseBytes: 856,
} as const;

const GOOD: Scene[] = [
  { kind: "pod", podName: "pilotfish-demo-1-pod", podAddress: "10.77.0.2", nodeAddress: "10.77.0.1" },
  { kind: "rules", command: "agent init -i '*'", rules: ["-A OUTPUT -j ISTIO_OUTPUT", "-A PREROUTING -j X"] },
  { kind: "proxy", uid: 1337, capabilities: "0000000000000000", startMs: 31.4 },
  {
    kind: "inbound",
    exchanges: [
      exchange({ url: "http://10.77.0.2/get?query=param" }),
      exchange({ method: "POST", url: "http://10.77.0.2/post", requestBody: "body=parameters", durationMs: 12.6 }),
      exchange({ url: "http://10.77.0.2/status/429", status: 429 }),
    ],
  },
  { kind: "outbound", exchange: exchange({ server: "httpbin" }) },
  { kind: "own", exchange: exchange({ server: "httpbin", requestId: undefined }), uid: 1337 },
  { kind: "log", text: "Original URL: a\n\nOriginal URL: b\n\n" },
  { kind: "statistics", statistics: [row] },
];

describe("the story", () => {
  test("as a whole", () => {
    const text = GOOD.map((scene, index) => tellScene(scene, index + 1, PLAIN)).join("");
    const around = {
      node: "nsenter --net=/n",
      pod: "nsenter --net=/p",
      podAddress: "10.77.0.2",
      outsideAddress: "203.0.113.10",
      pid: 7,
    };
    expectGolden("demo-story.txt", text + tellLookAround(around, PLAIN) + tellEnd(4, 812, PLAIN));
  });

  test("colours add nothing but colours", () => {
    for (const scene of GOOD) {
      const colored = tellScene(scene, 1, COLORED);
      expect(colored).toContain("\x1b[");
      expect(colored.replaceAll(/\x1b\[\d+m/g, "")).toBe(tellScene(scene, 1, PLAIN));
    }
  });
});

describe("what the demo has to show", () => {
  test("all of it is there", () => {
    expect(shortcomings(GOOD, "pilotfish")).toEqual([]);
    expect(captured(GOOD)).toBe(4);
  });

  const replaced = (scene: Scene) => GOOD.map((good) => (good.kind === scene.kind ? scene : good));
  const inbound = (change: Partial<Exchange>): Scene => ({
    kind: "inbound",
    exchanges: [exchange(), exchange(), exchange({ status: 429, ...change })],
  });
  test.each<[string, Scene, string]>([
    ["a wrong status", inbound({ status: 503 }), "http://10.77.0.2/get was answered 503, not 429"],
    [
      "no proxy in between",
      inbound({ server: "httpbin" }),
      'http://10.77.0.2/get was answered by "httpbin", not by the proxy',
    ],
    [
      "outbound passed by",
      { kind: "outbound", exchange: exchange({ requestId: undefined }) },
      "the pod's own request was not captured",
    ],
    [
      "the proxy's user captured",
      { kind: "own", exchange: exchange(), uid: 1337 },
      "a request of the proxy's user was captured",
    ],
    [
      "a request not counted",
      { kind: "statistics", statistics: [{ ...row, requests: 3 }] },
      "the proxy counted 3 requests, not 4",
    ],
  ])("%s", (_name, scene, want) => {
    expect(shortcomings(replaced(scene), "pilotfish")).toEqual([want]);
  });
});
