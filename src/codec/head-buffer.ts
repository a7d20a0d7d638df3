// Collects a head that arrives in pieces, in linear time and bounded memory. Pure.
import { findHeadEnd, hasBareLf } from "./head.ts";
import { ProtocolError } from "./protocol-error.ts";

const FIRST_CAPACITY = 2048;

/** Only heads cut by the network come here: a whole one is parsed where it lies. */
export class HeadBuffer {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What has been collected: a view, valid until the next `append` or `clear`. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * Takes `bytes[from, …)` too; returns the offset behind the end of the head in `bytes` of this buffer, or -1 while it
   * has not come. Throws ProtocolError when it is longer than `maxBytes` or can never come.
   */
  collect(bytes: Buffer, from: number, maxBytes: number): number {
    const before = this.#length;
    const end = this.append(bytes, from);
    if ((end < 0 ? this.#length : end) > maxBytes) throw new ProtocolError(431, "header_too_long");
    if (end < 0 && hasBareLf(this.bytes, before)) throw new ProtocolError(400, "bare_lf");
    return end;
  }

  /** Copies `bytes[from, …)` behind what is there; returns the offset behind the end of the head, or -1. */
  append(bytes: Buffer, from: number): number {
    const added = bytes.length - from;
    if (this.#length + added > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(FIRST_CAPACITY, 2 * this.#bytes.length, this.#length + added));
      this.#bytes.copy(grown, 0, 0, this.#length);
      this.#bytes = grown;
    }
    bytes.copy(this.#bytes, this.#length, from);
    const searchFrom = Math.max(0, this.#length - 3);
    this.#length += added;
    return findHeadEnd(this.bytes, searchFrom);
  }

  clear(): void {
    this.#bytes = Buffer.alloc(0);
    this.#length = 0;
  }
}
