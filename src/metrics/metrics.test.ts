import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { InvariantError } from "../errors/index.ts";
import { Counter, exponentialBounds, Histogram } from "./instruments.ts";
import { prometheusText } from "./prometheus.ts";
import { Family, MetricRegistry } from "./registry.ts";

test("the text for Prometheus names, explains and escapes", () => {
  const registry = new MetricRegistry();
  registry.counter("cordwood_records_total", "Records.\nWith a \\ in it.").add(3);
  const byTopic = registry.counters("cordwood_bytes_total", "Bytes.", ["topic", "way"]);
  byTopic.of('a"b\\c\nd', "in").add(7);
  registry.gauge("cordwood_open", "Open connections.", () => 2);
  const times = registry.histogram("cordwood_seconds", "Time.", exponentialBounds(0.5, 2, 2));
  for (const value of [0.5, 0.6, 9]) times.record(value);
  assert.equal(
    prometheusText(registry),
    `# HELP cordwood_records_total Records.\\nWith a \\\\ in it.
# TYPE cordwood_records_total counter
cordwood_records_total 3
# HELP cordwood_bytes_total Bytes.
# TYPE cordwood_bytes_total counter
cordwood_bytes_total{topic="a\\"b\\\\c\\nd",way="in"} 7
# HELP cordwood_open Open connections.
# TYPE cordwood_open gauge
cordwood_open 2
# HELP cordwood_seconds Time.
# TYPE cordwood_seconds histogram
cordwood_seconds_bucket{le="0.5"} 1
cordwood_seconds_bucket{le="1"} 2
cordwood_seconds_bucket{le="+Inf"} 3
cordwood_seconds_sum 10.1
cordwood_seconds_count 3
`,
  );
});

test("everything can be read as plain numbers", () => {
  const registry = new MetricRegistry();
  const lag = registry.gauges("lag", "Lag.", ["group"]);
  lag.of("a").set(5);
  lag.of("a").add(-2);
  lag.of("b").set(9);
  lag.remove("b");
  registry.histogram("size", "Size.", exponentialBounds(1, 2, 3)).record(4);
  assert.deepEqual(registry.read(), [
    { name: "lag", labels: { group: "a" }, value: 3 },
    { name: "size_count", labels: {}, value: 1 },
    { name: "size_sum", labels: {}, value: 4 },
  ]);
});

test("a value is counted in the first bucket whose bound it does not pass", () => {
  const bounds = exponentialBounds(1, 2, 6);
  const property = fc.property(fc.array(fc.double({ min: 0, max: 80, noNaN: true })), (values) => {
    const histogram = new Histogram(bounds);
    for (const value of values) histogram.record(value);
    const expected = new Float64Array(7);
    for (const value of values) {
      const index = bounds.findIndex((bound) => value <= bound);
      const bucket = index < 0 ? 6 : index;
      expected[bucket] = (expected[bucket] ?? 0) + 1;
    }
    assert.deepEqual(histogram.counts, expected);
    assert.equal(histogram.count, values.length);
  });
  fc.assert(property, { numRuns: 100 });
});

test("a quantile is the bound at or above the true one", () => {
  const histogram = new Histogram(exponentialBounds(1, 2, 4));
  assert.equal(histogram.quantile(0.5), 0);
  for (const value of [1, 1, 2, 3, 7]) histogram.record(value);
  assert.equal(histogram.quantile(0.4), 1);
  assert.equal(histogram.quantile(0.5), 2);
  assert.equal(histogram.quantile(1), 8);
  histogram.record(100);
  assert.equal(histogram.quantile(1), Infinity);
});

test("labels cannot make a metric grow without bound", () => {
  const family = new Family(["topic"], () => new Counter(), 2);
  for (const topic of ["a", "b", "c", "d", "a"]) family.of(topic).add();
  const counted = [...family.entries()].map(({ values, of }) => [values[0], of.value]);
  assert.deepEqual(counted, [
    ["a", 2],
    ["b", 1],
    ["other", 2],
  ]);
});

test("names are fixed, unique and valid; counters do not fall", () => {
  const registry = new MetricRegistry();
  const counter = registry.counter("a_total", "A.");
  assert.throws(() => counter.add(-1), InvariantError);
  assert.throws(() => registry.counter("a_total", "A."), InvariantError);
  assert.throws(() => registry.counter("a", "A."), InvariantError);
  assert.throws(() => registry.gauge("A-b", "A."), InvariantError);
  assert.throws(() => registry.gauges("b", "B.", ["le"]), InvariantError);
  assert.throws(() => registry.gauge("c", "C.", () => 1).set(2), InvariantError);
  assert.throws(() => registry.gauges("d", "D.", ["x"]).of(), InvariantError);
  registry.seal();
  assert.throws(() => registry.gauge("e", "E."), InvariantError);
});
