// Compares what the server holds with what it acknowledged.
import { readBatches, type Wire } from "../clients/wire.ts";
import { parseValue, type Producer } from "./producers.ts";

/**
 * Reads partitions and checks, per producer: its records are there once and in order; whatever was
 * acknowledged is there, at the offset of the acknowledgement. Records that were not acknowledged may be
 * there, at the place of their sequence. Each `check` continues behind the last one.
 */
export class Ledger {
  readonly #producers: readonly Producer[];
  readonly #topic: string;
  readonly #partitions: readonly PartitionLedger[];

  constructor(topic: string, producers: readonly Producer[], partitionCount: number) {
    this.#topic = topic;
    this.#producers = producers;
    this.#partitions = Array.from({ length: partitionCount }, () => new PartitionLedger(producers));
  }

  /** Gives the number of records read; throws what is wrong. */
  async check(wire: Wire): Promise<number> {
    let recordCount = 0;
    for (const [partition, ledger] of this.#partitions.entries()) {
      // Writing goes on: what is acknowledged after this moment is a question for the next check.
      const counts = this.#producers.map(({ lanes }) => lanes[partition]?.acknowledged.length ?? 0);
      for (const batch of await readBatches(wire, this.#topic, partition, ledger.next)) {
        const place = `${this.#topic}/${partition}`;
        recordCount += batch.values.length;
        ledger.add(place, batch.baseOffset, batch.values);
      }
      for (const [index, producer] of this.#producers.entries()) {
        ledger.settle(producer, partition, counts[index] ?? 0);
      }
    }
    return recordCount;
  }
}

class PartitionLedger {
  /** The offset to read next. */
  next = 0;
  /** Per producer: the offset of each of its sequences, without a gap from sequence 0 on. */
  readonly #offsets: ReadonlyMap<number, number[]>;
  /** Per producer: how many of its acknowledged batches were compared already. */
  readonly #settled = new Map<number, number>();

  constructor(producers: readonly Producer[]) {
    this.#offsets = new Map(producers.map(({ number }) => [number, []]));
  }

  add(place: string, baseOffset: number, values: readonly string[]): void {
    if (baseOffset !== this.next) {
      throw new Error(`${place}: a gap, offset ${baseOffset} follows ${this.next - 1}`);
    }
    for (const value of values) {
      const { producer, sequence } = parseValue(value);
      const offsets = this.#offsets.get(producer);
      if (!offsets) throw new Error(`${place}@${this.next}: unknown producer ${producer}`);
      if (sequence !== offsets.length) {
        const before = offsets[sequence];
        const what = before === undefined ? "out of order" : `there already at ${before}`;
        throw new Error(
          `${place}@${this.next}: producer ${producer} sequence ${sequence} is ${what}, ` +
            `expected sequence ${offsets.length}`,
        );
      }
      offsets.push(this.next);
      this.next += 1;
    }
  }

  /** Compares the first `count` acknowledged batches of a producer with what was read. */
  settle(producer: Producer, partition: number, count: number): void {
    const offsets = this.#offsets.get(producer.number) ?? [];
    const acknowledged = producer.lanes[partition]?.acknowledged ?? [];
    for (const batch of acknowledged.slice(this.#settled.get(producer.number) ?? 0, count)) {
      for (let index = 0; index < batch.recordCount; index += 1) {
        const sequence = batch.baseSequence + index;
        const expected = batch.baseOffset + index;
        const found = offsets[sequence];
        if (found === expected) continue;
        throw new Error(
          `partition ${partition}: producer ${producer.number} sequence ${sequence} was acknowledged ` +
            `at offset ${expected} and is ${found === undefined ? "lost" : `at ${found}`}`,
        );
      }
    }
    this.#settled.set(producer.number, count);
  }
}
