// Debian's real httpbin under gunicorn, as a process of a namespace: the application of the original article.
import type { Namespace, Proc } from "./lab.ts";

/** Python on a busy machine. */
const START_TIMEOUT_MS = 25_000;

/** Serves at every address of both families; returns when connections are taken. */
export async function startHttpbin(namespace: Namespace, port = 80): Promise<Proc> {
  const server = namespace.spawn(["gunicorn", "-b", `[::]:${port}`, ..."-w 1 --threads 4 httpbin:app".split(" ")]);
  await server.waitFor(/Listening at/, "stderr", START_TIMEOUT_MS);
  return server;
}
