import { describe, expect, test } from "bun:test";
import { normalForm } from "../../src/netfilter/normal-form.ts";

const form = (text: string) => normalForm(text.split(" "));

describe("what the plan writes and what iptables-save prints are the same", () => {
  test.each([
    ["-p tcp --dport 80 -j RETURN", "-p tcp -m tcp --dport 80 -j RETURN"],
    ["-p udp --dport 53 -j RETURN", "-p udp -m udp --dport 53 -j RETURN"],
    ["-o lo -s 127.0.0.6/32 -j RETURN", "-s 127.0.0.6/32 -o lo -j RETURN"],
    [
      "-o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
      "! -d 127.0.0.1/32 -o lo -p tcp -m tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT",
    ],
    ["-d 10.1.2.3/8 -j RETURN", "-d 10.0.0.0/8 -j RETURN"],
    ["-d 2001:db8:0:0:1::/40 -j RETURN", "-d 2001:db8::/40 -j RETURN"],
    ["-d ::ffff:10.0.0.0/104 -j RETURN", "-d ::ffff:a00:0/104 -j RETURN"],
    ["-d 0.0.0.0/0 -j ISTIO_REDIRECT", "-j ISTIO_REDIRECT"],
    ["-d fd00::/0 -j ISTIO_REDIRECT", "-j ISTIO_REDIRECT"],
    ["-i + -j RETURN", "-j RETURN"],
  ])("%s", (planned, printed) => {
    expect(form(planned)).toBe(form(printed));
  });
});

describe("different rules stay different", () => {
  test.each([
    ["-p tcp --dport 80 -j RETURN", "-p tcp ! --dport 80 -j RETURN"],
    ["-p tcp --dport 80 -j RETURN", "-p tcp --sport 80 -j RETURN"],
    ["-d 10.0.0.0/8 -j RETURN", "-s 10.0.0.0/8 -j RETURN"],
    ["-d 10.0.0.0/8 -j RETURN", "-d 10.0.0.0/9 -j RETURN"],
    ["! -d 0.0.0.0/0 -j RETURN", "-j RETURN"],
    ["-p tcp -j REDIRECT --to-ports 1", "-p tcp -j REDIRECT --to-ports 2"],
    ["-m owner --uid-owner 1 -j RETURN", "-m owner --gid-owner 1 -j RETURN"],
    ["-p tcp -j RETURN", "-p tcp"],
    ["-j RETURN", "-g RETURN"],
  ])("%s | %s", (one, other) => {
    expect(form(one)).not.toBe(form(other));
  });
});
