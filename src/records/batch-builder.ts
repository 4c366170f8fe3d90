import {
  ByteWriter,
  crc32c,
  putInt16,
  putInt32,
  putInt64,
  putVarint,
  putVarlong,
  varintSize,
  varlongSize,
} from "../bytes/index.ts";
import { invariant } from "../errors/index.ts";
import {
  BATCH_HEADER_BYTES,
  CRC_COVERS_FROM,
  FIELD,
  LENGTH_PREFIX_BYTES,
  MAGIC,
  TRANSACTIONAL_BIT,
} from "./batch-header.ts";
import { type Codec, codecNames, compress } from "./compression.ts";
import { headersSize, putHeaders } from "./record-fields.ts";
import type { RecordHeader } from "../values/index.ts";

export interface BatchBuilderOptions {
  readonly codec: Codec;
  /** Given together with `producerEpoch` and `baseSequence`, or not at all. */
  readonly producerId?: number;
  readonly producerEpoch?: number;
  /** Sequence of the first record; the batches after it go on from there. */
  readonly baseSequence?: number;
  readonly isTransactional?: boolean;
  /** Bytes of a batch before compression at most; no limit when absent. */
  readonly bytesMax?: number;
}

const SEQUENCES = 2 ** 31;
/** What the two lengths before a value can grow by. */
const LEAD_BYTES_MAX = 10;

/** Makes batches, one after another. */
export class BatchBuilder {
  readonly #options: BatchBuilderOptions;
  /** Room for the header, then the records as they are before compression. */
  readonly #writer: ByteWriter;
  #recordCount = 0;
  /** Of the first record; meaningless before it. */
  #baseTimestamp = 0;
  #maxTimestamp = 0;
  /** Sequence of the next batch's first record; -1 where the producer has no id. */
  #sequence: number;

  /** `memory` is the builder's until it is not used any more. */
  constructor(options: BatchBuilderOptions, memory = new ByteWriter(1024)) {
    const hasId = (options.producerId ?? -1) >= 0;
    const hasSequence = (options.producerEpoch ?? -1) >= 0 && (options.baseSequence ?? -1) >= 0;
    invariant(hasId === hasSequence, "producer id, epoch and sequence come together");
    invariant(hasId || options.isTransactional !== true, "a transaction has a producer id");
    this.#options = options;
    this.#writer = memory;
    this.#sequence = options.baseSequence ?? -1;
    this.reset();
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Bytes of the batch as it is now, before compression. */
  get sizeBytes(): number {
    return this.#writer.size;
  }

  /**
   * Adds a record, at the offset after the one before; text is stored as UTF-8. False, and nothing is
   * added, where the batch would pass its limit: finish it and try again; on an empty batch it means
   * the record is too large.
   */
  // hot: bench/embedded, the typed topic; no view and no copy of a text's bytes is made.
  append(
    timestampMs: number,
    key: Uint8Array | string | undefined,
    value: Uint8Array | string | undefined,
    headers: readonly RecordHeader[] = noHeaders,
  ): boolean {
    const isFirst = this.#recordCount === 0;
    const timestampDelta = isFirst ? 0 : timestampMs - this.#baseTimestamp;
    const offsetDelta = this.#recordCount;
    const keyBytes = typeof key === "string" ? ByteWriter.stringSize(key) : (key?.length ?? 0);
    // One byte of attributes, of which none is in use.
    const headBytes =
      1 + varlongSize(timestampDelta) + varintSize(offsetDelta) + varintSize(keyBytes) + keyBytes;
    const tailBytes = headersSize(headers);
    const writer = this.#writer;
    const start = writer.size;
    const bytesMax = this.#options.bytesMax ?? Infinity;
    // A character takes a byte at least.
    if (start + headBytes + (value?.length ?? 0) + tailBytes > bytesMax) return false;
    const isText = typeof value === "string";
    const valueBytes = isText ? this.#putText(value, headBytes, tailBytes) : (value?.length ?? 0);
    const bodyBytes = headBytes + varintSize(valueBytes) + valueBytes + tailBytes;
    const end = start + varintSize(bodyBytes) + bodyBytes;
    if (end > bytesMax) return false;
    const bytes = writer.memory(end - start);
    let at = putVarint(bytes, start, bodyBytes);
    bytes[at++] = 0;
    at = putVarlong(bytes, at, timestampDelta);
    at = putVarint(bytes, at, offsetDelta);
    at = putVarint(bytes, at, key === undefined ? -1 : keyBytes);
    if (typeof key === "string") bytes.write(key, at);
    else if (key !== undefined) bytes.set(key, at);
    at += keyBytes;
    at = putVarint(bytes, at, value === undefined ? -1 : valueBytes);
    if (!isText && value !== undefined) bytes.set(value, at);
    writer.filled(putHeaders(bytes, at + valueBytes, headers));
    invariant(writer.size === end, "a record takes the bytes that were counted");
    this.#recordCount++;
    if (isFirst) this.#baseTimestamp = timestampMs;
    this.#maxTimestamp = isFirst ? timestampMs : Math.max(this.#maxTimestamp, timestampMs);
    return true;
  }

  /**
   * Writes the value of the next record to where it belongs, before anything else of the record: how
   * much comes before it depends on its bytes, which are known once it is written. Answers them.
   */
  #putText(text: string, headBytes: number, tailBytes: number): number {
    const writer = this.#writer;
    // A UTF-16 unit never takes more than three bytes.
    const bytes = writer.memory(LEAD_BYTES_MAX + headBytes + text.length * 3 + tailBytes);
    // Where it belongs if it is ASCII, as most text is.
    const at = writer.size + leadBytes(headBytes, text.length, tailBytes);
    const valueBytes = bytes.write(text, at);
    if (valueBytes !== text.length) {
      const place = writer.size + leadBytes(headBytes, valueBytes, tailBytes);
      bytes.copyWithin(place, at, at + valueBytes);
    }
    return valueBytes;
  }

