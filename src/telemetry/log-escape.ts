// Makes foreign text (header values, targets, server names) harmless inside one log line. Pure. hot path
// After escaping only printable ASCII is left: no line break, no quote, no terminal control, no second encoding of latin1.

/** `value` with everything but printable ASCII, and with `"` and `\`, written as a backslash sequence; `value` itself when there is nothing to do. */
export function escapeText(value: string): string {
  for (let at = 0; at < value.length; at++) {
    if (!isPlain(value.charCodeAt(at))) return escapeFrom(value, at);
  }
  return value;
}

/** Like `escapeText`, for fields that stand without quotes: a blank is escaped as well, so that columns cannot be forged. */
export function escapeToken(value: string): string {
  return escapeText(value).replaceAll(" ", "\\x20");
}

/** `value` as a JSON string literal in pure ASCII. */
export function jsonString(value: string): string {
  for (let at = 0; at < value.length; at++) {
    if (!isPlain(value.charCodeAt(at))) {
      return JSON.stringify(value).replace(/[\x7f-\uffff]/g, (unit) => `\\u${hex(unit.charCodeAt(0), 4)}`);
    }
  }
  return `"${value}"`;
}

function isPlain(code: number): boolean {
  return code >= 0x20 && code < 0x7f && code !== 0x22 && code !== 0x5c;
}

function escapeFrom(value: string, start: number): string {
  let text = value.slice(0, start);
  for (let at = start; at < value.length; at++) {
    const code = value.charCodeAt(at);
    text += isPlain(code) ? value[at] : escapeUnit(code);
  }
  return text;
}

function escapeUnit(code: number): string {
  switch (code) {
    case 0x22:
      return '\\"';
    case 0x5c:
      return "\\\\";
    case 0x0a:
      return "\\n";
    case 0x0d:
      return "\\r";
    case 0x09:
      return "\\t";
    default:
      return code < 0x100 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`;
  }
}

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}
