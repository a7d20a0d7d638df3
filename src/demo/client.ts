// The demo's HTTP client: a process of its own, since a process is in one network namespace. Shell. No curl is needed so.
// The director starts it with requests as JSON in a flag and reads answers as JSON from its stdout.
import { ofetch } from "ofetch";
import * as v from "valibot";

const RequestSchema = v.strictObject({
  method: v.picklist(["GET", "POST"]),
  url: v.string(),
  /** Sent as a form. */
  body: v.optional(v.string()),
  /** The client becomes this user before it connects. */
  uid: v.optional(v.number()),
});
export type DemoRequest = v.InferOutput<typeof RequestSchema>;

const AnswerSchema = v.strictObject({
  method: v.string(),
  url: v.string(),
  requestBody: v.string(),
  status: v.number(),
  /** The `Server` header, "" when there is none. */
  server: v.string(),
  body: v.string(),
  durationMs: v.number(),
});
export type DemoAnswer = v.InferOutput<typeof AnswerSchema>;

const TIMEOUT_MS = 3_000;

/** Reads what `runClient` prints. */
export function parseAnswers(text: string): DemoAnswer[] {
  return v.parse(v.array(AnswerSchema), JSON.parse(text));
}

/** Sends the requests one after the other and prints the answers. */
export async function runClient(requestsJson: string): Promise<number> {
  const answers: DemoAnswer[] = [];
  for (const request of v.parse(v.array(RequestSchema), JSON.parse(requestsJson))) answers.push(await send(request));
  process.stdout.write(`${JSON.stringify(answers)}\n`);
  return 0;
}

async function send({ method, url, body, uid }: DemoRequest): Promise<DemoAnswer> {
  if (uid !== undefined) {
    process.setgroups?.([]);
    process.setgid?.(uid);
    process.setuid?.(uid);
  }
  const start = performance.now();
  const response = await ofetch.raw(url, {
    method,
    ...(body === undefined ? {} : { body, headers: { "content-type": "application/x-www-form-urlencoded" } }),
    responseType: "text",
    ignoreResponseError: true,
    retry: 0,
    timeout: TIMEOUT_MS,
  });
  return {
    method,
    url,
    requestBody: body ?? "",
    status: response.status,
    server: response.headers.get("server") ?? "",
    body: response._data ?? "",
    durationMs: performance.now() - start,
  };
}
