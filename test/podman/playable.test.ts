// The playable copy of a manifest: every change is told, and nothing else is touched.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { playable } from "./playable.ts";

const HTTPBIN = readFileSync(new URL("../../k8s/httpbin.yaml", import.meta.url), "utf8");

describe("playable", () => {
  test("tells every change of the httpbin manifest", () => {
    const { changes, podName } = playable(HTTPBIN, { "docker.io/kennethreitz/httpbin": "localhost/httpbin:debian" });
    expect(podName).toBe("httpbin");
    expect(changes).toEqual([
      "Service httpbin: left out, podman has no such thing",
      "restartPolicy: Never, since under Always podman starts a finished init container again and again",
      "httpbin: image localhost/httpbin:debian in place of docker.io/kennethreitz/httpbin",
      "httpbin: containerPort left out, podman would publish it on the host",
      "proxy: readinessProbe left out, podman cannot run httpGet probes",
      "proxy: livenessProbe left out, podman cannot run httpGet probes",
      "proxy: containerPort left out, podman would publish it on the host",
      "proxy: POD_NAMESPACE left out, podman does not know metadata.namespace",
      "proxy: INSTANCE_IP left out, podman does not know status.podIP",
    ]);
  });

  test("leaves arguments, identity and capabilities as they are written", () => {
    const before = HTTPBIN.split("\n---\n")
      .map((text) => parse(text))
      .find(({ kind }) => kind === "Pod").spec;
    const after = parse(playable(HTTPBIN, {}).yaml).spec;
    for (const lists of [
      [before.initContainers, after.initContainers],
      [before.containers, after.containers],
    ]) {
      const essence = lists.map((list) =>
        list.map((c: Record<string, unknown>) => [c["name"], c["image"], c["args"], c["securityContext"]]),
      );
      expect(essence[1]).toEqual(essence[0]);
    }
  });

  test.each([
    ["no pod", "kind: Service\nmetadata: {name: a}\n", "0 pods"],
    [
      "two pods",
      "kind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n---\nkind: Pod\nmetadata: {name: b}\nspec: {containers: []}\n",
      "2 pods",
    ],
  ])("refuses %s", (_name, manifest, message) => {
    expect(() => playable(manifest, {})).toThrow(message);
  });
});
