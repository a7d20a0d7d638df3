// hot path
// Which rule applies to a request. Pure; compiled once from the configuration's rules, asked for every request.
import { pathOf } from "../codec/target.ts";
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
