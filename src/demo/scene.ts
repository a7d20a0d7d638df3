// What the demo shows, as data: the director fills it in, story.ts tells it, `-o json` prints it. Pure.

/** A request of the demo and its answer, as its sender saw them. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  readonly requestBody: string;
  readonly status: number;
  /** The `Server` header, "" when there is none. */
  readonly server: string;
  readonly durationMs: number;
  /** The x-request-id header that the application received: the proxy adds one to what it forwards. */
  readonly requestId: string | undefined;
}

/** One series of `istio_requests_total` with its companions. */
export interface RequestStatistics {
  readonly direction: "inbound" | "outbound";
  readonly responseCode: string;
  readonly requests: number;
  readonly meanDurationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
}

export type Scene =
  | { readonly kind: "pod"; readonly podName: string; readonly podAddress: string; readonly nodeAddress: string }
  | { readonly kind: "rules"; readonly command: string; readonly rules: readonly string[] }
  | { readonly kind: "proxy"; readonly uid: number; readonly capabilities: string; readonly startMs: number }
  | { readonly kind: "inbound"; readonly exchanges: readonly Exchange[] }
  | { readonly kind: "outbound"; readonly exchange: Exchange }
  | { readonly kind: "own"; readonly exchange: Exchange; readonly uid: number }
  | { readonly kind: "log"; readonly text: string }
  | { readonly kind: "statistics"; readonly statistics: readonly RequestStatistics[] };

/** What must be true of a demo that worked. */
const CAPTURED = 4;
const INBOUND_STATUSES = [200, 200, 429];

/** How many requests the proxy counted. */
export function captured(scenes: readonly Scene[]): number {
  const statistics = scenes.flatMap((scene) => (scene.kind === "statistics" ? scene.statistics : []));
  return statistics.reduce((sum, { requests }) => sum + requests, 0);
}

/** What the demo did not show although it should have, one sentence each. */
export function shortcomings(scenes: readonly Scene[], proxyName: string): string[] {
  return scenes.flatMap((scene) => {
    switch (scene.kind) {
      case "inbound":
        return scene.exchanges.flatMap(({ url, status, server }, index) => [
          ...(status === INBOUND_STATUSES[index]
            ? []
            : [`${url} was answered ${status}, not ${INBOUND_STATUSES[index]}`]),
          ...(server === proxyName ? [] : [`${url} was answered by "${server}", not by the proxy`]),
        ]);
      case "outbound":
        return scene.exchange.requestId === undefined ? ["the pod's own request was not captured"] : [];
      case "own":
        return scene.exchange.requestId === undefined ? [] : ["a request of the proxy's user was captured"];
      case "statistics":
        return captured([scene]) === CAPTURED
          ? []
          : [`the proxy counted ${captured([scene])} requests, not ${CAPTURED}`];
      default:
        return [];
    }
  });
}
