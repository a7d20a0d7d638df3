// The loads that the bench puts on every subject: what is asked, how large the answer is. Data only; load.ts runs them.

/** Bytes of the small answer's body. */
export const SMALL_BYTES = 508;
/** Bytes of the large answer's body. */
export const LARGE_BYTES = 1_000_000;

/** One load: 64 connections that ask the same thing as fast as the answers come. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly path: string;
  readonly headers: readonly string[];
  /** Bytes of the request's body; 0 is a GET. */
  readonly postBytes: number;
  /** Bytes of the answer's body: fewer on the wire means that the subject did not do its work. */
  readonly answerBytes: number;
}

export const CONNECTIONS = 64;

export const SCENARIOS: readonly Scenario[] = [
  {
    name: "small-get",
    title: `small GET, ${SMALL_BYTES}-byte answer`,
    path: "/small",
    headers: [],
    postBytes: 0,
    answerBytes: SMALL_BYTES,
  },
  {
    name: "post-1k",
    title: `POST of 1 KB, ${SMALL_BYTES}-byte answer`,
    path: "/small",
    headers: [],
    postBytes: 1024,
    answerBytes: SMALL_BYTES,
  },
  {
    name: "get-1m",
    title: "GET, 1 MB answer",
    path: "/large",
    headers: [],
    postBytes: 0,
    answerBytes: LARGE_BYTES,
  },
  {
    name: "close",
    title: "small GET, new connection for each (Connection: close)",
    path: "/small",
    headers: ["Connection: close"],
    postBytes: 0,
    answerBytes: SMALL_BYTES,
  },
];
