import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatUtc, isoTimeFormatter, unknownTimeSpecifier, utcTime } from "../../src/telemetry/utc-time.ts";

/** 2026-08-03 07:05:09.042 UTC, a Monday. */
const MOMENT = Date.UTC(2026, 7, 3, 7, 5, 9, 42);

test("the calendar agrees with Date", () => {
  fc.assert(
    fc.property(fc.date({ min: new Date("1900-01-01"), max: new Date("2400-01-01"), noInvalidDate: true }), (date) => {
      const january = Date.UTC(date.getUTCFullYear(), 0, 1);
      expect(utcTime(date.getTime())).toEqual({
        year: date.getUTCFullYear(),
        month: date.getUTCMonth() + 1,
        day: date.getUTCDate(),
        hour: date.getUTCHours(),
        minute: date.getUTCMinutes(),
        second: date.getUTCSeconds(),
        weekday: date.getUTCDay(),
        dayOfYear: Math.floor((date.getTime() - january) / 86_400_000) + 1,
      });
    }),
  );
});

test("the ISO formatter agrees with Date, second after second", () => {
  const iso = isoTimeFormatter();
  for (const ms of [0, 5, 42, 999, 1_000, 1_001, 999, 59_999, 86_400_000]) {
    expect(iso(MOMENT + ms)).toBe(new Date(MOMENT + ms).toISOString());
  }
  expect(iso(MOMENT + 0.75)).toBe(new Date(MOMENT).toISOString());
});

describe("formatUtc", () => {
  test.each([
    ["%Y-%m-%dT%H:%M:%S.%3fZ", "2026-08-03T07:05:09.042Z"],
    ["%Y/%m/%d %T", "2026/08/03 07:05:09"],
    ["%F %z %Z", "2026-08-03 +0000 UTC"],
    ["%d/%b/%y %a %e %j", "03/Aug/26 Mon  3 215"],
    ["%s.%3f", `${Math.floor(MOMENT / 1000)}.042`],
    ["%f|%1f|%6f|%9f", "042000000|0|042000|042000000"],
    ["100%% %S", "100% 09"],
    ["", ""],
  ])("%s", (format, text) => {
    expect(unknownTimeSpecifier(format)).toBe(-1);
    expect(formatUtc(format, MOMENT)).toBe(text);
  });

  test.each([
    ["%q", 0],
    ["%Y%", 2],
    ["%H:%3d", 3],
    ["%0f", 0],
  ])("%s is wrong at %d", (format, position) => {
    expect(unknownTimeSpecifier(format)).toBe(position);
  });
});
