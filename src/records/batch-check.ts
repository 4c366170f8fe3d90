import { crc32c, int32At, uint32At } from "../bytes/index.ts";
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  CODEC_BITS,
  CRC_COVERS_FROM,
  FIELD,
  LENGTH_PREFIX_BYTES,
  MAGIC,
} from "./batch-header.ts";
import { codecNames } from "./compression.ts";

/** Why a batch is refused. An expected outcome, so it is returned and not thrown. */
export interface BatchFault {
  readonly code:
    | "batch_corrupt"
    | "batch_invalid"
    | "unsupported_format"
    | "unsupported_compression";
  readonly reason: string;
}

/** Length, attributes, timestamp, offset, key, value and header count take a byte each at least. */
const RECORD_BYTES_MIN = 7;

/**
 * Reads the header of a batch that a producer sent, and judges all that can be judged without
 * decompressing: size, format, CRC, counts, producer fields, codec; and, where the records are not
 * compressed, that they are as many as the header says and fill the batch. Control batches pass; see
 * {@link BatchHeader.isControl}. Records are not looked into.
 *
 * `end` is where the bytes at hand end. `header` holds the fields when nothing is wrong, and
 * anything otherwise.
 */
// hot: once for every produced batch; its cost is that of the CRC, and 3 ns a record that is not compressed.
export function checkBatch(
  bytes: Uint8Array,
  position: number,
  end: number,
  header: BatchHeader,
): BatchFault | undefined {
  return (
    checkFrame(bytes, position, end, header) ??
    checkFields(header) ??
    checkCount(bytes, position, header)
  );
}

/**
 * The same for a batch that is read back from storage, where compaction may have taken records out:
 * there may be fewer records than offsets, or none.
 */
export function checkStoredBatch(
  bytes: Uint8Array,
  position: number,
  end: number,
  header: BatchHeader,
): BatchFault | undefined {
  const fault = checkFrame(bytes, position, end, header);
  if (fault !== undefined) return fault;
  const { recordCount, lastOffsetDelta } = header;
  if (lastOffsetDelta >= 0 && recordCount >= 0 && recordCount <= lastOffsetDelta + 1) {
    return undefined;
  }
  return corrupt(`${recordCount} records cannot span ${lastOffsetDelta + 1} offsets`);
}

/** What holds for every batch, sent or stored: there is one, whole, of this format and as its CRC says. */
function checkFrame(
  bytes: Uint8Array,
  position: number,
  end: number,
  header: BatchHeader,
): BatchFault | undefined {
  const room = end - position;
  // The formats before had their magic byte in the same place and could be shorter.
  if (room <= FIELD.magic) return corrupt(`${room} bytes are too few for a batch`);
  const magic = bytes[position + FIELD.magic];
  if (magic !== MAGIC) {
    return { code: "unsupported_format", reason: `record format ${magic} is not ${MAGIC}` };
  }
  const sizeBytes = LENGTH_PREFIX_BYTES + int32At(bytes, position + FIELD.length);
  if (sizeBytes < BATCH_HEADER_BYTES) return corrupt(`a batch of ${sizeBytes} bytes has no header`);
  if (sizeBytes > room) return corrupt(`a batch of ${sizeBytes} bytes where only ${room} are left`);
  const stored = uint32At(bytes, position + FIELD.crc);
  const computed = crc32c(bytes, position + CRC_COVERS_FROM, position + sizeBytes);
  if (stored !== computed) {
    return corrupt(
      `CRC ${stored.toString(16)} in the batch, ${computed.toString(16)} of its bytes`,
    );
  }
  header.readLoosely(bytes, position);
  const field = header.imprecise;
  return field === undefined ? undefined : invalid(`${field} beyond 2^53`);
}

function checkFields(header: BatchHeader): BatchFault | undefined {
  const { recordCount, lastOffsetDelta } = header;
  const codecBits = header.attributes & CODEC_BITS;
  if (codecNames[codecBits] === undefined) {
    return {
      code: "unsupported_compression",
      reason: `no compression has the number ${codecBits}`,
    };
  }
  if (recordCount < 1 || lastOffsetDelta !== recordCount - 1) {
    return invalid(`${recordCount} records, but the last offset delta is ${lastOffsetDelta}`);
  }
  const recordBytes = header.sizeBytes - BATCH_HEADER_BYTES;
  if (codecBits === 0 && recordCount * RECORD_BYTES_MIN > recordBytes) {
    return invalid(`${recordCount} records do not fit into ${recordBytes} bytes`);
  }
  return checkProducer(header);
}

/** Steps from length to length of records that are not compressed. */
function checkCount(
  bytes: Uint8Array,
  position: number,
  header: BatchHeader,
): BatchFault | undefined {
  if ((header.attributes & CODEC_BITS) !== 0) return undefined;
  const end = position + header.sizeBytes;
  let at = position + BATCH_HEADER_BYTES;
  for (let count = 0; count < header.recordCount; count++) {
    let length = 0;
    let shift = 0;
    let byte = 0x80;
    while (byte >= 0x80 && shift <= 28 && at < end) {
      byte = bytes[at++] ?? 0;
      length |= (byte & 0x7f) << shift;
      shift += 7;
    }
    // Lengths are zig-zag encoded and never negative.
    if (byte >= 0x80 || (length & 1) !== 0) return invalid(`record ${count} has no length`);
    at += length >>> 1;
    if (at > end) return invalid(`record ${count} of ${header.recordCount} passes the batch's end`);
  }
  if (at === end) return undefined;
  return invalid(`${end - at} bytes follow the ${header.recordCount} records of the batch`);
}

function checkProducer(header: BatchHeader): BatchFault | undefined {
  const { producerId, producerEpoch, baseSequence } = header;
  if (producerId < -1) return invalid(`producer id ${producerId}`);
  if (producerId === -1) {
    return header.isTransactional
      ? invalid("a transactional batch without a producer id")
      : undefined;
  }
  if (producerEpoch < 0) return invalid(`producer ${producerId} with epoch ${producerEpoch}`);
  // A marker is no record of the producer's sequence.
  if (baseSequence < 0 && !header.isControl) {
    return invalid(`producer ${producerId} with sequence ${baseSequence}`);
  }
  return undefined;
}

function corrupt(reason: string): BatchFault {
  return { code: "batch_corrupt", reason };
}

function invalid(reason: string): BatchFault {
  return { code: "batch_invalid", reason };
}
