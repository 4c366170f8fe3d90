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
  type BatchHeader,
  CODEC_BITS,
  CONTROL_BIT,
  CRC_COVERS_FROM,
  DELETE_HORIZON_BIT,
  FIELD,
  LENGTH_PREFIX_BYTES,
  MAGIC,
  TRANSACTIONAL_BIT,
} from "./batch-header.ts";
import { codecNames, compress } from "./compression.ts";
import type { RecordCursor } from "./record-cursor.ts";

/** The largest distance between a batch's base offset and its last record. */
export const OFFSET_DELTA_MAX = 2 ** 31 - 1;

/** What a rewritten batch is like. */
export interface RewrittenBatch {
  /** Never above the offset of its first record; offsets from there on that have no record stay its own. */
  readonly baseOffset: number;
  /** Codec and kind of timestamps are this batch's, as is the leader epoch. */
  readonly like: BatchHeader;
  /** When its tombstones may go. */
  readonly deleteHorizonMs: number | undefined;
}

/**
 * Makes batches of records that other batches held: each keeps its offset, timestamp, key, value and
 * headers. What a rewritten batch says of its producer is that there is none.
 */
export class BatchRewriter {
  /** Room for the header, then the records as they are before compression. */
  readonly #writer = new ByteWriter(32 << 10);
  #recordCount = 0;
  #baseOffset = 0;
  #leaderEpoch = 0;
  #attributes = 0;
  #deleteHorizonMs: number | undefined;
  #baseTimestamp = 0;
  #maxTimestamp = 0;
  #lastOffset = 0;

  get recordCount(): number {
    return this.#recordCount;
  }

  /** Bytes of the batch as it is now, before compression. */
  get sizeBytes(): number {
    return this.#writer.size;
  }

  get baseOffset(): number {
    return this.#baseOffset;
  }

  /** Behind the last record. */
  get nextOffset(): number {
    return this.#lastOffset + 1;
  }

  /** Whether records of a batch like `like`, with that horizon, may be added to the one that is open. */
  takes(like: BatchHeader, deleteHorizonMs: number | undefined): boolean {
    if (this.#attributes !== attributesOf(like, deleteHorizonMs)) return false;
    if (this.#leaderEpoch !== like.leaderEpoch) return false;
    if (this.#deleteHorizonMs !== deleteHorizonMs) return false;
    // One time for all records of a batch.
    return !like.isLogAppendTime || this.#maxTimestamp === like.maxTimestamp;
  }

  begin({ baseOffset, like, deleteHorizonMs }: RewrittenBatch): void {
    invariant(this.#recordCount === 0, "one batch is rewritten at a time");
    this.#writer.reset();
    this.#writer.reserve(BATCH_HEADER_BYTES);
    this.#baseOffset = baseOffset;
    this.#leaderEpoch = like.leaderEpoch;
    this.#attributes = attributesOf(like, deleteHorizonMs);
    this.#deleteHorizonMs = deleteHorizonMs;
  }

  /** Adds the record that `cursor` stood on when `tail` was {@link recordTail}, and whose bytes end at `end`. */
  // hot: once for every record that is rewritten; bench/compaction.
  // oxlint-disable-next-line max-params -- a record, field by field, so that nothing is made for it
  add(bytes: Uint8Array, tail: number, end: number, offset: number, timestamp: number): void {
    if (this.#recordCount === 0) {
      // Where there is a horizon it takes the place of the base timestamp, to which the others refer.
      this.#baseTimestamp = this.#deleteHorizonMs ?? timestamp;
      this.#maxTimestamp = timestamp;
    }
    const timestampDelta = timestamp - this.#baseTimestamp;
    const offsetDelta = offset - this.#baseOffset;
    invariant(offsetDelta >= 0 && offsetDelta <= OFFSET_DELTA_MAX, "a record within its batch");
    const writer = this.#writer;
    // One byte of attributes, of which none is in use.
    const size = 1 + varlongSize(timestampDelta) + varintSize(offsetDelta) + end - tail;
    writer.varint(size);
    writer.int8(0);
    writer.varlong(timestampDelta);
    writer.varint(offsetDelta);
    writer.bytes(bytes.subarray(tail, end));
    this.#recordCount++;
    this.#lastOffset = offset;
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp;
  }

  /** Appends the batch to `target`; the next one may begin. */
  finish(target: ByteWriter): void {
    invariant(this.#recordCount > 0, "a batch has records");
    const plain = this.#writer.finish();
    const codec = codecNames[this.#attributes & CODEC_BITS] ?? "none";
    if (codec === "none") {
      this.#writeHeader(plain);
      target.bytes(plain);
    } else {
      const records = compress(codec, plain.subarray(BATCH_HEADER_BYTES));
      const batch = new Uint8Array(BATCH_HEADER_BYTES + records.length);
      batch.set(records, BATCH_HEADER_BYTES);
      this.#writeHeader(batch);
      target.bytes(batch);
    }
    this.#recordCount = 0;
  }

  /** Appends a batch without records to `target`, for offsets that no other batch can take in. */
  fill(target: ByteWriter, span: RewrittenBatch & { readonly lastOffset: number }): void {
    this.begin(span);
    this.#attributes = 0;
    this.#baseTimestamp = -1;
    this.#maxTimestamp = -1;
    this.#lastOffset = span.lastOffset;
    const batch = this.#writer.finish();
    this.#writeHeader(batch);
    target.bytes(batch);
  }

  #writeHeader(batch: Uint8Array): void {
    putInt64(batch, FIELD.baseOffset, this.#baseOffset);
    putInt32(batch, FIELD.length, batch.length - LENGTH_PREFIX_BYTES);
    putInt32(batch, FIELD.leaderEpoch, this.#leaderEpoch);
    batch[FIELD.magic] = MAGIC;
    putInt16(batch, FIELD.attributes, this.#attributes);
    putInt32(batch, FIELD.lastOffsetDelta, this.#lastOffset - this.#baseOffset);
    putInt64(batch, FIELD.baseTimestamp, this.#baseTimestamp);
    putInt64(batch, FIELD.maxTimestamp, this.#maxTimestamp);
    putInt64(batch, FIELD.producerId, -1);
    putInt16(batch, FIELD.producerEpoch, -1);
    putInt32(batch, FIELD.baseSequence, -1);
    putInt32(batch, FIELD.recordCount, this.#recordCount);
    putInt32(batch, FIELD.crc, crc32c(batch, CRC_COVERS_FROM));
  }
}

function attributesOf(like: BatchHeader, deleteHorizonMs: number | undefined): number {
  const kept = like.attributes & ~(DELETE_HORIZON_BIT | TRANSACTIONAL_BIT | CONTROL_BIT);
  return deleteHorizonMs === undefined ? kept : kept | DELETE_HORIZON_BIT;
}

/** Where the key of the record that `cursor` stands on begins, with its length: from there on a record is the same in every batch. */
export function recordTail(cursor: RecordCursor): number {
  const { bytes } = cursor;
  // Length, attributes, timestamp and offset: three varints and a byte, which were checked.
  let position = skipVarint(bytes, cursor.recordStart) + 1;
  position = skipVarint(bytes, position);
  return skipVarint(bytes, position);
}

function skipVarint(bytes: Uint8Array, start: number): number {
  let position = start;
  while ((bytes[position] ?? 0) >= 0x80) position++;
  return position + 1;
}
