// Wall clock milliseconds → UTC calendar and time texts. Pure, so no `Date`: the proleptic Gregorian calendar by arithmetic.
// Used by %START_TIME% of the access log. hot path

const MS_PER_DAY = 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;
const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;

/** A moment in UTC; `month` 1–12, `day` 1–31, `weekday` 0 = Sunday, `dayOfYear` 1–366. */
export interface UtcTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly weekday: number;
  readonly dayOfYear: number;
}

/** Calendar fields of `epochMs`, after Howard Hinnant's `civil_from_days` (years start in March, so leap days come last). */
export function utcTime(epochMs: number): UtcTime {
  const days = Math.floor(epochMs / MS_PER_DAY);
  const secondOfDay = Math.floor((epochMs - days * MS_PER_DAY) / 1000);
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfMarchYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfMarchYear + 2) / 153);
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const isLeap = (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
  return {
    year,
    month,
    day: dayOfMarchYear - Math.floor((153 * marchMonth + 2) / 5) + 1,
    hour: Math.floor(secondOfDay / 3600),
    minute: Math.floor(secondOfDay / 60) % 60,
    second: secondOfDay % 60,
    weekday: (((days + 4) % 7) + 7) % 7,
    dayOfYear: month > 2 ? dayOfMarchYear + 60 + (isLeap ? 1 : 0) : dayOfMarchYear - 305,
  };
}

/**
 * `%Y-%m-%dT%H:%M:%S.%3fZ`, Envoy's default for %START_TIME%. The text is kept while the millisecond lasts, its part up
 * to the second while that lasts.
 */
export function isoTimeFormatter(): (epochMs: number) => string {
  let millisecond = Number.NaN;
  let second = Number.NaN;
  let prefix = "";
  let text = "";
  return (epochMs) => {
    const thisMillisecond = Math.floor(epochMs);
    if (thisMillisecond === millisecond) return text;
    millisecond = thisMillisecond;
    const thisSecond = Math.floor(epochMs / 1000);
    if (thisSecond !== second) {
      second = thisSecond;
      prefix = formatUtc("%Y-%m-%dT%H:%M:%S.", thisSecond * 1000);
    }
    const ms = thisMillisecond - thisSecond * 1000;
    text = `${prefix}${ms < 10 ? "00" : ms < 100 ? "0" : ""}${ms}Z`;
    return text;
  };
}

/** Position of the first `%x` in `format` that `formatUtc` does not know, or -1. */
export function unknownTimeSpecifier(format: string): number {
  for (let at = format.indexOf("%"); at >= 0; at = format.indexOf("%", at + 2)) {
    if (!isKnown(specifierAt(format, at))) return at;
  }
  return -1;
}

/** strftime in UTC: %Y %y %m %d %e %j %H %M %S %s %a %b %T %F %z %Z %%, and Envoy's %f (nanoseconds) and %1f … %9f (first digits of the fraction). */
export function formatUtc(format: string, epochMs: number): string {
  const time = utcTime(epochMs);
  let text = "";
  let from = 0;
  for (let at = format.indexOf("%"); at >= 0; at = format.indexOf("%", from)) {
    const specifier = specifierAt(format, at);
    text += format.slice(from, at) + specified(specifier, time, epochMs);
    from = at + 1 + specifier.length;
  }
  return text + format.slice(from);
}

function specifierAt(format: string, at: number): string {
  const letter = format.charAt(at + 1);
  return letter >= "1" && letter <= "9" ? letter + format.charAt(at + 2) : letter;
}

function isKnown(specifier: string): boolean {
  return specifier.length === 2
    ? specifier.endsWith("f")
    : specifier !== "" && "YymdejHMSsabTFzZf%".includes(specifier);
}

function specified(specifier: string, time: UtcTime, epochMs: number): string {
  switch (specifier) {
    case "Y":
      return String(time.year);
    case "y":
      return two(time.year % 100);
    case "m":
      return two(time.month);
    case "d":
      return two(time.day);
    case "e":
      return String(time.day).padStart(2);
    case "j":
      return String(time.dayOfYear).padStart(3, "0");
    case "H":
      return two(time.hour);
    case "M":
      return two(time.minute);
    case "S":
      return two(time.second);
    case "s":
      return String(Math.floor(epochMs / 1000));
    case "a":
      return WEEKDAYS[time.weekday]!;
    case "b":
      return MONTHS[time.month - 1]!;
    case "T":
      return `${two(time.hour)}:${two(time.minute)}:${two(time.second)}`;
    case "F":
      return `${time.year}-${two(time.month)}-${two(time.day)}`;
    case "z":
      return "+0000";
    case "Z":
      return "UTC";
    case "%":
      return "%";
    default:
      return fraction(specifier, epochMs);
  }
}

/** `f` or `3f`: the fraction of the second in nanoseconds, or its first digits. */
function fraction(specifier: string, epochMs: number): string {
  const digits = specifier.length === 2 ? Number(specifier.charAt(0)) : 9;
  const ns = Math.round((epochMs - Math.floor(epochMs / 1000) * 1000) * 1e6);
  return String(ns).padStart(9, "0").slice(0, digits);
}

function two(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}
