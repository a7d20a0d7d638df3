// Flag combinations that together use every section of the plan. Goldens, the kernel and properties go through all.

/** Name of the golden file → flags. */
export const FLAG_CASES: Readonly<Record<string, string>> = {
  nothing: "",
  demo: "-p 15001 -z 15006 -u 1337 -g 1337 -m REDIRECT -i '*' -x '' -b '*' -d 15090,15020",
  injector:
    "-p 15001 -z 15006 -u 1337 -m REDIRECT -i '*' -x '' -b '*' -d 15090,15021,15020 --log_output_level=default:info",
  "preset-sidecar": "--preset sidecar",
  "preset-vm": "--preset vm",
  "preset-overridden": "--preset vm -b 80 -d '' -i 10.0.0.0/8 -o 5432",
  "inbound-list": "-b 80,,8080, -d 9999",
  "inbound-all-only": "-b '*'",
  "outbound-all-only": "-i '*'",
  "outbound-cidrs": "-i 10.1.2.3/8,fd00::/8,192.168.0.0/16,2001:DB8:0:0::/32 -x 10.9.0.0/16,fd00:9::/32",
  "outbound-loopback-range": "-i 127.1.2.3/32,10.0.0.0/8 -b '*'",
  "outbound-loopback-range-ipv6": "-i ::1/128 -b '*'",
  "outbound-ports": "-q 443,8443 -o 53,123 -x 10.0.0.0/8",
  "several-owners": "-u 1337,0 -g 1337,2000 -i '*' -b '*'",
  "group-follows-user": "-u 4711,4712 -i '*'",
  "ports-moved": "-p 25001 -z 25006 -e 25008 -b '*' -i '*'",
  "excluded-interfaces": "-c net1,net2 -b '*' -i '*'",
  "excluded-interface-only": "-c eth1",
  "virtual-interfaces-all": "-k kv0,kv1 -b '*' -i '*'",
  "virtual-interfaces-cidrs": "-k kv0,kv1 -b 80 -i 10.0.0.0/8,172.16.0.0/12,fd00::/8",
  "virtual-interface-only": "-k kv0",
  everything:
    "-p 1 -z 2 -e 3 -u 4,5 -g 6,7 -b '*' -d 8,9 -c c0 -k k0 -i 10.0.0.0/8,fd00::/8 -x 10.1.0.0/16,fd00:1::/32 -q 10 -o 11",
};
