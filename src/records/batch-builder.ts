import {
  ByteWriter,
  crc32c,
  putInt16,
  putInt32,
  putInt64,
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

/** Makes batches, one after another. */
export class BatchBuilder {
  readonly #options: BatchBuilderOptions;
  /** Room for the header, then the records as they are before compression. */
  readonly #writer = new ByteWriter(1024);
  #recordCount = 0;
  /** Of the first record; meaningless before it. */
  #baseTimestamp = 0;
  #maxTimestamp = 0;
  /** Sequence of the next batch's first record; -1 where the producer has no id. */
  #sequence: number;

  constructor(options: BatchBuilderOptions) {
    const hasId = (options.producerId ?? -1) >= 0;
    const hasSequence = (options.producerEpoch ?? -1) >= 0 && (options.baseSequence ?? -1) >= 0;
    invariant(hasId === hasSequence, "producer id, epoch and sequence come together");
    invariant(hasId || options.isTransactional !== true, "a transaction has a producer id");
    this.#options = options;
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
   * Adds a record, at the offset after the one before. False, and nothing is added, where the batch
   * would pass its limit: finish it and try again; on an empty batch it means the record is too large.
   */
  append(
    timestampMs: number,
    key: Uint8Array | undefined,
    value: Uint8Array | undefined,
    headers: readonly RecordHeader[] = [],
  ): boolean {
    const isFirst = this.#recordCount === 0;
    const timestampDelta = isFirst ? 0 : timestampMs - this.#baseTimestamp;
    const offsetDelta = this.#recordCount;
    // One byte of attributes, of which none is in use.
    const bodyBytes =
      1 +
      varlongSize(timestampDelta) +
      varintSize(offsetDelta) +
      fieldSize(key) +
      fieldSize(value) +
      headersSize(headers);
    const writer = this.#writer;
    const sizeBytes = writer.size + varintSize(bodyBytes) + bodyBytes;
    if (sizeBytes > (this.#options.bytesMax ?? Infinity)) return false;
    writer.varint(bodyBytes);
    writer.int8(0);
    writer.varlong(timestampDelta);
    writer.varint(offsetDelta);
    writeField(writer, key);
    writeField(writer, value);
    writeHeaders(writer, headers);
    invariant(writer.size === sizeBytes, "a record takes the bytes that were counted");
    this.#recordCount++;
    if (isFirst) this.#baseTimestamp = timestampMs;
    this.#maxTimestamp = isFirst ? timestampMs : Math.max(this.#maxTimestamp, timestampMs);
    return true;
  }

  /** The batch, in memory that is the caller's from now on; the builder begins the next one. */
  finish(baseOffset = 0): Uint8Array<ArrayBuffer> {
    invariant(this.#recordCount > 0, "a batch has records");
    const batch = this.#compressed();
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
    const { codec } = this.#options;
    if (codec === "none") return this.#writer.take();
    const records = compress(codec, this.#writer.finish().subarray(BATCH_HEADER_BYTES));
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

/** Bytes of a length and what it counts; -1 is the length of what is absent. */
function fieldSize(field: Uint8Array | undefined): number {
  return field === undefined ? 1 : varintSize(field.length) + field.length;
}

function writeField(writer: ByteWriter, field: Uint8Array | undefined): void {
  writer.varint(field === undefined ? -1 : field.length);
  if (field !== undefined) writer.bytes(field);
}

function headersSize(headers: readonly RecordHeader[]): number {
  let size = varintSize(headers.length);
  for (const { key, value } of headers) {
    const keyBytes = ByteWriter.stringSize(key);
    size += varintSize(keyBytes) + keyBytes + fieldSize(value);
  }
  return size;
}

function writeHeaders(writer: ByteWriter, headers: readonly RecordHeader[]): void {
  writer.varint(headers.length);
  for (const { key, value } of headers) {
    writer.varint(ByteWriter.stringSize(key));
    writer.string(key);
    writeField(writer, value);
  }
}
