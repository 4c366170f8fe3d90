import { invariant } from "../errors/index.ts";
import { Counter, Gauge, Histogram } from "./instruments.ts";

/** Series of one metric at most: what comes later is counted together under the label value `other`. */
const SERIES_MAX = 1_000;

const OTHER = "other";
const validName = /^[a-z][a-z0-9_]*$/;

type Instrument = Counter | Gauge | Histogram;

/** One number of a snapshot; a histogram gives its count and its sum. */
export interface Reading {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** One metric with all its series. */
export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly kind: "counter" | "gauge" | "histogram";
  readonly family: Family<Instrument>;
}

/** The series of one metric, told apart by the values of its labels. */
export class Family<T extends Instrument> {
  readonly labelNames: readonly string[];
  readonly #make: () => T;
  readonly #seriesMax: number;
  readonly #series = new Map<string, { readonly values: readonly string[]; readonly of: T }>();

  constructor(labelNames: readonly string[], make: () => T, seriesMax = SERIES_MAX) {
    this.labelNames = labelNames;
    this.#make = make;
    this.#seriesMax = seriesMax;
  }

  /** The series of these label values, made at first use. Whoever counts often keeps it. */
  of(...values: string[]): T {
    invariant(values.length === this.labelNames.length, "each label has a value");
    const key = JSON.stringify(values);
    const found = this.#series.get(key);
    if (found !== undefined) return found.of;
    const isFull = this.#series.size >= this.#seriesMax;
    if (isFull && values.some((value) => value !== OTHER)) {
      return this.of(...values.map(() => OTHER));
    }
    const made = this.#make();
    this.#series.set(key, { values, of: made });
    return made;
  }

  /** Forgets a series, as that of a topic that is gone. */
  remove(...values: string[]): void {
    this.#series.delete(JSON.stringify(values));
  }

  /** Each series with its label values, in the order they were made. */
  entries(): Iterable<{ readonly values: readonly string[]; readonly of: T }> {
    return this.#series.values();
  }
}

/** All metrics of a program. Names are registered while it starts; after {@link MetricRegistry.seal} there are no new ones. */
export class MetricRegistry {
  readonly #metrics = new Map<string, Metric>();
  #isSealed = false;

  /** Metrics in the order they were registered. */
  get metrics(): Iterable<Metric> {
    return this.#metrics.values();
  }

  /** A counter without labels. By custom its name ends in `_total`. */
  counter(name: string, help: string): Counter {
    return this.counters(name, help, []).of();
  }

  counters(name: string, help: string, labelNames: readonly string[]): Family<Counter> {
    invariant(name.endsWith("_total"), "the name of a counter ends in _total");
    const family = new Family(labelNames, () => new Counter());
    this.#register({ name, help, kind: "counter", family });
    return family;
  }

  /** A gauge without labels; with `source` it is read when it is asked for. */
  gauge(name: string, help: string, source?: () => number): Gauge {
    const family = new Family([], () => new Gauge(source));
    this.#register({ name, help, kind: "gauge", family });
    return family.of();
  }

  gauges(name: string, help: string, labelNames: readonly string[]): Family<Gauge> {
    const family = new Family(labelNames, () => new Gauge());
    this.#register({ name, help, kind: "gauge", family });
    return family;
  }

  /** A histogram without labels; see `exponentialBounds`. */
  histogram(name: string, help: string, bounds: Float64Array): Histogram {
    return this.histograms(name, help, { labelNames: [], bounds }).of();
  }

  histograms(
    name: string,
    help: string,
    options: { readonly labelNames: readonly string[]; readonly bounds: Float64Array },
  ): Family<Histogram> {
    const family = new Family(options.labelNames, () => new Histogram(options.bounds));
    this.#register({ name, help, kind: "histogram", family });
    return family;
  }

  /** From now on the names are complete. */
  seal(): void {
    this.#isSealed = true;
  }

  /** Everything as plain numbers. */
  read(): Reading[] {
    const readings: Reading[] = [];
    for (const { name, family } of this.#metrics.values()) {
      for (const { values, of } of family.entries()) {
        const pairs = family.labelNames.map((label, index) => [label, values[index] ?? ""]);
        const labels: Record<string, string> = Object.fromEntries(pairs);
        if (of instanceof Histogram) {
          readings.push({ name: `${name}_count`, labels, value: of.count });
          readings.push({ name: `${name}_sum`, labels, value: of.sum });
        } else {
          readings.push({ name, labels, value: of.value });
        }
      }
    }
    return readings;
  }

  #register(metric: Metric): void {
    const { name, family } = metric;
    invariant(!this.#isSealed, "no metric is registered after the start");
    invariant(!this.#metrics.has(name), "a metric is registered once");
    invariant([name, ...family.labelNames].every(isValidName), "names are lower case");
    this.#metrics.set(name, metric);
  }
}

/** `le` is the label of a histogram's own bounds. */
function isValidName(name: string): boolean {
  return validName.test(name) && name !== "le";
}
