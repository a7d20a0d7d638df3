// The header fields of one message: order, case and duplicates as received. Pure.

/**
 * Field lines in the order of the wire, stored flat (`name, value, name, value, …`) so that a head costs one array.
 * Names keep their case; every look-up takes a lower-case name and compares ASCII case-insensitively.
 * Values are latin1 text without the optional white space around them (RFC 9110 §5.5).
 */
export class HeaderList {
  readonly flat: string[];

  constructor(flat: string[] = []) {
    this.flat = flat;
  }

  /** Number of field lines. */
  get count(): number {
    return this.flat.length >> 1;
  }

  /** The value of the first line with this lower-case name. */
  get(lowerName: string): string | undefined {
    const at = this.indexOf(lowerName);
    return at < 0 ? undefined : this.flat[at + 1];
  }

  /** The values of all lines with this lower-case name, in order. */
  getAll(lowerName: string): string[] {
    const values: string[] = [];
    for (let at = this.indexOf(lowerName); at >= 0; at = this.indexOf(lowerName, at + 2))
      values.push(this.flat[at + 1]!);
    return values;
  }

  has(lowerName: string): boolean {
    return this.indexOf(lowerName) >= 0;
  }

  /** Position in `flat` of the first line with this lower-case name at or after `from`, or -1. */
  indexOf(lowerName: string, from = 0): number {
    const { flat } = this;
    for (let at = from; at < flat.length; at += 2) {
      const name = flat[at]!;
      if (name.length === lowerName.length && name.toLowerCase() === lowerName) return at;
    }
    return -1;
  }

  /** Adds a line at the end. */
  add(name: string, value: string): void {
    this.flat.push(name, value);
  }

  /** Replaces the first line of that name in its place and removes the others; adds one when there is none. */
  set(name: string, value: string): void {
    const lowerName = name.toLowerCase();
    const at = this.indexOf(lowerName);
    if (at < 0) {
      this.flat.push(name, value);
      return;
    }
    this.flat[at + 1] = value;
    for (let other = this.indexOf(lowerName, at + 2); other >= 0; other = this.indexOf(lowerName, other)) {
      this.flat.splice(other, 2);
    }
  }

  /** Removes every line of that name. */
  remove(name: string): void {
    const lowerName = name.toLowerCase();
    for (let at = this.indexOf(lowerName); at >= 0; at = this.indexOf(lowerName, at)) this.flat.splice(at, 2);
  }
}
