import { LogError } from "../errors/index.ts";
import type { RecordHeader } from "../values/index.ts";
import { BATCH_HEADER_BYTES, BatchHeader } from "./batch-header.ts";
import { decompress, INFLATED_BYTES_MAX } from "./compression.ts";

/**
 * Walks the records of one batch after another. The fields tell of the record reached by the last
 * {@link RecordCursor.advance}; starts and ends are positions in {@link RecordCursor.bytes}, both -1
 * where there is no key or no value. Views are valid as long as the memory of the batch is.
 *
 * @example
 * cursor.reset(bytes, 0);
 * while (cursor.advance()) console.log(cursor.offset, cursor.value());
 */
// hot: 17 ns a record of 100 bytes with a time of its own; nothing is allocated for a record, nor for a batch that is not compressed.
export class RecordCursor {
  /** Header of the batch. */
  readonly header = new BatchHeader();
  /** Where the positions point into: the batch's own bytes, or what they decompressed to. */
  bytes: Uint8Array = new Uint8Array(0);
  offset = 0;
  timestamp = 0;
  keyStart = -1;
  keyEnd = -1;
  valueStart = -1;
  valueEnd = -1;
  headerCount = 0;
  /** Where the record begins, with its length field. */
  recordStart = 0;

  readonly #inflatedBytesMax: number;
  /** Everything before it was read. */
  #position = 0;
  #end = 0;
  /** Records not reached yet. */
  #left = 0;
  /** Offset deltas only rise. */
  #lastDelta = -1;
  #headersStart = 0;
  /** Where the varint that was read last ends. */
  #next = 0;

  /** A batch that decompresses to more than `inflatedBytesMax` is refused. */
  constructor(limits: { readonly inflatedBytesMax?: number } = {}) {
    this.#inflatedBytesMax = limits.inflatedBytesMax ?? INFLATED_BYTES_MAX;
  }

  /** Where the record reached ends, in {@link RecordCursor.bytes}. */
  get recordEnd(): number {
    return this.#position;
  }

