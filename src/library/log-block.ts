/** Batches that were read and decoded, kept for reads at random. */
import { markAsUntransferable } from "node:worker_threads";

import { int32At, putInt32 } from "../bytes/index.ts";
import { RecordCursor } from "../records/index.ts";
import { BlockTable } from "./block-table.ts";

/** What a block costs beside its bytes and places: its objects, their native parts, its slots in the table. Measured by the process's memory. */
const BLOCK_OVERHEAD_BYTES = 750;

/** Bytes of one place. */
const PLACE_BYTES = 4;
/** Bits of a place that say how far behind its start a record's value begins: 31 bytes at most, whoever wrote it. */
const HEAD_BITS = 5;
const HEAD_MASK = (1 << HEAD_BITS) - 1;
/** A place has no room for heads in a larger batch. */
const PLACED_BYTES_MAX = 2 ** (32 - HEAD_BITS);

/**
 * One batch in memory of its own, and behind it in the same memory the place of each record: a read
 * at random waits for memory more than for anything else, so little of it is touched. Of a record
 * that is a value and nothing else, at the time of the first, the place says all: it is not looked at.
 */
export class LogBlock {
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly sizeBytes: number;
  readonly recordCount: number;
  /** Time of the first record. */
  readonly timestamp: number;
  readonly bytes: Uint8Array;
  /** What the times of records are made of. */
  readonly #attributes: number;
  readonly #baseTimestamp: number;
  readonly #maxTimestamp: number;
  /** Where the places begin: one for each record, and one for the end of the last. */
  readonly #placesStart: number;
  /** A place is a start shifted by so much, and a head. */
  readonly #headBits: number;
  /** Offsets after the base offset; undefined where none is missing between them. */
  readonly #deltas: Int32Array | undefined;
  /** Found again since the cache last looked at it for room. */
  isUsed = false;

  /** `batch` is one undamaged batch, of which a copy is made. */
  constructor(batch: Uint8Array) {
    walk.reset(batch, 0);
    const { baseOffset, nextOffset, recordCount, attributes } = walk.header;
    // Not the batch's own memory, where it was compressed.
    const { length } = walk.bytes;
    const placesBytes = (recordCount + 1) * PLACE_BYTES;
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(length + placesBytes).buffer);
    // A program has views of it: given to a worker with one of them it would be gone from here.
    markAsUntransferable(bytes.buffer);
    bytes.set(walk.bytes);
    const hasGaps = recordCount !== nextOffset - baseOffset;
    const deltas = hasGaps ? new Int32Array(recordCount) : undefined;
    const headBits = length < PLACED_BYTES_MAX ? HEAD_BITS : 0;
    let timestamp = 0;
    let at = length;
    for (let index = 0; walk.advance(); index++) {
      if (index === 0) timestamp = walk.timestamp;
      const head = headBits > 0 && walk.timestamp === timestamp ? plainHead(walk) : 0;
      putInt32(bytes, at, (walk.recordStart << headBits) | head);
      at += PLACE_BYTES;
      if (deltas !== undefined) deltas[index] = walk.offset - baseOffset;
    }
    putInt32(bytes, at, walk.recordEnd << headBits);
    this.baseOffset = baseOffset;
    this.nextOffset = nextOffset;
    this.recordCount = recordCount;
    this.timestamp = timestamp;
    this.bytes = bytes;
    this.#attributes = attributes;
    this.#baseTimestamp = walk.header.baseTimestamp;
    this.#maxTimestamp = walk.header.maxTimestamp;
    this.#placesStart = length;
    this.#headBits = headBits;
    this.#deltas = deltas;
    this.sizeBytes = bytes.length + (deltas?.byteLength ?? 0) + BLOCK_OVERHEAD_BYTES;
  }

  /** Whether `offset` is among the batch's; compaction may have taken its record. */
  holds(offset: number): boolean {
    return offset >= this.baseOffset && offset < this.nextOffset;
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

  /** A view of the value of the record at `offset`, where that and {@link LogBlock.timestamp} is all there is to it. */
  // hot: once for every read.
  plainValue(offset: number): Uint8Array | undefined {
    if (this.#headBits === 0 || this.#deltas !== undefined) return undefined;
    const at = this.#placesStart + (offset - this.baseOffset) * PLACE_BYTES;
    const place = int32At(this.bytes, at);
    const head = place & HEAD_MASK;
    if (head === 0) return undefined;
    // The last byte of a record is the count of its headers.
    const end = (int32At(this.bytes, at + PLACE_BYTES) >>> HEAD_BITS) - 1;
    return this.bytes.subarray((place >>> HEAD_BITS) + head, end);
  }

  /** Puts `cursor` on the record at `offset`; false where compaction has removed it. */
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
    const place = int32At(this.bytes, this.#placesStart + index * PLACE_BYTES);
    const start = place >>> this.#headBits;
    cursor.resetOpen(this.bytes, start, this.baseOffset, this.#baseTimestamp);
    cursor.header.attributes = this.#attributes;
    cursor.header.maxTimestamp = this.#maxTimestamp;
    cursor.advance();
  }
}

/** Bytes of a record before its value, where it has neither key nor headers; zero for others. */
function plainHead({
  keyStart,
  valueStart,
  valueEnd,
  recordStart,
  recordEnd,
}: RecordCursor): number {
  // A count of no headers in more than a byte is strange, and allowed.
  const isPlain = keyStart < 0 && valueStart >= 0 && recordEnd === valueEnd + 1;
  return isPlain ? valueStart - recordStart : 0;
}

/** For making blocks: nothing is kept in it. */
const walk = new RecordCursor();

/** Blocks up to a size, those that were not found again for a while given up first. */
export class BlockCache {
  readonly #bytesMax: number;
  #bytes = 0;
  readonly #table = new BlockTable();
  /** The block that was found last: reads near each other find it at once. */
  #last: LogBlock | undefined;
  /** All blocks, in the order in which room is looked for. */
  readonly #ring: LogBlock[] = [];
  /** Where room is looked for next. */
  #hand = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  // hot: once for every read.
  find(offset: number): LogBlock | undefined {
    const last = this.#last;
    if (last?.holds(offset) === true) return last;
    const block = this.#table.find(offset);
    if (block === undefined) return undefined;
    block.isUsed = true;
    this.#last = block;
    return block;
  }

  add(block: LogBlock): void {
    this.#makeRoom(block.sizeBytes);
    this.#table.add(block);
    this.#ring.push(block);
    this.#bytes += block.sizeBytes;
    this.#last = block;
  }

  /** Forgets everything, where what was read may not be the log any more. */
  clear(): void {
    this.#table.clear();
    this.#ring.length = 0;
    this.#bytes = 0;
    this.#last = undefined;
  }

  #makeRoom(sizeBytes: number): void {
    const ring = this.#ring;
    while (this.#bytes + sizeBytes > this.#bytesMax) {
      if (this.#hand >= ring.length) this.#hand = 0;
      const block = ring[this.#hand];
      if (block === undefined) return;
      const hand = this.#hand++;
      if (block.isUsed) {
        block.isUsed = false;
        continue;
      }
      // The newest takes its place, behind the hand: it is looked at last.
      const newest = ring.pop();
      if (newest !== undefined && newest !== block) ring[hand] = newest;
      this.#table.remove(block);
      this.#bytes -= block.sizeBytes;
      if (this.#last === block) this.#last = undefined;
    }
  }
}
