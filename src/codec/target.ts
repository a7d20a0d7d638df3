// hot path
// The parts of a request target (RFC 9112 §3.2). Pure. Nothing is decoded or normalised: targets go on byte-exact.

const SLASH = 0x2f;

/** Where an absolute-form's authority begins, or -1 for every other form. */
function authorityStart(target: string): number {
  if (target.charCodeAt(0) === SLASH) return -1;
  const scheme = target.indexOf("://");
  return scheme > 0 ? scheme + 3 : -1;
}

/** Where an absolute-form's authority ends. */
function authorityEnd(target: string, start: number): number {
  for (let at = start; at < target.length; at++) {
    const octet = target.charCodeAt(at);
    if (octet === SLASH || octet === 0x3f || octet === 0x23) return at;
  }
  return target.length;
}

/** The authority of an absolute-form; undefined for origin-form, `*` and CONNECT's authority-form. */
export function authorityOf(target: string): string | undefined {
  const start = authorityStart(target);
  return start < 0 ? undefined : target.slice(start, authorityEnd(target, start));
}

/** Path and query: an origin-form as it is, what follows the authority of an absolute-form; empty for the other forms. */
export function pathAndQueryOf(target: string): string {
  if (target.charCodeAt(0) === SLASH) return target;
  const start = authorityStart(target);
  return start < 0 ? "" : target.slice(authorityEnd(target, start));
}

/** The path without its query; `/` for an absolute-form that has none; `*` and an authority-form are themselves. */
export function pathOf(target: string): string {
  const isOrigin = target.charCodeAt(0) === SLASH;
  if (!isOrigin && authorityStart(target) < 0) return target;
  const text = isOrigin ? target : pathAndQueryOf(target);
  const query = text.indexOf("?");
  const path = query < 0 ? text : text.slice(0, query);
  return path === "" ? "/" : path;
}
