// Methods of Buffer that Bun (and Node) have and their declarations leave out. About twice as fast as toString/write
// on small pieces, because no encoding name is looked up.

interface Buffer {
  /** The bytes `[start, end)` as latin1 text. */
  latin1Slice(start?: number, end?: number): string;
  /** Writes latin1 text at `offset`; returns the number of bytes written. */
  latin1Write(text: string, offset?: number, length?: number): number;
}
