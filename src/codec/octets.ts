// hot path
// Octets and character classes of HTTP/1 (RFC 9110 §5.6.2, §5.5; RFC 9112 §3.2). Pure.

export const HTAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

function table(accepts: (octet: number) => boolean): Uint8Array {
  const bits = new Uint8Array(256);
  for (let octet = 0; octet < 256; octet++) if (accepts(octet)) bits[octet] = 1;
  return bits;
}

const isAlphaNumeric = (octet: number): boolean =>
  (octet >= 0x30 && octet <= 0x39) || (octet >= 0x41 && octet <= 0x5a) || (octet >= 0x61 && octet <= 0x7a);

/** 1 for each `tchar`: what methods and field names are made of. */
export const TOKEN = table((octet) => isAlphaNumeric(octet) || "!#$%&'*+-.^_`|~".includes(String.fromCharCode(octet)));

/** 1 for what may stand in a field value or reason phrase: VCHAR, obs-text, SP and HTAB. */
export const FIELD_VALUE = table((octet) => octet === HTAB || (octet >= SPACE && octet !== 0x7f));

/** 1 for what may stand in a request target: everything visible and obs-text, as odd characters are passed on byte-exact. */
export const TARGET = table((octet) => octet > SPACE && octet !== 0x7f);

/** The value of a hexadecimal digit, or -1. */
export function hexValue(octet: number): number {
  if (octet >= 0x30 && octet <= 0x39) return octet - 0x30;
  const lower = octet | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** `text` without the optional white space around it (RFC 9110 §5.6.3): `trim()` would also take a no-break space. */
export function trimOws(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isOws(text.charCodeAt(from))) from++;
  while (to > from && isOws(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isOws(octet: number): boolean {
  return octet === SPACE || octet === HTAB;
}
