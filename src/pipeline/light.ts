// The request and response that middleware sees: the parts of the Fetch types that a head can give, without their cost.
// Headers keep case, order and duplicates; bodies stay in the stream. Pure.
import type { HeaderList } from "../codec/header-list.ts";

/** Headers-like access to a HeaderList. Names are looked up case-insensitively, and written as they are given. */
export class LightHeaders {
  constructor(readonly list: HeaderList) {}

  /** All values of the field, joined as Fetch does; null when there is none. */
  get(name: string): string | null {
    const values = this.list.getAll(name.toLowerCase());
    return values.length === 0 ? null : values.join(", ");
  }

  has(name: string): boolean {
    return this.list.has(name.toLowerCase());
  }

  set(name: string, value: string): void {
    this.list.set(name, value);
  }

  append(name: string, value: string): void {
    this.list.add(name, value);
  }

  delete(name: string): void {
    this.list.remove(name);
  }

  forEach(visit: (value: string, name: string) => void): void {
    for (let at = 0; at < this.list.flat.length; at += 2)
      visit(this.list.flat[at + 1]!, this.list.flat[at]!.toLowerCase());
  }

  *[Symbol.iterator](): IterableIterator<[string, string]> {
    for (let at = 0; at < this.list.flat.length; at += 2)
      yield [this.list.flat[at]!.toLowerCase(), this.list.flat[at + 1]!];
  }

  entries(): IterableIterator<[string, string]> {
    return this[Symbol.iterator]();
  }
}

/** A request whose body has not been read: `method`, `url`, `path` and headers. */
export class LightRequest {
  readonly headers: LightHeaders;
  readonly body = null;

  constructor(
    readonly method: string,
    /** Absolute URL: scheme and authority as received, the target behind them. */
    readonly url: string,
    readonly path: string,
    list: HeaderList,
  ) {
    this.headers = new LightHeaders(list);
  }
}

/** The upstream's response, before its head goes on: middleware may change the headers. */
export class LightResponse {
  readonly headers: LightHeaders;
  readonly body = null;

  constructor(
    readonly status: number,
    list: HeaderList,
  ) {
    this.headers = new LightHeaders(list);
  }
}
