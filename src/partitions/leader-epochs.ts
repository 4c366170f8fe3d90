import type { ByteReader, ByteWriter } from "../bytes/index.ts";
import { invariant } from "../errors/index.ts";
import type { EpochEnd } from "./outcomes.ts";

/** Most epochs that one partition remembers; the oldest are forgotten. */
const epochsPerPartitionMax = 1_000;

/** Which leader epoch wrote which offsets: for each epoch with records, the offset of its first. */
export class LeaderEpochs {
  /** Both grow from entry to entry. */
  readonly #epochs: number[] = [];
  readonly #starts: number[] = [];

  get count(): number {
    return this.#epochs.length;
  }

  get latest(): number | undefined {
    return this.#epochs.at(-1);
  }

  /** The batch at `baseOffset` belongs to `epoch`. */
  assign(epoch: number, baseOffset: number): void {
    const latest = this.#epochs.at(-1);
    if (latest === epoch) return;
    invariant(latest === undefined || latest < epoch, "leader epochs only grow along a log");
    this.#epochs.push(epoch);
    this.#starts.push(baseOffset);
    if (this.#epochs.length > epochsPerPartitionMax) this.#dropFront(1);
  }

  /** Forgets what begins at or after `endOffset`. */
  truncate(endOffset: number): void {
    while ((this.#starts.at(-1) ?? -1) >= endOffset) {
      this.#starts.pop();
      this.#epochs.pop();
    }
  }

  /** Forgets epochs of which no record is left. */
  trim(logStartOffset: number): void {
    let gone = 0;
    while ((this.#starts[gone + 1] ?? Infinity) <= logStartOffset) gone++;
    if (gone > 0) this.#dropFront(gone);
  }

  /** The epoch that wrote the record at `offset`. */
  epochOf(offset: number): number | undefined {
    for (let index = this.#starts.length - 1; index >= 0; index--) {
      if ((this.#starts[index] ?? 0) <= offset) return this.#epochs[index];
    }
    return undefined;
  }

  /**
   * Where the records of `epoch` end, in a log that ends at `endOffset` and is led in `current`.
   * Undefined where the epoch is newer than all that are known.
   */
  endOf(epoch: number, current: number, endOffset: number): EpochEnd | undefined {
    // The present leader has an epoch from its first moment on, also before its first record.
    if (epoch === current) return { leaderEpoch: epoch, endOffset };
    if (epoch > current) return undefined;
    let higher = this.#epochs.length;
    while (higher > 0 && (this.#epochs[higher - 1] ?? 0) > epoch) higher--;
    return {
      leaderEpoch: this.#epochs[higher - 1] ?? epoch,
      endOffset: this.#starts[higher] ?? endOffset,
    };
  }

  /** Writes the entries that begin before `endOffset`. */
  encode(writer: ByteWriter, endOffset: number): void {
    let count = this.#starts.length;
    while (count > 0 && (this.#starts[count - 1] ?? 0) >= endOffset) count--;
    writer.int32(count);
    for (let index = 0; index < count; index++) {
      writer.int32(this.#epochs[index] ?? 0);
      writer.int64(this.#starts[index] ?? 0);
    }
  }

  static decode(reader: ByteReader): LeaderEpochs {
    const epochs = new LeaderEpochs();
    for (let left = reader.int32(); left > 0; left--) {
      const epoch = reader.int32();
      epochs.assign(epoch, reader.int64());
    }
    return epochs;
  }

  #dropFront(count: number): void {
    this.#epochs.splice(0, count);
    this.#starts.splice(0, count);
  }
}
