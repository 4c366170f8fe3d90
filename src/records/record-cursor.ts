import { LogError } from "../errors/index.ts";
import { BATCH_HEADER_BYTES, BatchHeader } from "./batch-header.ts";
import { decompress, INFLATED_BYTES_MAX } from "./compression.ts";

/** A name and a value beside a record's own; the value may be absent. */
export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

/**
 * Walks the records of one batch after another. The fields tell of the record reached by the last
 * {@link RecordCursor.advance}; starts and ends are positions in {@link RecordCursor.bytes}, both -1
 * where there is no key or no value. Views are valid as long as the memory of the batch is.
 *
 * @example
 * cursor.reset(bytes, 0);
 * while (cursor.advance()) console.log(cursor.offset, cursor.value());
 */
// hot: 4 ns a record; nothing is allocated for a record, nor for a batch that is not compressed.
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
   * Reaches the next record; false behind the last one.
   * @throws LogError batch_corrupt where the bytes are no record, or the records are not as many as the header says.
   */
  advance(): boolean {
    if (this.#left <= 0) {
      if (this.#left === 0 && this.#position !== this.#end) throw corrupt("bytes behind the last");
      return false;
    }
    this.#left--;
    this.recordStart = this.#position;
    const length = this.#varint();
    const recordEnd = this.#position + length;
    if (length < 0 || recordEnd > this.#end) throw corrupt("a record is cut");
    // One byte of attributes, of which none is in use.
    this.#position++;
    this.#readTime();
    this.#readOffset();
    const keyBytes = this.#varint();
    this.keyStart = this.#fieldStart(keyBytes, recordEnd);
    this.keyEnd = keyBytes < 0 ? -1 : this.#position;
    const valueBytes = this.#varint();
    this.valueStart = this.#fieldStart(valueBytes, recordEnd);
    this.valueEnd = valueBytes < 0 ? -1 : this.#position;
    this.headerCount = this.#varint();
    this.#headersStart = this.#position;
    if (this.headerCount !== 0) this.#skipHeaders(recordEnd);
    if (this.#position !== recordEnd) throw corrupt("a record is not as long as it says");
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
    const recordEnd = this.#position;
    this.#position = this.#headersStart;
    for (let index = 0; index < this.headerCount; index++) {
      const key = this.#view(recordEnd);
      const value = this.#view(recordEnd);
      if (key === undefined) throw corrupt("a header without a name");
      found.push({ key: Buffer.from(key.buffer, key.byteOffset, key.length).toString(), value });
    }
    this.#position = recordEnd;
    return found;
  }

  #readTime(): void {
    const delta = this.#varlong();
    const { baseTimestamp, maxTimestamp, isLogAppendTime } = this.header;
    this.timestamp = isLogAppendTime ? maxTimestamp : baseTimestamp + delta;
    if (!Number.isSafeInteger(this.timestamp)) throw corrupt("a timestamp beyond 2^53");
  }

  #readOffset(): void {
    const delta = this.#varint();
    const { baseOffset, lastOffsetDelta } = this.header;
    if (delta <= this.#lastDelta || delta > lastOffsetDelta) throw corrupt("offsets do not rise");
    this.#lastDelta = delta;
    this.offset = baseOffset + delta;
  }

  /** Passes a field of `length` bytes and answers where it began; -1 where it is absent. */
  #fieldStart(length: number, recordEnd: number): number {
    if (length === -1) return -1;
    const start = this.#position;
    if (length < 0 || length > recordEnd - start) throw corrupt("a field passes its record");
    this.#position = start + length;
    return start;
  }

  #skipHeaders(recordEnd: number): void {
    // A header takes two bytes at least, so a lying count ends the walk soon.
    if (this.headerCount < 0 || this.headerCount * 2 > recordEnd - this.#position) {
      throw corrupt(`${this.headerCount} headers`);
    }
    for (let index = 0; index < this.headerCount; index++) {
      if (this.#fieldStart(this.#varint(), recordEnd) < 0) throw corrupt("a header without a name");
      this.#fieldStart(this.#varint(), recordEnd);
    }
  }

  #view(recordEnd: number): Uint8Array | undefined {
    const start = this.#fieldStart(this.#varint(), recordEnd);
    return start < 0 ? undefined : this.bytes.subarray(start, this.#position);
  }

  #byte(): number {
    if (this.#position >= this.#end) throw corrupt("a record is cut");
    return this.bytes[this.#position++] ?? 0;
  }

  #varint(): number {
    let byte = this.#byte();
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    let zigzag = byte & 0x7f;
    for (let shift = 7; byte >= 0x80; shift += 7) {
      byte = this.#byte();
      if (shift === 28 && byte > 0x0f) throw corrupt("a varint of more than 32 bits");
      zigzag |= (byte & 0x7f) << shift;
    }
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }

  #varlong(): number {
    let byte = this.#byte();
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1);
    const isNegative = (byte & 1) === 1;
    let magnitude = (byte >> 1) & 0x3f;
    let scale = 0x40;
    for (let count = 1; byte >= 0x80; count++) {
      if (count === 10) throw corrupt("a varlong of more than ten bytes");
      byte = this.#byte();
      magnitude += (byte & 0x7f) * scale;
      scale *= 0x80;
    }
    return isNegative ? -magnitude - 1 : magnitude;
  }
}

function corrupt(reason: string): LogError {
  return new LogError("batch_corrupt", `malformed records: ${reason}`);
}
