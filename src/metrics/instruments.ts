import { invariant } from "../errors/index.ts";

/** A number that only rises. */
export class Counter {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  /** `amount` is not negative. */
  add(amount = 1): void {
    invariant(amount >= 0, "a counter never falls");
    this.#value += amount;
  }
}

/** A number that rises and falls: set by whoever knows it, or read from `source` when it is asked for. */
export class Gauge {
  #value = 0;
  readonly #source: (() => number) | undefined;

  constructor(source?: () => number) {
    this.#source = source;
  }

  get value(): number {
    return this.#source === undefined ? this.#value : this.#source();
  }

  set(value: number): void {
    invariant(this.#source === undefined, "a gauge with a source is not set");
    this.#value = value;
  }

  add(amount: number): void {
    this.set(this.#value + amount);
  }
}

/** How many of the recorded values lie at or below each of a few fixed bounds. */
export class Histogram {
  /** Rising; the last bucket has no bound. */
  readonly bounds: Float64Array;
  /** Values in each bucket alone; one more than there are bounds. */
  readonly counts: Float64Array;
  #count = 0;
  #sum = 0;

  constructor(bounds: Float64Array) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  // hot: once for every request; a search in a few numbers, nothing allocated.
  record(value: number): void {
    const bounds = this.bounds;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (value <= (bounds[middle] ?? 0)) high = middle;
      else low = middle + 1;
    }
    this.counts[low] = (this.counts[low] ?? 0) + 1;
    this.#count++;
    this.#sum += value;
  }

  /**
   * The bound below which a share of the values lies, 0.99 for the 99th percentile: never less than
   * the true one, and more by one bucket at most. Infinity past the last bound, 0 of nothing.
   */
  quantile(share: number): number {
    if (this.#count === 0) return 0;
    const wanted = share * this.#count;
    let below = 0;
    for (const [index, bound] of this.bounds.entries()) {
      below += this.counts[index] ?? 0;
      if (below >= wanted) return bound;
    }
    return Infinity;
  }
}

/** `count` bounds from `first` on, each `factor` times the one before. */
export function exponentialBounds(first: number, factor: number, count: number): Float64Array {
  invariant(first > 0 && factor > 1, "exponential bounds rise");
  return Float64Array.from({ length: count }, (_, index) => first * factor ** index);
}
