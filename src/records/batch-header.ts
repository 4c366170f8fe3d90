import { crc32c, int32At, memoryOf, putInt32, putInt64 } from "../bytes/index.ts";
import { LogError } from "../errors/index.ts";
import { type Codec, codecNames } from "./compression.ts";

/** Bytes of a batch before its records. */
export const BATCH_HEADER_BYTES = 61;
/** The only format there is here. */
export const MAGIC = 2;

/** Base offset and length: what the length field does not count. */
export const LENGTH_PREFIX_BYTES = 12;
/** Everything from here on is under the CRC. */
export const CRC_COVERS_FROM = 21;

/** Where the fields are, in bytes from the start of the batch. */
export const FIELD = {
  baseOffset: 0,
  length: 8,
  leaderEpoch: 12,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  producerEpoch: 51,
  baseSequence: 53,
  recordCount: 57,
} as const;

export const CODEC_BITS = 0x07;
const LOG_APPEND_TIME_BIT = 0x08;
export const TRANSACTIONAL_BIT = 0x10;
export const CONTROL_BIT = 0x20;
/** The base timestamp is the time from which on compaction may remove the batch's tombstones (KIP-534). */
export const DELETE_HORIZON_BIT = 0x40;

/**
 * The fixed fields of a batch, as they stand on the wire: -1 where a producer id, epoch, sequence or
 * leader epoch is absent. One object is read into again and again.
 */
export class BatchHeader {
  baseOffset = 0;
  /** Of the whole batch, with its base offset and length. */
  sizeBytes = 0;
  leaderEpoch = 0;
  magic = 0;
  /** As stored, unsigned; not checked by reading. */
  crc = 0;
  attributes = 0;
  lastOffsetDelta = 0;
  baseTimestamp = 0;
  maxTimestamp = 0;
  producerId = 0;
  producerEpoch = 0;
  baseSequence = 0;
  recordCount = 0;

  /**
   * Reads the fields at `position`, where {@link BATCH_HEADER_BYTES} must be; checks nothing else.
   * @throws LogError batch_corrupt where a 64-bit field is no safe integer.
   */
  read(bytes: Uint8Array, position: number): void {
    this.readLoosely(bytes, position);
    const field = this.imprecise;
    if (field === undefined) return;
    throw new LogError("batch_corrupt", `the ${field} of the batch at ${position} is beyond 2^53`);
  }

  /** The same, but what is no safe integer is told by {@link BatchHeader.imprecise}. */
  // hot: once for every batch, without allocation.
  readLoosely(bytes: Uint8Array, position: number): void {
    const memory = memoryOf(bytes);
    const at = bytes.byteOffset + position;
    this.baseOffset = looseInt64(memory, at + FIELD.baseOffset);
    this.sizeBytes = LENGTH_PREFIX_BYTES + memory.getInt32(at + FIELD.length);
    this.leaderEpoch = memory.getInt32(at + FIELD.leaderEpoch);
    this.magic = memory.getInt8(at + FIELD.magic);
    this.crc = memory.getUint32(at + FIELD.crc);
    this.attributes = memory.getInt16(at + FIELD.attributes);
    this.lastOffsetDelta = memory.getInt32(at + FIELD.lastOffsetDelta);
    this.baseTimestamp = looseInt64(memory, at + FIELD.baseTimestamp);
    this.maxTimestamp = looseInt64(memory, at + FIELD.maxTimestamp);
    this.producerId = looseInt64(memory, at + FIELD.producerId);
    this.producerEpoch = memory.getInt16(at + FIELD.producerEpoch);
    this.baseSequence = memory.getInt32(at + FIELD.baseSequence);
    this.recordCount = memory.getInt32(at + FIELD.recordCount);
  }

  /** Which 64-bit field is no safe integer. */
  get imprecise(): "base offset" | "producer id" | "timestamp" | undefined {
    if (!Number.isSafeInteger(this.baseOffset)) return "base offset";
    if (!Number.isSafeInteger(this.producerId)) return "producer id";
    const { baseTimestamp, maxTimestamp } = this;
    const isTimed = Number.isSafeInteger(baseTimestamp) && Number.isSafeInteger(maxTimestamp);
    return isTimed ? undefined : "timestamp";
  }

  get lastOffset(): number {
    return this.baseOffset + this.lastOffsetDelta;
  }

  /** Offset of whatever follows this batch. */
  get nextOffset(): number {
    return this.baseOffset + this.lastOffsetDelta + 1;
  }

  /** @throws LogError unsupported_compression for bits that mean no codec; a checked batch has none. */
  get codec(): Codec {
    const codec = codecNames[this.attributes & CODEC_BITS];
    if (codec !== undefined) return codec;
    const bits = this.attributes & CODEC_BITS;
    throw new LogError("unsupported_compression", `no compression has the number ${bits}`);
  }

  get isLogAppendTime(): boolean {
    return (this.attributes & LOG_APPEND_TIME_BIT) !== 0;
  }

  get isTransactional(): boolean {
    return (this.attributes & TRANSACTIONAL_BIT) !== 0;
  }

  /** A marker written by a coordinator. A client has no business sending one; the caller refuses it. */
  get isControl(): boolean {
    return (this.attributes & CONTROL_BIT) !== 0;
  }

  /** When compaction may remove the tombstones of a batch that it has written; undefined where it has not said. */
  get deleteHorizonMs(): number | undefined {
    return (this.attributes & DELETE_HORIZON_BIT) === 0 ? undefined : this.baseTimestamp;
  }
}

/** Values past 2^53 are rounded, but never back into the safe range. */
function looseInt64(memory: DataView, at: number): number {
  return memory.getInt32(at) * 0x1_0000_0000 + memory.getUint32(at + 4);
}

/** Gives the batch at `position` its place in the log. Both fields lie outside the CRC. */
export function patchBatch(
  bytes: Uint8Array,
  position: number,
  baseOffset: number,
  leaderEpoch: number,
): void {
  putInt64(bytes, position + FIELD.baseOffset, baseOffset);
  putInt32(bytes, position + FIELD.leaderEpoch, leaderEpoch);
}

/** Makes `nowMs` the time of every record of the checked batch at `position`, and its CRC right again. */
export function patchLogAppendTime(bytes: Uint8Array, position: number, nowMs: number): void {
  const low = position + FIELD.attributes + 1;
  bytes[low] = (bytes[low] ?? 0) | LOG_APPEND_TIME_BIT;
  putInt64(bytes, position + FIELD.maxTimestamp, nowMs);
  const end = position + LENGTH_PREFIX_BYTES + int32At(bytes, position + FIELD.length);
  putInt32(bytes, position + FIELD.crc, crc32c(bytes, position + CRC_COVERS_FROM, end));
}