  /**
   * Goes before the first record of the batch at `position`, which was checked by `checkBatch` or
   * `checkStoredBatch`; a compressed batch is decompressed here, once.
   * @throws LogError batch_corrupt, limit_exceeded, unsupported_compression
   */
  reset(bytes: Uint8Array, position: number): void {
    const header = this.header;
    this.#left = 0;
    if (position + BATCH_HEADER_BYTES > bytes.length) throw corrupt("the batch is cut");
    header.read(bytes, position);
    const start = position + BATCH_HEADER_BYTES;
    const end = position + header.sizeBytes;
    if (end < start || end > bytes.length) throw corrupt("the batch is cut");
    if (header.recordCount < 0) throw corrupt(`${header.recordCount} records`);
    const codec = header.codec;
    if (codec === "none") {
      this.bytes = bytes;
      this.#position = start;
      this.#end = end;
    } else {
      this.bytes = decompress(codec, bytes.subarray(start, end), this.#inflatedBytesMax);
      this.#position = 0;
      this.#end = this.bytes.length;
    }
    this.#left = header.recordCount;
    this.#lastDelta = -1;
  }

  /**
   * Stands before one record, whose place in its batch is known from a walk, or whose batch has no
   * header yet: base offset and base time are given.
   */
  // oxlint-disable-next-line max-params -- memory, a place in it, and what its batch will say
  resetOpen(bytes: Uint8Array, position: number, baseOffset: number, baseTimestamp: number): void {
    const header = this.header;
    header.baseOffset = baseOffset;
    header.baseTimestamp = baseTimestamp;
    header.attributes = 0;
    header.lastOffsetDelta = bytes.length;
    this.bytes = bytes;
    this.#position = position;
    this.#end = bytes.length;
    this.#left = 1;
    this.#lastDelta = -1;
  }

  /**
   * Reaches the next record; false behind the last one.
   * @throws LogError batch_corrupt where the bytes are no record, or the records are not as many as the header says.
   */
  advance(): boolean {
    if (this.#left === 0) {
      if (this.#position !== this.#end) throw corrupt("bytes behind the last record");
      return false;
    }
    this.#left--;
    // A local position and a fast way for varints of one byte take half the time of a method for each.
    const bytes = this.bytes;
    let position = this.#position;
    this.recordStart = position;

    let byte = bytes[position] ?? 0;
    const length = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#longVarint(position);
    position = byte < 0x80 ? position + 1 : this.#next;
    const recordEnd = position + length;
    if (length < 0 || recordEnd > this.#end) throw corrupt("a record is cut");
    // One byte of attributes, of which none is in use.
    position++;

    byte = bytes[position] ?? 0;
    const timestampDelta = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#longVarlong(position);
    position = byte < 0x80 ? position + 1 : this.#next;

    byte = bytes[position] ?? 0;
    const offsetDelta = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#longVarint(position);
    position = byte < 0x80 ? position + 1 : this.#next;

    byte = bytes[position] ?? 0;
    const keyBytes = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#longVarint(position);
    position = byte < 0x80 ? position + 1 : this.#next;
    this.keyStart = keyBytes < 0 ? -1 : position;
    if (keyBytes > 0) position += keyBytes;
    this.keyEnd = keyBytes < 0 ? -1 : position;

    byte = bytes[position] ?? 0;
    const valueBytes = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#longVarint(position);
    position = byte < 0x80 ? position + 1 : this.#next;
    this.valueStart = valueBytes < 0 ? -1 : position;
    if (valueBytes > 0) position += valueBytes;
    this.valueEnd = valueBytes < 0 ? -1 : position;

    byte = bytes[position] ?? 0;
    this.headerCount = byte < 0x80 ? (byte >>> 1) ^ -(byte & 1) : this.#longVarint(position);
    position = byte < 0x80 ? position + 1 : this.#next;
    this.#headersStart = position;
    if (this.headerCount !== 0) position = this.#skipHeaders(position, recordEnd);

    // Lengths only move the position forward, so a field that passed the end of its record shows here.
    if (position !== recordEnd) throw corrupt("a record is not as long as it says");
    if (keyBytes < -1 || valueBytes < -1) throw corrupt("a negative length");
    this.#position = position;
    this.#place(offsetDelta, timestampDelta);
    return true;
  }

  /** A view of the key; undefined where there is none. */
  key(): Uint8Array | undefined {
    return this.keyStart < 0 ? undefined : this.bytes.subarray(this.keyStart, this.keyEnd);
  }

  /** A view of the value; undefined where there is none, which is a tombstone under compaction. */
  value(): Uint8Array | undefined {
    return this.valueStart < 0 ? undefined : this.bytes.subarray(this.valueStart, this.valueEnd);
  }

  headers(): RecordHeader[] {
    const found: RecordHeader[] = [];
    let position = this.#headersStart;
    for (let index = 0; index < this.headerCount; index++) {
      // Lengths were checked when the record was reached.
      const keyBytes = this.#longVarint(position);
      const keyStart = this.#next;
      const valueBytes = this.#longVarint(keyStart + keyBytes);
      const valueStart = this.#next;
      position = valueStart + Math.max(valueBytes, 0);
      const start = this.bytes.byteOffset + keyStart;
      const key = Buffer.from(this.bytes.buffer, start, keyBytes).toString();
      const value = valueBytes < 0 ? undefined : this.bytes.subarray(valueStart, position);
      found.push({ key, value });
    }
    return found;
  }

  #place(offsetDelta: number, timestampDelta: number): void {
    const { baseOffset, lastOffsetDelta, baseTimestamp, maxTimestamp } = this.header;
    if (offsetDelta <= this.#lastDelta || offsetDelta > lastOffsetDelta) {
      throw corrupt("offsets do not rise");
    }
    this.#lastDelta = offsetDelta;
    this.offset = baseOffset + offsetDelta;
    this.timestamp = this.header.isLogAppendTime ? maxTimestamp : baseTimestamp + timestampDelta;
    if (!Number.isSafeInteger(this.timestamp)) throw corrupt("a timestamp beyond 2^53");
  }

  /** Passes the headers from `start` on, each of its length, and answers where they end. */
  #skipHeaders(start: number, recordEnd: number): number {
    // A header takes two bytes at least, so a lying count is found before the walk.
    if (this.headerCount < 0 || this.headerCount * 2 > recordEnd - start) {
      throw corrupt(`${this.headerCount} headers in ${recordEnd - start} bytes`);
    }
    let position = start;
    for (let index = 0; index < this.headerCount; index++) {
      const keyBytes = this.#longVarint(position);
      if (keyBytes < 0) throw corrupt("a header without a name");
      position = this.#next + keyBytes;
      const valueBytes = this.#longVarint(position);
      if (valueBytes < -1) throw corrupt("a negative length");
      position = this.#next + Math.max(valueBytes, 0);
    }
    return position;
  }

  // What lies behind the last byte reads as zero, which ends any varint.

  /** The varint at `position`; `#next` is where it ends. */
  #longVarint(position: number): number {
    let zigzag = 0;
    let next = position;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[next++] ?? 0;
      if (shift === 28 && byte > 0x0f) break;
      zigzag |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      this.#next = next;
      return (zigzag >>> 1) ^ -(zigzag & 1);
    }
    throw corrupt("a varint of more than 32 bits");
  }

  /** The varlong at `position`; `#next` is where it ends. */
  #longVarlong(position: number): number {
    // Four bytes and fewer hold 28 bits, which the bit operators can do.
    let zigzag = 0;
    let next = position;
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.bytes[next++] ?? 0;
      zigzag |= (byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      this.#next = next;
      return (zigzag >>> 1) ^ -(zigzag & 1);
    }
    let magnitude = zigzag >>> 1;
    for (let scale = 2 ** 27; scale < 2 ** 69; scale *= 0x80) {
      const byte = this.bytes[next++] ?? 0;
      magnitude += (byte & 0x7f) * scale;
      if (byte >= 0x80) continue;
      this.#next = next;
      return (zigzag & 1) === 1 ? -magnitude - 1 : magnitude;
    }
    throw corrupt("a varlong of more than ten bytes");
  }
}

function corrupt(reason: string): LogError {
  return new LogError("batch_corrupt", `malformed records: ${reason}`);
}
