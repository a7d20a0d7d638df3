// Does a Host header mean this machine? A web page that has its own name resolve to 127.0.0.1 (DNS rebinding) can reach
// the admin port from the victim's browser, but not without its own name in Host. Pure.

/** True for localhost and names below it, 127.0.0.0/8 and [::1], with or without a port. */
export function isLoopbackHost(host: string): boolean {
  const name = host.replace(/:\d+$/, "").toLowerCase();
  if (name === "[::1]" || name === "localhost" || name.endsWith(".localhost")) return true;
  return /^127(\.\d{1,3}){3}$/.test(name);
}
