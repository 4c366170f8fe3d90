/** Batches that were read and decoded, kept for reads at random. */
import { RecordCursor } from "../records/index.ts";

/** What a block costs beside its bytes and positions, about. */
const BLOCK_OVERHEAD_BYTES = 400;

/** One batch in memory of its own, with the place of each of its records. */
export class LogBlock {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly sizeBytes: number;
  /** Used since the cache last looked for room. */
  isUsed = true;
  readonly #cursor = new RecordCursor();
  readonly #starts: Int32Array;
  /** Offsets after the base offset; undefined where none is missing between them. */
  readonly #deltas: Int32Array | undefined;

  /** `bytes` are one undamaged batch, and the block's own from now on. */
  constructor(bytes: Uint8Array) {
    const cursor = this.#cursor;
    cursor.reset(bytes, 0);
    const { baseOffset, nextOffset, recordCount } = cursor.header;
    this.baseOffset = baseOffset;
    this.nextOffset = nextOffset;
    const starts = new Int32Array(recordCount);
    const hasGaps = recordCount !== nextOffset - baseOffset;
    const deltas = hasGaps ? new Int32Array(recordCount) : undefined;
    for (let index = 0; cursor.advance(); index++) {
      starts[index] = cursor.recordStart;
      if (deltas !== undefined) deltas[index] = cursor.offset - baseOffset;
    }
    this.#starts = starts;
    this.#deltas = deltas;
    const positionBytes = starts.byteLength * (hasGaps ? 2 : 1);
    this.sizeBytes = cursor.bytes.length + positionBytes + BLOCK_OVERHEAD_BYTES;
  }

  get recordCount(): number {
    return this.#starts.length;
  }

  /** How many records lie before `offset`. */
  countBefore(offset: number): number {
    const delta = offset - this.baseOffset;
    const deltas = this.#deltas;
    if (deltas === undefined) return Math.min(Math.max(delta, 0), this.#starts.length);
    let low = 0;
    let high = deltas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((deltas[middle] ?? 0) < delta) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The record at `offset`; undefined where compaction has removed it. Valid until the next call. */
  // hot: once for every read.
  find(offset: number): RecordCursor | undefined {
    const delta = offset - this.baseOffset;
    const index = this.#deltas === undefined ? delta : this.countBefore(offset);
    if (this.#deltas !== undefined && this.#deltas[index] !== delta) return undefined;
    return this.at(index);
  }

  /** The `index`-th record. Valid until the next call. */
  at(index: number): RecordCursor {
    const cursor = this.#cursor;
    cursor.seek(this.#starts[index] ?? 0);
    cursor.advance();
    return cursor;
  }
}

/** Blocks up to a size, those that were not used for a while given up first. */
export class BlockCache {
  readonly #bytesMax: number;
  #bytes = 0;
  #count = 0;
  /** Base offsets, rising; one for each block. */
  #bases = new Float64Array(64);
  readonly #blocks: LogBlock[] = [];
  /** The block that was found last: reads near each other find it at once. */
  #last: LogBlock | undefined;
  /** Where room is looked for next. */
  #hand = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  // hot: once for every read.
  find(offset: number): LogBlock | undefined {
    const last = this.#last;
    if (last !== undefined && offset >= last.baseOffset && offset < last.nextOffset) return last;
    const block = this.#blocks[this.#countUpTo(offset) - 1];
    if (block === undefined || offset >= block.nextOffset) return undefined;
    block.isUsed = true;
    this.#last = block;
    return block;
  }

  add(block: LogBlock): void {
    this.#makeRoom(block.sizeBytes);
    const at = this.#countUpTo(block.baseOffset);
    if (this.#count === this.#bases.length) {
      const larger = new Float64Array(this.#count * 2);
      larger.set(this.#bases);
      this.#bases = larger;
    }
    this.#bases.copyWithin(at + 1, at, this.#count);
    this.#bases[at] = block.baseOffset;
    this.#blocks.splice(at, 0, block);
    this.#count++;
    this.#bytes += block.sizeBytes;
    this.#last = block;
  }

  /** Forgets everything, where what was read may not be the log any more. */
  clear(): void {
    this.#blocks.length = 0;
    this.#count = 0;
    this.#bytes = 0;
    this.#last = undefined;
  }

  /** Blocks with a base offset at or below `offset`. */
  #countUpTo(offset: number): number {
    const bases = this.#bases;
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((bases[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #makeRoom(sizeBytes: number): void {
    while (this.#count > 0 && this.#bytes + sizeBytes > this.#bytesMax) {
      if (this.#hand >= this.#count) this.#hand = 0;
      const block = this.#blocks[this.#hand];
      if (block === undefined) return;
      if (block.isUsed) {
        block.isUsed = false;
        this.#hand++;
      } else {
        this.#remove(this.#hand, block);
      }
    }
  }

  #remove(at: number, block: LogBlock): void {
    this.#bases.copyWithin(at, at + 1, this.#count);
    this.#blocks.splice(at, 1);
    this.#count--;
    this.#bytes -= block.sizeBytes;
    if (this.#last === block) this.#last = undefined;
  }
}
