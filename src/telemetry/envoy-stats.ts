// Metrics in the forms of Envoy's /stats: `name: value` lines, and JSON. Pure. Called by admin/.
import { quantile } from "./histogram.ts";
import type { Labels, MetricFamily } from "./metric-family.ts";

/** Envoy's supported quantiles, in percent. */
const QUANTILES = [0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100];

export interface StatsSelection {
  /** Only names that match. */
  readonly filter?: RegExp;
  /** Only what was ever counted. */
  readonly usedOnly?: boolean;
}

interface Stat {
  readonly name: string;
  /** A number, or for a histogram its values at QUANTILES; `undefined` when it has no observations. */
  readonly value: number | number[] | undefined;
}

/** One `name: value` a line, sorted by name, as Envoy has it; a histogram's value is its quantiles. */
export function renderStats(families: readonly MetricFamily[], selection: StatsSelection): string {
  return selectStats(families, selection)
    .map(
      ({ name, value }) =>
        `${name}: ${typeof value === "object" ? quantileText(value) : (value ?? "No recorded values")}\n`,
    )
    .join("");
}

/** Envoy's `/stats?format=json`. */
export function statsJson(families: readonly MetricFamily[], selection: StatsSelection): unknown {
  const stats = selectStats(families, selection);
  const histograms = stats.filter(({ value }) => typeof value === "object");
  return {
    stats: [
      ...stats.filter(({ value }) => typeof value === "number"),
      {
        histograms: {
          supported_quantiles: QUANTILES,
          computed_quantiles: histograms.map(({ name, value }) => ({
            name,
            values: (value as number[]).map((cumulative) => ({ interval: null, cumulative })),
          })),
        },
      },
    ],
  };
}

function selectStats(families: readonly MetricFamily[], { filter, usedOnly }: StatsSelection): Stat[] {
  const isSelected = ({ name, value }: Stat) =>
    (filter === undefined || filter.test(name)) && (usedOnly !== true || (value !== undefined && value !== 0));
  return families
    .flatMap(statsOf)
    .filter(isSelected)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function statsOf(family: MetricFamily): Stat[] {
  if (family.type !== "histogram") {
    return family.samples.map(({ labels, value }) => ({ name: statName(family.name, labels), value }));
  }
  return family.samples.map(({ labels, counts }) => {
    const values = QUANTILES.flatMap((percent) => quantile(percent / 100, family.bounds, counts) ?? []);
    return { name: statName(family.name, labels), value: values.length === 0 ? undefined : values };
  });
}

/** Envoy has names only: labels follow as `.name.value`, and Istio's own metrics stand under `istiocustom`. */
function statName(name: string, labels: Labels): string {
  const prefix = name.startsWith("istio_") ? "istiocustom." : "";
  return prefix + [name, ...labels.flat()].join(".");
}

/** `P50(nan,1.2)`: in the last interval (which is not kept), and since the start. */
function quantileText(values: readonly number[]): string {
  return values.map((value, at) => `P${QUANTILES[at]}(nan,${Number(value.toPrecision(4))})`).join(" ");
}
