/** What was counted, as plain numbers. */
import { Histogram, type MetricRegistry } from "../metrics/index.ts";
import type { Metrics } from "../values/index.ts";

/** By name; a series with labels has them behind it, as in `name{topic="orders"}`. */
export function readMetrics(registry: MetricRegistry): Metrics {
  const read: Record<string, Metrics[string]> = {};
  for (const { name, family } of registry.metrics) {
    for (const { values, of } of family.entries()) {
      const labels = family.labelNames.map((label, index) => `${label}="${values[index]}"`);
      const series = labels.length === 0 ? name : `${name}{${labels.join(",")}}`;
      read[series] = of instanceof Histogram ? histogramReading(of) : of.value;
    }
  }
  return read;
}

function histogramReading(histogram: Histogram): Metrics[string] {
  return {
    count: histogram.count,
    sum: histogram.sum,
    p50: histogram.quantile(0.5),
    p99: histogram.quantile(0.99),
    p999: histogram.quantile(0.999),
  };
}
