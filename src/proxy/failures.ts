// Every way the proxy itself can fail a request, in one table. Pure.
import type { ResponseFlag } from "./record.ts";

/** Status 0: nothing can be answered any more. `details` is Envoy's %RESPONSE_CODE_DETAILS% for the same event. */
export interface Failure {
  readonly status: number;
  readonly flag: ResponseFlag;
  readonly details: string;
  /** For the person who reads the body of the answer. */
  readonly text: string;
}

/** Flags and details are Envoy's, so that access logs and metrics read as Istio users expect. */
export const FAILURES = {
  upstream_connect_failed: {
    status: 503,
    flag: "UF",
    details: "upstream_reset_before_response_started{connection_failure}",
    text: "upstream connect failed",
  },
  upstream_connect_timeout: {
    status: 503,
    flag: "UF",
    details: "upstream_reset_before_response_started{connection_timeout}",
    text: "upstream connect timeout",
  },
  upstream_closed: {
    status: 503,
    flag: "UC",
    details: "upstream_reset_before_response_started{connection_termination}",
    text: "upstream closed the connection before its response",
  },
  upstream_closed_midway: {
    status: 0,
    flag: "UC",
    details: "upstream_reset_after_response_started{connection_termination}",
    text: "upstream closed the connection in the middle of its response",
  },
  upstream_protocol_error: {
    status: 502,
    flag: "UPE",
    details: "upstream_reset_before_response_started{protocol_error}",
    text: "upstream sent a response that is not valid HTTP/1",
  },
  upstream_idle_timeout: {
    status: 504,
    flag: "SI",
    details: "stream_idle_timeout",
    text: "neither side sent anything for too long",
  },
  downstream_closed: {
    status: 0,
    flag: "DC",
    details: "downstream_remote_disconnect",
    text: "client closed the connection",
  },
  request_header_timeout: {
    status: 408,
    flag: "DT",
    details: "request_header_timeout",
    text: "request header did not arrive in time",
  },
  request_body_timeout: {
    status: 408,
    flag: "SI",
    details: "stream_idle_timeout",
    text: "request body did not arrive in time",
  },
  not_served_here: {
    status: 403,
    flag: "NR",
    details: "own_port_denied",
    text: "only GET of health and metrics is served here",
  },
  pipeline_failed: {
    status: 500,
    flag: "",
    details: "pipeline_failed",
    text: "a middleware of the forwarding pipeline failed",
  },
} as const satisfies Record<string, Failure>;

/** What happened, for code that must tell failures apart. Match on this, never on text. */
export type FailureCode = keyof typeof FAILURES;
