// Collects a head that arrives in pieces, in linear time and bounded memory. Pure.
import { findHeadEnd } from "./head.ts";

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
