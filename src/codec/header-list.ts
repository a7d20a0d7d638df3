// hot path
// The header fields of one message: order, case and duplicates as received. Pure.
import { equalsIgnoringCase, type FieldKind, fieldKind } from "./field-kind.ts";

/** Numbers per field line in a span list: start and end of name and value, and the FieldKind. */
const SPAN = 5;

/**
 * Field lines in the order of the wire. Names keep their case; every look-up takes a lower-case name and compares
 * ASCII case-insensitively. Values are latin1 text without the optional white space around them (RFC 9110 §5.5).
 * A parsed list is offsets into the text of its head: names and values are cut out when somebody asks for them, and
 * most requests are forwarded without.
 */
export class HeaderList {
  #flat: string[] | undefined;
  #text = "";
  #spans: number[] | undefined = undefined;
  #isCanonical = false;

  /** `flat` is `name, value, name, value, …`. */
  constructor(flat?: string[]) {
    this.#flat = flat ?? [];
  }

  /** The fields of a parsed head: `spans` has five numbers a field line, offsets into `text`. */
  static parsed(text: string, spans: number[], isCanonical: boolean): HeaderList {
    const list = new HeaderList(UNCUT);
    list.#flat = undefined;
    list.#text = text;
    list.#spans = spans;
    list.#isCanonical = isCanonical;
    return list;
  }

  /** Names and values, as an array that is this list's own. */
  get flat(): string[] {
    this.#flat ??= this.#cut();
    return this.#flat;
  }

  #cut(): string[] {
    const flat: string[] = [];
    const spans = this.#spans!;
    for (let at = 0; at < spans.length; at += SPAN) {
      flat.push(this.#text.slice(spans[at]!, spans[at + 1]!), this.#text.slice(spans[at + 2]!, spans[at + 3]!));
    }
    return flat;
  }

  /** The list is about to change: from here on the array is what counts. */
  #thaw(): string[] {
    const { flat } = this;
    this.#spans = undefined;
    return flat;
  }

  /** Number of field lines. */
  get count(): number {
    return this.#spans === undefined ? this.flat.length >> 1 : this.#spans.length / SPAN;
  }

  nameAt(index: number): string {
    if (this.#spans === undefined) return this.flat[index * 2]!;
    return this.#text.slice(this.#spans[index * SPAN]!, this.#spans[index * SPAN + 1]!);
  }

  valueAt(index: number): string {
    if (this.#spans === undefined) return this.flat[index * 2 + 1]!;
    return this.#text.slice(this.#spans[index * SPAN + 2]!, this.#spans[index * SPAN + 3]!);
  }

  kindAt(index: number): FieldKind {
    if (this.#spans !== undefined) return this.#spans[index * SPAN + 4]!;
    const name = this.flat[index * 2]!;
    return fieldKind(name, 0, name.length);
  }

  /** Index of the last line of a kind, or -1. */
  lastOfKind(kind: FieldKind): number {
    for (let index = this.count - 1; index >= 0; index--) if (this.kindAt(index) === kind) return index;
    return -1;
  }

  /** The lines `[from, to)` as they go on the wire, each `name: value` and CRLF: one cut when they came like that. */
  lines(from: number, to: number): string {
    const spans = this.#spans;
    if (spans !== undefined && this.#isCanonical) {
      return this.#text.slice(spans[from * SPAN]!, spans[(to - 1) * SPAN + 3]! + 2);
    }
    let text = "";
    for (let index = from; index < to; index++) text += `${this.nameAt(index)}: ${this.valueAt(index)}\r\n`;
    return text;
  }

  /** The value of the first line with this lower-case name. */
  get(lowerName: string): string | undefined {
    const index = this.#indexOf(lowerName, 0);
    return index < 0 ? undefined : this.valueAt(index);
  }

  /** The values of all lines with this lower-case name, in order. */
  getAll(lowerName: string): string[] {
    const values: string[] = [];
    for (let index = this.#indexOf(lowerName, 0); index >= 0; index = this.#indexOf(lowerName, index + 1)) {
      values.push(this.valueAt(index));
    }
    return values;
  }

  has(lowerName: string): boolean {
    return this.#indexOf(lowerName, 0) >= 0;
  }

  #indexOf(lowerName: string, from: number): number {
    const { length } = lowerName;
    const spans = this.#spans;
    if (spans === undefined) {
      const flat = this.#flat!;
      for (let at = from * 2; at < flat.length; at += 2) {
        const name = flat[at]!;
        if (name.length === length && equalsIgnoringCase(name, 0, lowerName)) return at >> 1;
      }
      return -1;
    }
    for (let at = from * SPAN; at < spans.length; at += SPAN) {
      const start = spans[at]!;
      if (spans[at + 1]! - start === length && equalsIgnoringCase(this.#text, start, lowerName)) return at / SPAN;
    }
    return -1;
  }

  /** Adds a line at the end. */
  add(name: string, value: string): void {
    this.#thaw().push(name, value);
  }

  /** Replaces the first line of that name in its place and removes the others; adds one when there is none. */
  set(name: string, value: string): void {
    const flat = this.#thaw();
    const lowerName = name.toLowerCase();
    const index = this.#indexOf(lowerName, 0);
    if (index < 0) {
      flat.push(name, value);
      return;
    }
    flat[index * 2 + 1] = value;
    for (let other = this.#indexOf(lowerName, index + 1); other >= 0; other = this.#indexOf(lowerName, other)) {
      flat.splice(other * 2, 2);
    }
  }

  /** Removes every line of that name. */
  remove(name: string): void {
    const flat = this.#thaw();
    const lowerName = name.toLowerCase();
    for (let index = this.#indexOf(lowerName, 0); index >= 0; index = this.#indexOf(lowerName, index)) {
      flat.splice(index * 2, 2);
    }
  }
}

/** Spares a parsed list an array of its own. */
const UNCUT: string[] = [];
