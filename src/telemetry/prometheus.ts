// Prometheus' text exposition format 0.0.4: writing it for scrapes, reading it back for statistics. Pure.
import type { HistogramSample, Labels, MetricFamily, ScalarSample } from "./metric-family.ts";

export const EXPOSITION_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The families with HELP and TYPE; buckets become cumulative and get their +Inf. */
export function renderExposition(families: readonly MetricFamily[]): string {
  const lines: string[] = [];
  for (const family of families) {
    const { name } = family;
    lines.push(`# HELP ${name} ${family.help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`);
    lines.push(`# TYPE ${name} ${family.type}`);
    if (family.type === "histogram") {
      for (const sample of family.samples) pushHistogram(lines, name, family.bounds, sample);
    } else {
      for (const { labels, value } of family.samples)
        lines.push(`${name}${braced(labelText(labels))} ${number(value)}`);
    }
  }
  return lines.length === 0 ? "" : `${lines.join("\n")}\n`;
}

function pushHistogram(lines: string[], name: string, bounds: readonly number[], sample: HistogramSample): void {
  const labels = labelText(sample.labels);
  const others = labels === "" ? "" : `${labels},`;
  let count = 0;
  for (let bucket = 0; bucket <= bounds.length; bucket++) {
    count += sample.counts[bucket]!;
    lines.push(`${name}_bucket{${others}le="${number(bounds[bucket] ?? Number.POSITIVE_INFINITY)}"} ${number(count)}`);
  }
  lines.push(`${name}_sum${braced(labels)} ${number(sample.sum)}`, `${name}_count${braced(labels)} ${number(count)}`);
}

function braced(labels: string): string {
  return labels === "" ? "" : `{${labels}}`;
}

function labelText(labels: Labels): string {
  return labels.map(([name, value]) => `${name}="${escapeLabel(value)}"`).join(",");
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}

function number(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "+Inf";
  return value === Number.NEGATIVE_INFINITY ? "-Inf" : String(value);
}

/** A line that is not exposition text. */
export class ExpositionError extends Error {
  override name = "ExpositionError";
}

// `s` in all of these: U+2028 ends a line for a regular expression, and is an ordinary character in a label.
/** One line: name, labels in braces, value; a time stamp after it is ignored. */
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? +(\S+)(?: +-?\d+)?$/s;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)",?/sy;

interface Draft {
  readonly name: string;
  readonly type: string;
  help: string;
  readonly lines: { readonly suffix: string; readonly labels: Labels; readonly value: number }[];
}

/**
 * Reads counters, gauges and histograms that have a TYPE line; other types and untyped samples are left out.
 * @throws ExpositionError naming the line
 */
export function parseExposition(text: string): MetricFamily[] {
  const drafts: Draft[] = [];
  const help = new Map<string, string>();
  text.split("\n").forEach((line, index) => {
    const comment = /^# (HELP|TYPE) (\S+) ?(.*)$/s.exec(line);
    if (comment?.[1] === "HELP") help.set(comment[2]!, unescaped(comment[3]!));
    if (comment?.[1] === "TYPE")
      drafts.push({ name: comment[2]!, type: comment[3]!, help: help.get(comment[2]!) ?? "", lines: [] });
    if (line === "" || line.startsWith("#")) return;
    const match = SAMPLE.exec(line);
    if (match === null) throw new ExpositionError(`line ${index + 1} is not a Prometheus sample`);
    const [, name, labels, value] = match;
    const draft = drafts.at(-1);
    if (draft === undefined || !name!.startsWith(draft.name)) return;
    draft.lines.push({
      suffix: name!.slice(draft.name.length),
      labels: parseLabels(labels ?? "", index + 1),
      value: parseNumber(value!),
    });
  });
  return drafts.flatMap((draft) => familyOf(draft) ?? []);
}

function familyOf({ name, type, help, lines }: Draft): MetricFamily | undefined {
  if (type === "histogram") return { type, name, help, ...histogramSamples(lines) };
  if (type !== "counter" && type !== "gauge") return undefined;
  const samples: ScalarSample[] = lines
    .filter(({ suffix }) => suffix === "")
    .map(({ labels, value }) => ({ labels, value }));
  return { type, name, help, samples };
}

/** Lines of one sample stand together and end with `_count`. */
function histogramSamples(lines: Draft["lines"]): { bounds: number[]; samples: HistogramSample[] } {
  const samples: HistogramSample[] = [];
  let bounds: number[] = [];
  let les: number[] = [];
  let counts: number[] = [];
  let sum = 0;
  let below = 0;
  for (const { suffix, labels, value } of lines) {
    if (suffix === "_bucket") {
      les.push(parseNumber(labels.find(([label]) => label === "le")?.[1] ?? "NaN"));
      counts.push(value - below);
      below = value;
    } else if (suffix === "_sum") {
      sum = value;
    } else if (suffix === "_count") {
      samples.push({ labels, counts, sum });
      bounds = les.slice(0, -1);
      [les, counts, sum, below] = [[], [], 0, 0];
    }
  }
  return { bounds, samples };
}

function parseLabels(text: string, lineNumber: number): Labels {
  const labels: [string, string][] = [];
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const match = LABEL.exec(text);
    if (match === null) throw new ExpositionError(`line ${lineNumber} has a malformed label`);
    labels.push([match[1]!, unescaped(match[2]!)]);
  }
  return labels;
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
}

function parseNumber(text: string): number {
  if (text === "+Inf") return Number.POSITIVE_INFINITY;
  return text === "-Inf" ? Number.NEGATIVE_INFINITY : Number(text);
}
