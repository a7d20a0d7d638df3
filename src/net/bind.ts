// Binding an address, the same way for traffic and for the agent's own surfaces. Shell.
import { CommandError } from "../config/errors.ts";
import { formatEndpoint } from "../proxy/endpoint.ts";

/** Address and port to listen on; port 0 leaves it out. `::` is every address of both families. */
export interface Bind {
  readonly host: string;
  readonly port: number;
}

/** `listen` at the address; where the machine has no IPv6, `::` becomes `0.0.0.0`. Failures become CommandErrors. */
export function bindWithFallback<T>(bind: Bind, listen: (hostname: string) => T): T {
  try {
    return listen(bind.host);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (bind.host === "::" && (code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL")) {
      return bindWithFallback({ ...bind, host: "0.0.0.0" }, listen);
    }
    const where = formatEndpoint({ address: bind.host, port: bind.port });
    throw new CommandError(`cannot bind ${where}: ${BIND_REASONS[code ?? ""] ?? message}`, { cause: error });
  }
}

const BIND_REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "address in use (is another proxy running here?)",
  EACCES: "permission denied (ports below 1024 need root)",
  EADDRNOTAVAIL: "this machine does not have that address",
};
