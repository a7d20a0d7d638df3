// hot path
// Decodes `Transfer-Encoding: chunked` (RFC 9112 §7.1). Pure: no sockets, no clock, no allocation per chunk.

import { type HeadLimits, parseTrailers } from "./head.ts";
import type { HeaderList } from "./header-list.ts";
import { CR, FIELD_VALUE, HTAB, hexValue, LF, SEMICOLON, SPACE } from "./octets.ts";
import { ProtocolError } from "./protocol-error.ts";

/** What a chunked body consists of. `bytes[from, to)` is a view: valid only until the call returns. */
export interface ChunkSink {
  onChunkData(bytes: Buffer, from: number, to: number): void;
  /** The last chunk and the trailer section have come; undefined when there are no trailers. */
  onChunksEnd(trailers: HeaderList | undefined): void;
}

const enum State {
  Size,
  SizeSpace,
  Extension,
  SizeLf,
  Data,
  DataCr,
  DataLf,
  TrailerStart,
  TrailerLine,
  TrailerLf,
  EndLf,
  Done,
}

/** Thirteen hex digits stay below 2^53, so a size is always exact. */
const MAX_SIZE_DIGITS = 13;
/** Extensions are dropped, and only so much of them is put up with, summed over the whole body. */
const MAX_EXTENSION_BYTES = 16 * 1024;

/** One body. `reset()` makes it ready for the next. */
export class ChunkedDecoder {
  #state: State = State.Size;
  #digits = 0;
  #remaining = 0;
  #extensionBytes = 0;
  #trailer: number[] = [];

  constructor(
    private readonly sink: ChunkSink,
    private readonly limits: HeadLimits,
  ) {}

  reset(): void {
    this.#state = State.Size;
    this.#digits = 0;
    this.#remaining = 0;
    this.#extensionBytes = 0;
    this.#trailer = [];
  }

  /** Consumes what it can of `bytes` from `from`; returns the offset of the first byte that is not body. Throws ProtocolError. */
  feed(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length && this.#state !== State.Done) {
      if (this.#state === State.Data) {
        const end = Math.min(bytes.length, at + this.#remaining);
        this.#remaining -= end - at;
        if (this.#remaining === 0) this.#state = State.DataCr;
        this.sink.onChunkData(bytes, at, end);
        at = end;
      } else {
        this.#step(bytes[at++]!);
      }
    }
    return at;
  }

  #step(octet: number): void {
    switch (this.#state) {
      case State.Size: {
        const digit = hexValue(octet);
        if (digit >= 0) {
          if (++this.#digits > MAX_SIZE_DIGITS) throw new ProtocolError(400, "chunk_size_overflow");
          this.#remaining = this.#remaining * 16 + digit;
          return;
        }
        if (this.#digits === 0) throw new ProtocolError(400, "bad_chunk_size");
        this.#afterSize(octet);
        return;
      }
      case State.SizeSpace:
        this.#afterSize(octet);
        return;
      case State.Extension:
        if (octet === CR) this.#state = State.SizeLf;
        else if (FIELD_VALUE[octet] !== 1) throw new ProtocolError(400, "bad_chunk_extension");
        else this.#countExtension();
        return;
      case State.SizeLf:
        if (octet !== LF) throw new ProtocolError(400, "bad_chunk_line_end");
        this.#state = this.#remaining === 0 ? State.TrailerStart : State.Data;
        this.#digits = 0;
        return;
      case State.DataCr:
        if (octet !== CR) throw new ProtocolError(400, "bad_chunk_data_end");
        this.#state = State.DataLf;
        return;
      case State.DataLf:
        if (octet !== LF) throw new ProtocolError(400, "bad_chunk_data_end");
        this.#state = State.Size;
        return;
      case State.TrailerStart:
        if (octet === CR) {
          this.#trailer.push(octet);
          this.#state = State.EndLf;
          return;
        }
        if (octet === LF) throw new ProtocolError(400, "bad_trailer");
        this.#state = State.TrailerLine;
        this.#keepTrailer(octet);
        return;
      case State.TrailerLine:
        this.#keepTrailer(octet);
        if (octet === CR) this.#state = State.TrailerLf;
        else if (octet === LF) throw new ProtocolError(400, "bad_trailer");
        return;
      case State.TrailerLf:
        if (octet !== LF) throw new ProtocolError(400, "bad_trailer");
        this.#keepTrailer(octet);
        this.#state = State.TrailerStart;
        return;
      case State.EndLf:
        if (octet !== LF) throw new ProtocolError(400, "bad_trailer");
        this.#trailer.push(octet);
        this.#finish();
        return;
      default:
        return;
    }
  }

  /** White space before an extension or the line end is bad form (RFC 9112 §7.1.1), but unambiguous. */
  #afterSize(octet: number): void {
    if (octet === CR) this.#state = State.SizeLf;
    else if (octet === SEMICOLON) this.#state = State.Extension;
    else if (octet === SPACE || octet === HTAB) {
      this.#countExtension();
      this.#state = State.SizeSpace;
    } else throw new ProtocolError(400, "bad_chunk_size");
  }

  #countExtension(): void {
    if (++this.#extensionBytes > MAX_EXTENSION_BYTES) throw new ProtocolError(400, "chunk_extensions_too_long");
  }

  #keepTrailer(octet: number): void {
    if (this.#trailer.length >= this.limits.maxHeaderBytes) throw new ProtocolError(431, "trailers_too_long");
    this.#trailer.push(octet);
  }

  #finish(): void {
    this.#state = State.Done;
    const hasTrailers = this.#trailer.length > 2;
    const trailers = hasTrailers ? parseTrailers(Buffer.from(this.#trailer), this.limits) : undefined;
    this.#trailer = [];
    this.sink.onChunksEnd(trailers);
  }
}
