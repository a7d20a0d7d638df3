// Renders a compiled access log format: literal text with fields of the record in between. Pure. hot path
// Strings are the cost here, so adjacent fields that seldom differ from one record to the next (status, cluster, user
// agent) form a run whose text is kept: comparing the values is ten times cheaper than escaping and joining them again.
import type { RequestRecord } from "../proxy/record.ts";
import type { FieldValue } from "./access-log-operators.ts";

/** One field of an entry: where its value comes from, and how it is written. */
export interface TemplateField {
  read(record: RequestRecord): FieldValue;
  show(value: FieldValue): string;
  /** True when the next record probably has the same value. */
  readonly isSteady: boolean;
}

/** `literals[0] fields[0] literals[1] fields[1] … literals[n]`. */
export interface Template {
  readonly literals: readonly string[];
  readonly fields: readonly TemplateField[];
}

/** The function from a record to its text. It keeps state, and belongs to one log. */
export function compileTemplate({ literals, fields }: Template): (record: RequestRecord) => string {
  const varying: TemplateField[] = [];
  const runs: Run[] = [];
  let start = 0;
  fields.forEach((field, at) => {
    if (field.isSteady) return;
    runs.push(new Run(literals.slice(start, at + 1), fields.slice(start, at)));
    varying.push(field);
    start = at + 1;
  });
  runs.push(new Run(literals.slice(start), fields.slice(start)));

  return (record) => {
    let text = runs[0]!.render(record);
    for (let at = 0; at < varying.length; at++) {
      const field = varying[at]!;
      text = text + field.show(field.read(record)) + runs[at + 1]!.render(record);
    }
    return text;
  };
}

/** Steady fields and the literals around them, with the text of the last record. */
class Run {
  readonly #literals: readonly string[];
  readonly #fields: readonly TemplateField[];
  readonly #values: FieldValue[];
  #text: string;

  constructor(literals: readonly string[], fields: readonly TemplateField[]) {
    this.#literals = literals;
    this.#fields = fields;
    this.#values = fields.map(() => Number.NaN);
    this.#text = literals[0]!;
  }

  render(record: RequestRecord): string {
    const values = this.#values;
    let isSame = true;
    for (let at = 0; at < values.length; at++) {
      const value = this.#fields[at]!.read(record);
      if (value !== values[at]) {
        values[at] = value;
        isSame = false;
      }
    }
    if (!isSame) this.#text = this.#build();
    return this.#text;
  }

  /** Joined, not added up: the text is used many times and should be flat. */
  #build(): string {
    const parts = [this.#literals[0]!];
    this.#fields.forEach((field, at) => {
      parts.push(field.show(this.#values[at]), this.#literals[at + 1]!);
    });
    return parts.join("");
  }
}
