// hot path
// Which rule applies to a request. Pure; compiled once from the configuration's rules, asked for every request.
import type { HttpMatch, HttpRoute, TextMatch } from "../config/http-route-schema.ts";

/** The rules of one direction. */
export class RouteTable {
  constructor(private readonly routes: readonly HttpRoute[]) {}

  /** The first rule that matches, as in Istio; undefined when none does. `target` is the request target as received. */
  match(method: string, target: string): HttpRoute | undefined {
    const { routes } = this;
    for (let at = 0; at < routes.length; at++) if (matches(routes[at]!.match, method, target)) return routes[at];
    return undefined;
  }
}

function matches(alternatives: readonly HttpMatch[], method: string, target: string): boolean {
  if (alternatives.length === 0) return true;
  for (let at = 0; at < alternatives.length; at++) {
    const { uri, method: wanted } = alternatives[at]!;
    if ((wanted === undefined || holds(wanted, method)) && (uri === undefined || holds(uri, pathOf(target))))
      return true;
  }
  return false;
}

function holds(match: TextMatch, text: string): boolean {
  return match.kind === "exact" ? text === match.text : text.startsWith(match.text);
}

/** The path of a request target: origin-form without its query, or what follows the authority of an absolute-form. */
export function pathOf(target: string): string {
  const start = pathStart(target);
  if (start < 0) return "/";
  const query = target.indexOf("?", start);
  return query < 0 ? (start === 0 ? target : target.slice(start)) : target.slice(start, query);
}

/** Where the path begins; -1 for an absolute-form without one, as `http://host?query`. */
function pathStart(target: string): number {
  if (target.charCodeAt(0) === 0x2f) return 0;
  const scheme = target.indexOf("://");
  if (scheme <= 0) return 0;
  const path = target.indexOf("/", scheme + 3);
  const query = target.indexOf("?", scheme + 3);
  return query >= 0 && query < path ? -1 : path;
}