  /** The batch, in memory that is the caller's from now on; the builder begins the next one. */
  finish(baseOffset = 0): Uint8Array<ArrayBuffer> {
    const isPlain = this.#options.codec === "none";
    return this.#finish(isPlain ? this.#writer.take() : this.#compressed(), baseOffset);
  }

  /** The same, in the builder's own memory: valid until the next record is added. */
  finishInPlace(baseOffset = 0): Uint8Array<ArrayBuffer> {
    const isPlain = this.#options.codec === "none";
    return this.#finish(isPlain ? this.#writer.finish() : this.#compressed(), baseOffset);
  }

  #finish(batch: Uint8Array<ArrayBuffer>, baseOffset: number): Uint8Array<ArrayBuffer> {
    invariant(this.#recordCount > 0, "a batch has records");
    this.#writeHeader(batch, baseOffset);
    if (this.#sequence >= 0) this.#sequence = (this.#sequence + this.#recordCount) % SEQUENCES;
    this.reset();
    return batch;
  }

  /** Forgets the records that are not in a finished batch. */
  reset(): void {
    this.#recordCount = 0;
    this.#writer.reset();
    this.#writer.reserve(BATCH_HEADER_BYTES);
  }

  #compressed(): Uint8Array<ArrayBuffer> {
    const records = compress(
      this.#options.codec,
      this.#writer.finish().subarray(BATCH_HEADER_BYTES),
    );
    const batch = new Uint8Array(BATCH_HEADER_BYTES + records.length);
    batch.set(records, BATCH_HEADER_BYTES);
    return batch;
  }

  #writeHeader(batch: Uint8Array, baseOffset: number): void {
    const { codec, producerId, producerEpoch, isTransactional } = this.#options;
    const attributes = codecNames.indexOf(codec) | (isTransactional ? TRANSACTIONAL_BIT : 0);
    putInt64(batch, FIELD.baseOffset, baseOffset);
    putInt32(batch, FIELD.length, batch.length - LENGTH_PREFIX_BYTES);
    putInt32(batch, FIELD.leaderEpoch, -1);
    batch[FIELD.magic] = MAGIC;
    putInt16(batch, FIELD.attributes, attributes);
    putInt32(batch, FIELD.lastOffsetDelta, this.#recordCount - 1);
    putInt64(batch, FIELD.baseTimestamp, this.#baseTimestamp);
    putInt64(batch, FIELD.maxTimestamp, this.#maxTimestamp);
    putInt64(batch, FIELD.producerId, producerId ?? -1);
    putInt16(batch, FIELD.producerEpoch, producerEpoch ?? -1);
    putInt32(batch, FIELD.baseSequence, this.#sequence);
    putInt32(batch, FIELD.recordCount, this.#recordCount);
    putInt32(batch, FIELD.crc, crc32c(batch, CRC_COVERS_FROM));
  }
}

/** Bytes of a record before its value, where the value has so many. */
function leadBytes(headBytes: number, valueBytes: number, tailBytes: number): number {
  const lengthBytes = varintSize(valueBytes);
  return varintSize(headBytes + lengthBytes + valueBytes + tailBytes) + headBytes + lengthBytes;
}

const noHeaders: readonly RecordHeader[] = Object.freeze([]);
