/**
 * Counting: counters, gauges, histograms, under names that are fixed at the start.
 *
 * Promises that counting allocates nothing and never fails, that a label cannot make a metric grow
 * without bound, and that what was counted can be read as plain numbers. Knows nothing of what is
 * counted, nor who asks. Start reading at {@link MetricRegistry}.
 */
export { Counter, exponentialBounds, Histogram } from "./instruments.ts";
export { prometheusContentType, prometheusText } from "./prometheus.ts";
export { type Metric, MetricRegistry, type Reading } from "./registry.ts";
