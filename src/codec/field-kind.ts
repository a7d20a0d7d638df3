// hot path
// The field names that forwarding looks at, recognised once while a head is parsed. Pure.

/** What a field name means to the proxy; everything else is `Other` and passes. */
export const enum FieldKind {
  Other,
  Te,
  Host,
  Server,
  Upgrade,
  Connection,
  KeepAlive,
  RequestId,
  ContentLength,
  ForwardedFor,
  ProxyConnection,
  TransferEncoding,
}

type Candidate = readonly [lowerName: string, kind: FieldKind];

/** By length: hardly any name has a candidate, and those that have it have one or two. */
const CANDIDATES: (readonly Candidate[] | undefined)[] = [];
for (const candidate of [
  ["te", FieldKind.Te],
  ["host", FieldKind.Host],
  ["server", FieldKind.Server],
  ["upgrade", FieldKind.Upgrade],
  ["connection", FieldKind.Connection],
  ["keep-alive", FieldKind.KeepAlive],
  ["x-request-id", FieldKind.RequestId],
  ["content-length", FieldKind.ContentLength],
  ["x-forwarded-for", FieldKind.ForwardedFor],
  ["proxy-connection", FieldKind.ProxyConnection],
  ["transfer-encoding", FieldKind.TransferEncoding],
] as const satisfies readonly Candidate[]) {
  const { length } = candidate[0];
  while (CANDIDATES.length <= length) CANDIDATES.push(undefined);
  CANDIDATES[length] = [...(CANDIDATES[length] ?? []), candidate];
}

/** The kind of the name `text[from, to)`, whatever its case. */
export function fieldKind(text: string, from: number, to: number): FieldKind {
  const candidates = to - from < CANDIDATES.length ? CANDIDATES[to - from] : undefined;
  if (candidates === undefined) return FieldKind.Other;
  for (let at = 0; at < candidates.length; at++) {
    const candidate = candidates[at]!;
    if (equalsIgnoringCase(text, from, candidate[0])) return candidate[1];
  }
  return FieldKind.Other;
}

/** Whether the letters at `from` are `lowerName`, ASCII upper case taken for lower case. The lengths are compared by the caller. */
export function equalsIgnoringCase(text: string, from: number, lowerName: string): boolean {
  for (let at = 0; at < lowerName.length; at++) {
    const octet = text.charCodeAt(from + at);
    const lower = octet >= 0x41 && octet <= 0x5a ? octet | 0x20 : octet;
    if (lower !== lowerName.charCodeAt(at)) return false;
  }
  return true;
}
