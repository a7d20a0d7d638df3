import { expect, test } from "bun:test";
import { listTables, renderListing } from "../../src/netfilter/listing.ts";
import { parseSave } from "../../src/netfilter/parse.ts";

const tables = parseSave(`*filter
:INPUT DROP [0:0]
-A INPUT -p tcp -j DROP
COMMIT
*nat
:OUTPUT ACCEPT [0:0]
:ISTIO_OUTPUT - [0:0]
[1:60] -A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT
COMMIT
`);

test("lists tables with chains of ours as iptables -S does, with all their rules", () => {
  const listing = listTables([
    { family: 4, tables },
    { family: 6, tables: [] },
  ]);
  const rules = ["-P OUTPUT ACCEPT", "-N ISTIO_OUTPUT", "-A OUTPUT -c 1 60 -j ISTIO_OUTPUT", "-A ISTIO_OUTPUT"];
  expect(listing).toEqual([{ family: "IPv4", table: "nat", rules }]);
  expect(renderListing(listing)).toBe(`# IPv4: iptables -t nat -S\n${rules.join("\n")}\n`);
});
