// The limits that codec tests parse with, and the bytes of a text. Not a test.
import type { HeadLimits } from "../../src/codec/head.ts";

export const LIMITS: HeadLimits = { maxHeaderBytes: 64 * 1024, maxHeaderFields: 100 };

/** One octet a character. */
export function latin1(text: string): Buffer {
  return Buffer.from(text, "latin1");
}
