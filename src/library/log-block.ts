/** Batches that were read and decoded, kept for reads at random. */
import { int32At, putInt32 } from "../bytes/index.ts";
import { RecordCursor } from "../records/index.ts";

/** What a block costs beside its bytes and positions, about. */
const BLOCK_OVERHEAD_BYTES = 250;

/** Bytes of one position. */
const PLACE_BYTES = 4;

/**
 * One batch in memory of its own, and behind it in the same memory the place of each record: a read
 * at random waits for memory more than for anything else, so little of it is touched.
 */
export class LogBlock {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly sizeBytes: number;
  readonly recordCount: number;
  readonly bytes: Uint8Array;
  /** What the times of records are made of. */
  readonly #attributes: number;
  readonly #baseTimestamp: number;
  readonly #maxTimestamp: number;
  /** Where the places begin. */
  readonly #placesStart: number;
  /** Offsets after the base offset; undefined where none is missing between them. */
  readonly #deltas: Int32Array | undefined;
  /** Used since the cache last looked for room. */
  isUsed = true;

  /** `batch` is one undamaged batch, of which a copy is made. */
  constructor(batch: Uint8Array) {
    walk.reset(batch, 0);
    const { baseOffset, nextOffset, recordCount, attributes } = walk.header;
    // Not the batch's own memory, where it was compressed.
    const { length } = walk.bytes;
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length + recordCount * PLACE_BYTES).buffer);
    bytes.set(walk.bytes);
    const hasGaps = recordCount !== nextOffset - baseOffset;
    const deltas = hasGaps ? new Int32Array(recordCount) : undefined;
    for (let index = 0; walk.advance(); index++) {
      putInt32(bytes, length + index * PLACE_BYTES, walk.recordStart);
      if (deltas !== undefined) deltas[index] = walk.offset - baseOffset;
    }
    this.baseOffset = baseOffset;
    this.nextOffset = nextOffset;
    this.recordCount = recordCount;
    this.bytes = bytes;
    this.#attributes = attributes;
    this.#baseTimestamp = walk.header.baseTimestamp;
    this.#maxTimestamp = walk.header.maxTimestamp;
    this.#placesStart = length;
    this.#deltas = deltas;
    this.sizeBytes = bytes.length + (deltas?.byteLength ?? 0) + BLOCK_OVERHEAD_BYTES;
  }

  /** How many records lie before `offset`. */
  countBefore(offset: number): number {
    const delta = offset - this.baseOffset;
    const deltas = this.#deltas;
    if (deltas === undefined) return Math.min(Math.max(delta, 0), this.recordCount);
    let low = 0;
    let high = deltas.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((deltas[middle] ?? 0) < delta) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Puts `cursor` on the record at `offset`; false where compaction has removed it. */
  // hot: once for every read.
  find(offset: number, cursor: RecordCursor): boolean {
    const delta = offset - this.baseOffset;
    if (this.#deltas === undefined) {
      this.at(delta, cursor);
      return true;
    }
    const index = this.countBefore(offset);
    if (this.#deltas[index] !== delta) return false;
    this.at(index, cursor);
    return true;
  }

  /** Puts `cursor` on the `index`-th record. */
  at(index: number, cursor: RecordCursor): void {
    const start = int32At(this.bytes, this.#placesStart + index * PLACE_BYTES);
    cursor.resetOpen(this.bytes, start, this.baseOffset, this.#baseTimestamp);
    cursor.header.attributes = this.#attributes;
    cursor.header.maxTimestamp = this.#maxTimestamp;
    cursor.advance();
  }
}

/** For making blocks: nothing is kept in it. */
const walk = new RecordCursor();

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
