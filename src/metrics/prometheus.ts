import { Histogram } from "./instruments.ts";
import type { MetricRegistry } from "./registry.ts";

/** Content type of {@link prometheusText}. */
export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8";

/** All metrics in the text format that Prometheus scrapes. */
export function prometheusText(registry: MetricRegistry): string {
  const lines: string[] = [];
  for (const { name, help, kind, family } of registry.metrics) {
    lines.push(`# HELP ${name} ${help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n")}`);
    lines.push(`# TYPE ${name} ${kind}`);
    for (const { values, of } of family.entries()) {
      const labels = family.labelNames.map((label, index) => labelOf(label, values[index] ?? ""));
      if (of instanceof Histogram) pushHistogram(lines, name, labels, of);
      else lines.push(`${name}${braced(labels)} ${numberOf(of.value)}`);
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}

/** Each bucket counts all values up to its bound, those of the buckets before it too. */
function pushHistogram(
  lines: string[],
  name: string,
  labels: readonly string[],
  histogram: Histogram,
): void {
  let below = 0;
  for (const [index, count] of histogram.counts.entries()) {
    below += count;
    const bound = numberOf(histogram.bounds[index] ?? Infinity);
    lines.push(`${name}_bucket${braced([...labels, labelOf("le", bound)])} ${below}`);
  }
  lines.push(`${name}_sum${braced(labels)} ${numberOf(histogram.sum)}`);
  lines.push(`${name}_count${braced(labels)} ${histogram.count}`);
}

function labelOf(name: string, value: string): string {
  const escaped = value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
  return `${name}="${escaped}"`;
}

function braced(labels: readonly string[]): string {
  return labels.length === 0 ? "" : `{${labels.join(",")}}`;
}

function numberOf(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}
