// Durations as Go's time.Duration.String() prints them (`1.979348ms`, `1m30s`). Pure.
// Used by the BLOCK access log; parsing durations is config/units.ts.

const NS_PER_SECOND = 1_000_000_000;

/** `milliseconds` (fractions allowed) in Go's text, rounded to whole nanoseconds: the largest unit below a second that keeps a digit before the point, else hours, minutes and seconds. */
export function formatGoDuration(milliseconds: number): string {
  const ns = Math.round(Math.abs(milliseconds) * 1e6);
  if (ns === 0) return "0s";
  return milliseconds < 0 ? `-${formatNanoseconds(ns)}` : formatNanoseconds(ns);
}

function formatNanoseconds(ns: number): string {
  if (ns < 1_000) return `${ns}ns`;
  if (ns < 1_000_000) return `${decimal(ns, 1_000, 3)}µs`;
  if (ns < NS_PER_SECOND) return `${decimal(ns, 1_000_000, 6)}ms`;
  const minutes = Math.floor(ns / (60 * NS_PER_SECOND));
  const seconds = `${decimal(ns - minutes * 60 * NS_PER_SECOND, NS_PER_SECOND, 9)}s`;
  if (minutes === 0) return seconds;
  const hours = Math.floor(minutes / 60);
  return hours === 0 ? `${minutes}m${seconds}` : `${hours}h${minutes % 60}m${seconds}`;
}

/** `value / unit` exactly, with at most `digits` decimals and no trailing zeros. */
function decimal(value: number, unit: number, digits: number): string {
  const whole = Math.floor(value / unit);
  const rest = value - whole * unit;
  if (rest === 0) return String(whole);
  const fraction = String(rest).padStart(digits, "0");
  let end = digits;
  while (fraction.charCodeAt(end - 1) === 0x30) end--;
  return `${whole}.${fraction.slice(0, end)}`;
}
