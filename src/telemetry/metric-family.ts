// Metrics as plain data: what `Metrics` gives and the text formats (Prometheus, Envoy's /stats, the statistics table) read. Pure.

/** Label names and values, in the order in which they are written. */
export type Labels = readonly (readonly [name: string, value: string])[];

export interface ScalarSample {
  readonly labels: Labels;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels: Labels;
  /** Observations per bucket, not cumulative: one more than there are bounds, the last for what is above all of them. */
  readonly counts: ArrayLike<number>;
  readonly sum: number;
}

export interface ScalarFamily {
  readonly type: "counter" | "gauge";
  readonly name: string;
  readonly help: string;
  readonly samples: readonly ScalarSample[];
}

export interface HistogramFamily {
  readonly type: "histogram";
  readonly name: string;
  readonly help: string;
  /** Upper bounds of the buckets, inclusive, ascending, without +Inf. */
  readonly bounds: readonly number[];
  readonly samples: readonly HistogramSample[];
}

/** All samples of one metric name. */
export type MetricFamily = ScalarFamily | HistogramFamily;

/** The value of a label, or `undefined` when there is no such label. */
export function labelValue(labels: Labels, name: string): string | undefined {
  return labels.find(([label]) => label === name)?.[1];
}
