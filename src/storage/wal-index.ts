/**
 * Where the batches of one partition lie in the write-ahead log: one entry a batch, in offset order,
 * in typed arrays that are made at the first append. It is the only index of what no segment holds yet.
 */
import { invariant } from "../errors/index.ts";

const CAPACITY_START = 8;
/** Entries dropped at the front are only forgotten; the arrays are compacted when this many are gone. */
const COMPACT_AT = 1024;

/** What the index keeps of a batch. */
export interface BatchPlace {
  readonly baseOffset: number;
  readonly sizeBytes: number;
  readonly maxTimestamp: number;
  readonly leaderEpoch: number;
}

export class WalIndex {
  #baseOffsets = new Float64Array(CAPACITY_START);
  /** Each an address (`walAddress`) of the batch's first byte. */
  #addresses = new Float64Array(CAPACITY_START);
  #sizes = new Uint32Array(CAPACITY_START);
  #maxTimestamps = new Float64Array(CAPACITY_START);
  #leaderEpochs = new Int32Array(CAPACITY_START);
  /** Live entries are [#head, #tail). */
  #head = 0;
  #tail = 0;

  get count(): number {
    return this.#tail - this.#head;
  }

  // hot: bench/server
  push(batch: BatchPlace, address: number): void {
    if (this.#tail === this.#sizes.length) this.#makeRoom();
    const at = this.#tail++;
    this.#baseOffsets[at] = batch.baseOffset;
    this.#addresses[at] = address;
    this.#sizes[at] = batch.sizeBytes;
    this.#maxTimestamps[at] = batch.maxTimestamp;
    this.#leaderEpochs[at] = batch.leaderEpoch;
  }

  baseOffset(index: number): number {
    return this.#baseOffsets[this.#head + index] ?? NaN;
  }

  address(index: number): number {
    return this.#addresses[this.#head + index] ?? NaN;
  }

  sizeBytes(index: number): number {
    return this.#sizes[this.#head + index] ?? NaN;
  }

  maxTimestamp(index: number): number {
    return this.#maxTimestamps[this.#head + index] ?? NaN;
  }

  leaderEpoch(index: number): number {
    return this.#leaderEpochs[this.#head + index] ?? NaN;
  }

  /** The last entry with a base offset at or below `offset`; -1 where none is. */
  find(offset: number): number {
    let low = this.#head;
    let high = this.#tail;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#baseOffsets[middle] ?? NaN) <= offset) low = middle + 1;
      else high = middle;
    }
    return low - 1 - this.#head;
  }

  /** How many entries lie before `address`. */
  countBefore(address: number): number {
    let low = this.#head;
    let high = this.#tail;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#addresses[middle] ?? NaN) < address) low = middle + 1;
      else high = middle;
    }
    return low - this.#head;
  }

  /** The first entry with a timestamp at or above `timestampMs`; -1 where none is. */
  findTime(timestampMs: number): number {
    for (let at = this.#head; at < this.#tail; at++) {
      if ((this.#maxTimestamps[at] ?? NaN) >= timestampMs) return at - this.#head;
    }
    return -1;
  }

  /** Forgets the first `count` entries. */
  dropFront(count: number): void {
    invariant(count <= this.count, "no more entries are dropped than there are");
    this.#head += count;
    if (this.#head < COMPACT_AT && this.#head < this.#tail) return;
    const left = this.count;
    const capacity = Math.max(CAPACITY_START, 1 << (32 - Math.clz32(Math.max(left, 1) - 1)));
    this.#resize(capacity);
  }

  #makeRoom(): void {
    const isHalfEmpty = this.#head > this.#sizes.length / 2;
    this.#resize(isHalfEmpty ? this.#sizes.length : this.#sizes.length * 2);
  }

  #resize(capacity: number): void {
    const move = <T extends Float64Array | Uint32Array | Int32Array>(from: T, to: T): T => {
      to.set(from.subarray(this.#head, this.#tail));
      return to;
    };
    this.#baseOffsets = move(this.#baseOffsets, new Float64Array(capacity));
    this.#addresses = move(this.#addresses, new Float64Array(capacity));
    this.#sizes = move(this.#sizes, new Uint32Array(capacity));
    this.#maxTimestamps = move(this.#maxTimestamps, new Float64Array(capacity));
    this.#leaderEpochs = move(this.#leaderEpochs, new Int32Array(capacity));
    this.#tail -= this.#head;
    this.#head = 0;
  }
}
