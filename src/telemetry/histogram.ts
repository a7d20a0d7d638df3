// Istio's histogram: fixed buckets for milliseconds and bytes alike, and quantiles estimated from them. Pure. hot path

/** Istio's (and Envoy's) default bounds; the same list serves durations in milliseconds and sizes in bytes. */
export const ISTIO_BOUNDS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
  3_600_000,
];

/** `START[n]`: the first bucket that a value can be in whose whole part has n binary digits. */
const START: readonly number[] = Array.from({ length: 33 }, (_, digits) => {
  const least = digits === 0 ? 0 : 2 ** (digits - 1);
  const bucket = ISTIO_BOUNDS.findIndex((bound) => bound >= least);
  return bucket < 0 ? ISTIO_BOUNDS.length : bucket;
});

/** Counts of observations by bucket. */
export class Histogram {
  /** Not cumulative; the last is for values above every bound. */
  readonly counts = new Float64Array(ISTIO_BOUNDS.length + 1);
  sum = 0;

  /** `value` is not negative. */
  observe(value: number): void {
    let bucket = value < 0x8000_0000 ? START[32 - Math.clz32(value)]! : ISTIO_BOUNDS.length;
    while (bucket < ISTIO_BOUNDS.length && value > ISTIO_BOUNDS[bucket]!) bucket++;
    this.counts[bucket]!++;
    this.sum += value;
  }
}

/**
 * The value below which the share `q` (0–1) of the observations lies, linear within a bucket, as Prometheus'
 * histogram_quantile() does: at most the highest bound, `undefined` without observations.
 */
export function quantile(q: number, bounds: readonly number[], counts: ArrayLike<number>): number | undefined {
  let total = 0;
  for (let bucket = 0; bucket < counts.length; bucket++) total += counts[bucket]!;
  if (total === 0) return undefined;
  const rank = q * total;
  let below = 0;
  for (let bucket = 0; bucket < bounds.length; bucket++) {
    const inBucket = counts[bucket]!;
    if (inBucket > 0 && below + inBucket >= rank) {
      const lower = bucket === 0 ? 0 : bounds[bucket - 1]!;
      return lower + (bounds[bucket]! - lower) * ((rank - below) / inBucket);
    }
    below += inBucket;
  }
  return bounds.at(-1);
}
