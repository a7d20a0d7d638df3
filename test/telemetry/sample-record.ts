// Records for tests of the telemetry: an inbound GET and an outbound TLS tunnel, with any field replaced.
import { HeaderList } from "../../src/codec/header-list.ts";
import { RequestRecord } from "../../src/proxy/record.ts";

export function httpRecord(fields: Partial<RequestRecord> = {}): RequestRecord {
  return Object.assign(new RequestRecord(fields.direction ?? "inbound"), {
    startTimeMs: Date.UTC(2026, 7, 3, 7, 5, 9, 42),
    durationMs: 1.979_348,
    upstreamServiceTimeMs: 1.6,
    method: "GET",
    target: "/get?query=param",
    httpVersion: "HTTP/1.1",
    authority: "10.77.0.2:80",
    requestId: "3f2a0000-8d1c-4f0e-9b7a-2c5d8e9f0a1b",
    forwardedFor: "10.77.0.1",
    requestHeaders: new HeaderList(["Host", "10.77.0.2:80", "User-Agent", "curl/8.5.0", "X-Two", "2"]),
    responseHeaders: new HeaderList(["Content-Type", "application/json"]),
    responseCode: 200,
    responseCodeDetails: "via_upstream",
    bytesSent: 508,
    originalDestination: "10.77.0.2:80",
    originalPort: 80,
    upstreamHost: "10.77.0.2:80",
    upstreamCluster: "InboundPassthroughCluster",
    upstreamLocalAddress: "127.0.0.6:41234",
    downstreamLocalAddress: "10.77.0.2:80",
    downstreamRemoteAddress: "10.77.0.1:50123",
    ...fields,
  });
}

export function tcpRecord(fields: Partial<RequestRecord> = {}): RequestRecord {
  return Object.assign(new RequestRecord(fields.direction ?? "outbound"), {
    protocol: "tcp" as const,
    startTimeMs: Date.UTC(2026, 7, 3, 7, 5, 9, 42),
    durationMs: 1_500.9,
    bytesReceived: 517,
    bytesSent: 4_096,
    originalDestination: "[2001:db8::1]:443",
    originalPort: 443,
    upstreamHost: "[2001:db8::1]:443",
    upstreamCluster: "PassthroughCluster",
    upstreamLocalAddress: "[fd77::2]:41234",
    downstreamLocalAddress: "[2001:db8::1]:443",
    downstreamRemoteAddress: "[fd77::2]:50123",
    requestedServerName: "example.com",
    ...fields,
  });
}
