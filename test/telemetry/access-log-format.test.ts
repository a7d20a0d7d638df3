import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HeaderList } from "../../src/codec/header-list.ts";
import type { RequestRecord } from "../../src/proxy/record.ts";
import { compileAccessLog, FormatError, ISTIO_JSON_FORMAT } from "../../src/telemetry/access-log-format.ts";
import { OPERATORS } from "../../src/telemetry/access-log-operators.ts";
import { httpRecord, tcpRecord } from "./sample-record.ts";

/** The entry without its final newline. */
function text(format: string, record: RequestRecord): string {
  const entry = compileAccessLog("TEXT", format)(record);
  expect(entry).toEndWith("\n");
  return entry.slice(0, -1);
}

describe("TEXT operators", () => {
  const cases: readonly (readonly [format: string, http: string, tcp: string])[] = [
    ["%START_TIME%", "2026-08-03T07:05:09.042Z", "2026-08-03T07:05:09.042Z"],
    ["%START_TIME(%Y/%m/%d %s.%3f)%", "2026/08/03 1785740709.042", "2026/08/03 1785740709.042"],
    ["%DURATION%", "1", "1500"],
    ["%PROTOCOL%", "HTTP/1.1", "-"],
    ["%RESPONSE_CODE%", "200", "0"],
    ["%RESPONSE_FLAGS%", "-", "-"],
    ["%RESPONSE_CODE_DETAILS%", "via_upstream", "-"],
    ["%CONNECTION_TERMINATION_DETAILS%", "-", "-"],
    ["%UPSTREAM_TRANSPORT_FAILURE_REASON%", "-", "-"],
    ["%BYTES_RECEIVED%", "0", "517"],
    ["%BYTES_SENT%", "508", "4096"],
    ["%REQ(:METHOD)%", "GET", "-"],
    ["%REQ(:path)%", "/get?query=param", "-"],
    ["%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/get?query=param", "-"],
    ["%REQ(:AUTHORITY)%", "10.77.0.2:80", "-"],
    ["%REQ(HOST)%", "10.77.0.2:80", "-"],
    ["%REQ(:SCHEME)%", "http", "-"],
    ["%REQ(USER-AGENT)%", "curl/8.5.0", "-"],
    ["%REQ(X-REQUEST-ID)%", "3f2a0000-8d1c-4f0e-9b7a-2c5d8e9f0a1b", "-"],
    ["%REQ(X-FORWARDED-FOR)%", "10.77.0.1", "-"],
    ["%REQ(X-One?X-Two)%", "2", "-"],
    ["%REQ(X-Two?X-One)%", "2", "-"],
    ["%REQ(X-One)%", "-", "-"],
    ["%REQ(USER-AGENT):4%", "curl", "-"],
    ["%RESP(CONTENT-TYPE)%", "application/json", "-"],
    ["%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "1", "-"],
    ["%RESP(:STATUS)%", "200", "-"],
    ["%RESP(ETAG)%", "-", "-"],
    ["%UPSTREAM_HOST%", "10.77.0.2:80", "[2001:db8::1]:443"],
    ["%UPSTREAM_REMOTE_ADDRESS%", "10.77.0.2:80", "[2001:db8::1]:443"],
    ["%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.77.0.2", "2001:db8::1"],
    ["%UPSTREAM_REMOTE_PORT%", "80", "443"],
    ["%UPSTREAM_CLUSTER%", "InboundPassthroughCluster", "PassthroughCluster"],
    ["%UPSTREAM_CLUSTER_RAW%", "InboundPassthroughCluster", "PassthroughCluster"],
    ["%UPSTREAM_LOCAL_ADDRESS%", "127.0.0.6:41234", "[fd77::2]:41234"],
    ["%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "127.0.0.6", "fd77::2"],
    ["%UPSTREAM_LOCAL_PORT%", "41234", "41234"],
    ["%DOWNSTREAM_LOCAL_ADDRESS%", "10.77.0.2:80", "[2001:db8::1]:443"],
    ["%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "10.77.0.2", "2001:db8::1"],
    ["%DOWNSTREAM_LOCAL_PORT%", "80", "443"],
    ["%DOWNSTREAM_REMOTE_ADDRESS%", "10.77.0.1:50123", "[fd77::2]:50123"],
    ["%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.77.0.1", "fd77::2"],
    ["%DOWNSTREAM_REMOTE_PORT%", "50123", "50123"],
    ["%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "10.77.0.1:50123", "[fd77::2]:50123"],
    ["%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "10.77.0.1", "fd77::2"],
    ["%DOWNSTREAM_DIRECT_REMOTE_PORT%", "50123", "50123"],
    ["%REQUESTED_SERVER_NAME%", "-", "example.com"],
    ["%ROUTE_NAME%", "default", "default"],
    ["100%% of %RESPONSE_CODE%%RESPONSE_FLAGS%.", "100% of 200-.", "100% of 0-."],
    ["no operator", "no operator", "no operator"],
  ];

  test.each(cases)("%s", (format, http, tcp) => {
    expect(text(format, httpRecord())).toBe(http);
    expect(text(format, tcpRecord())).toBe(tcp);
  });

  test("every operator stands in the table above", () => {
    const tried = new Set(cases.map(([format]) => /%([A-Z_]+)[%(:]/.exec(format)?.[1]));
    expect([...OPERATORS.keys()].filter((name) => !tried.has(name))).toEqual([]);
  });

  test("nothing known gives dashes", () => {
    const bare = httpRecord({
      upstreamHost: "",
      upstreamLocalAddress: "",
      upstreamServiceTimeMs: -1,
      responseFlag: "UF",
    });
    expect(
      text(
        "%UPSTREAM_HOST% %UPSTREAM_REMOTE_PORT% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% %RESPONSE_FLAGS%",
        bare,
      ),
    ).toBe("- - - - UF");
  });

  test("fields follow the record, also those whose text is kept", () => {
    const format = compileAccessLog("TEXT", "%RESPONSE_CODE% %REQ(USER-AGENT)% %UPSTREAM_CLUSTER% %BYTES_SENT%");
    const other = { responseCode: 503, requestHeaders: new HeaderList(), upstreamCluster: "", bytesSent: 0 };
    expect(format(httpRecord())).toBe("200 curl/8.5.0 InboundPassthroughCluster 508\n");
    expect(format(httpRecord(other))).toBe("503 - - 0\n");
    expect(format(httpRecord())).toBe("200 curl/8.5.0 InboundPassthroughCluster 508\n");
  });
});

describe("Istio's default formats", () => {
  test("TEXT", () => {
    expect(compileAccessLog("TEXT")(httpRecord())).toBe(
      '[2026-08-03T07:05:09.042Z] "GET /get?query=param HTTP/1.1" 200 - via_upstream - "-" 0 508 1 1 "10.77.0.1" ' +
        '"curl/8.5.0" "3f2a0000-8d1c-4f0e-9b7a-2c5d8e9f0a1b" "10.77.0.2:80" "10.77.0.2:80" InboundPassthroughCluster ' +
        "127.0.0.6:41234 10.77.0.2:80 10.77.0.1:50123 - default\n",
    );
  });

  test("TEXT of an opaque connection", () => {
    expect(compileAccessLog("TEXT")(tcpRecord())).toBe(
      '[2026-08-03T07:05:09.042Z] "- - -" 0 - - - "-" 517 4096 1500 - "-" "-" "-" "-" "[2001:db8::1]:443" ' +
        "PassthroughCluster [fd77::2]:41234 [2001:db8::1]:443 [fd77::2]:50123 example.com default\n",
    );
  });

  test("JSON has Istio's keys in order, numbers as numbers and null for what is missing", () => {
    const entry = compileAccessLog("JSON")(httpRecord());
    expect(entry).toEndWith("}\n");
    const parsed = JSON.parse(entry);
    expect(Object.keys(parsed)).toEqual(Object.keys(ISTIO_JSON_FORMAT));
    expect(parsed).toEqual({
      start_time: "2026-08-03T07:05:09.042Z",
      route_name: "default",
      method: "GET",
      path: "/get?query=param",
      protocol: "HTTP/1.1",
      response_code: 200,
      response_flags: "-",
      response_code_details: "via_upstream",
      connection_termination_details: null,
      bytes_received: 0,
      bytes_sent: 508,
      duration: 1,
      upstream_service_time: "1",
      x_forwarded_for: "10.77.0.1",
      user_agent: "curl/8.5.0",
      request_id: "3f2a0000-8d1c-4f0e-9b7a-2c5d8e9f0a1b",
      authority: "10.77.0.2:80",
      upstream_host: "10.77.0.2:80",
      upstream_cluster: "InboundPassthroughCluster",
      upstream_local_address: "127.0.0.6:41234",
      downstream_local_address: "10.77.0.2:80",
      downstream_remote_address: "10.77.0.1:50123",
      requested_server_name: null,
      upstream_transport_failure_reason: null,
    });
  });

  test("JSON of an opaque connection", () => {
    expect(JSON.parse(compileAccessLog("JSON")(tcpRecord()))).toMatchObject({
      method: null,
      path: null,
      protocol: null,
      response_code: 0,
      requested_server_name: "example.com",
      bytes_received: 517,
    });
  });

  test("JSON with own keys", () => {
    const format = compileAccessLog(
      "JSON",
      '{"a":"%BYTES_SENT%","b":"%REQ(:METHOD)% %REQ(X-One)%","c":"x%%","d\\n":"%REQ(X-One)%"}',
    );
    expect(format(httpRecord())).toBe('{"a":508,"b":"GET -","c":"x%","d\\n":null}\n');
  });
});

describe("BLOCK", () => {
  const block = compileAccessLog("BLOCK");

  test("is six lines and an empty one", () => {
    expect(block(httpRecord({ authority: "httpbin:8000", upstreamHost: "127.0.0.1:80" }))).toBe(
      "Original URL: http://httpbin:80/get?query=param\n" +
        "Proxy URL: http://127.0.0.1:80/get?query=param\n" +
        "Request Duration: 1.979348ms\n" +
        "Request Size: 0\n" +
        "Response Size: 508\n" +
        "Response Status: 200\n\n",
    );
  });

  test.each([
    ["no port in Host", { authority: "example.com" }, "http://example.com:80/get?query=param"],
    ["an IPv6 Host", { authority: "[::1]:8080" }, "http://[::1]:80/get?query=param"],
    ["no Host", { authority: "", originalDestination: "[fd77::2]:80" }, "http://[fd77::2]:80/get?query=param"],
    ["an absolute target", { target: "http://other/a?b" }, "http://10.77.0.2:80/a?b"],
    ["an absolute target without a path", { target: "http://other" }, "http://10.77.0.2:80"],
    ["an asterisk", { method: "OPTIONS", target: "*" }, "http://10.77.0.2:80"],
    ["CONNECT", { method: "CONNECT", target: "other:443" }, "http://10.77.0.2:80"],
    ["a forged line", { target: "/\nProxy URL: x" }, "http://10.77.0.2:80/\\nProxy URL: x"],
  ])("Original URL with %s", (_name, fields, url) => {
    expect(block(httpRecord(fields)).split("\n")[0]).toBe(`Original URL: ${url}`);
  });

  test("an upstream that was never reached has no URL", () => {
    expect(block(httpRecord({ upstreamHost: "" }))).toContain("\nProxy URL: -\n");
  });

  test("an opaque connection", () => {
    expect(block(tcpRecord())).toBe(
      "Original URL: tcp://[2001:db8::1]:443\nProxy URL: tcp://[2001:db8::1]:443\nRequest Duration: 1.5009s\n" +
        "Request Size: 517\nResponse Size: 4096\nResponse Status: 0\n\n",
    );
  });
});

describe("log injection", () => {
  const nasty = '"\n[2026] "GET /forged HTTP/1.1" 200 \x1b[2J\u2028\xff\\';
  const foreign = (value: string): RequestRecord =>
    httpRecord({
      method: value,
      target: `/${value}`,
      authority: value,
      requestId: value,
      forwardedFor: value,
      requestedServerName: value,
      requestHeaders: new HeaderList(["User-Agent", value]),
      responseHeaders: new HeaderList(["X-Envoy-Upstream-Service-Time", value]),
      upstreamServiceTimeMs: -1,
    });

  test("TEXT stays one line of the same columns", () => {
    const entry = compileAccessLog("TEXT")(foreign(nasty));
    expect(entry.slice(0, -1)).toMatch(/^[ -~]+$/);
    const unescaped = /(?<!\\)(?:\\\\)*"/g;
    expect(entry.match(unescaped)?.length).toBe(compileAccessLog("TEXT")(httpRecord()).match(unescaped)?.length);
    expect(entry).toContain('\\"\\n[2026] \\"GET /forged HTTP/1.1\\" 200 \\x1b[2J\\u2028\\xff\\\\');
  });

  test("a server name cannot make columns", () => {
    expect(text("%REQUESTED_SERVER_NAME% %ROUTE_NAME%", tcpRecord({ requestedServerName: "a b" }))).toBe(
      "a\\x20b default",
    );
  });

  test("no value breaks any encoding", () => {
    const formats = {
      TEXT: compileAccessLog("TEXT"),
      JSON: compileAccessLog("JSON"),
      BLOCK: compileAccessLog("BLOCK"),
    };
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (value) => {
        const record = foreign(value);
        expect(formats.TEXT(record)).toMatch(/^[ -~]+\n$/);
        expect(formats.BLOCK(record)).toMatch(/^([ -~µ]+\n){6}\n$/);
        expect(JSON.parse(formats.JSON(record)).user_agent).toBe(value === "" ? null : value);
      }),
    );
  });

  test("a client cannot put another path into its entry", () => {
    const record = httpRecord({ requestHeaders: new HeaderList(["X-Envoy-Original-Path", "/other"]) });
    expect(text("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", record)).toBe("/get?query=param");
  });
});

describe("wrong formats", () => {
  test.each([
    ["%DURATON%", 0, "character 1: unknown operator %DURATON%; did you mean %DURATION%?"],
    ["a %NONSENSE_OF_A_NAME%", 2, "character 3: unknown operator %NONSENSE_OF_A_NAME%"],
    ["a %", 2, 'character 3: "%" is not an operator of the form %NAME% (a percent sign is written %%)'],
    ["50% of all", 2, 'character 3: "% of all" is not an operator of the form %NAME% (a percent sign is written %%)'],
    ["%duration%", 0, 'character 1: "%duration%" is not an operator of the form %NAME% (a percent sign is written %%)'],
    ["%REQ(A", 0, 'character 1: "%REQ(A" is not an operator of the form %NAME% (a percent sign is written %%)'],
    ["x%REQ%", 1, "character 2: %REQ% needs a header name, as in %REQ(USER-AGENT)%"],
    ["%REQ()%", 5, 'character 6: %REQ(…)%: "" is not a header name'],
    ["%RESP(a b)%", 6, 'character 7: %RESP(…)%: "a b" is not a header name'],
    ["%REQ(A?B C)%", 6, 'character 7: %REQ(…)%: "B C" is not a header name'],
    ["%REQ(A?B?C)%", 6, "character 7: %REQ(…)%: at most one alternative header (X?Y) is possible"],
    ["%DURATION(x)%", 0, "character 1: %DURATION% takes no argument"],
    ["%START_TIME(%Y %q)%", 15, 'character 16: %START_TIME(…)%: unknown time specifier "%q"'],
  ])("%s", (format, position, message) => {
    const error = failure(() => compileAccessLog("TEXT", format));
    expect(error).toMatchObject({ message, position });
  });

  test.each([
    ["%DURATION%", "with the JSON encoding the format must be a JSON object"],
    ["[]", "with the JSON encoding the format must be a JSON object"],
    ["{}", "the access log format has no keys"],
    ['{"a":1}', 'key "a": the value must be a format in quotes'],
    ['{"a":"%X%"}', 'key "a", character 1: unknown operator %X%'],
  ])("JSON %s", (format, message) => {
    expect(failure(() => compileAccessLog("JSON", format)).message).toStartWith(message);
  });

  test("BLOCK takes no format", () => {
    expect(failure(() => compileAccessLog("BLOCK", "x")).message).toContain("fixed form");
  });

  test("no format throws anything but FormatError", () => {
    const piece = fc.constantFrom(
      "%",
      "(",
      ")",
      ":",
      "?",
      "3",
      "REQ",
      "START_TIME",
      "%DURATION%",
      "%REQ(A):2%",
      "\n",
      "é",
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        try {
          compileAccessLog("TEXT", pieces.join(""))(httpRecord());
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
    );
  });
});

function failure(run: () => unknown): FormatError {
  try {
    run();
  } catch (error) {
    if (error instanceof FormatError) return error;
    throw error;
  }
  throw new Error("no FormatError");
}
