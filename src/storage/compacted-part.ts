/** How far each log is compacted, kept in checkpoints. The bytes are written down in docs/formats/checkpoint.md. */
import { ByteReader, ByteWriter } from "../bytes/index.ts";

/** Name of the attachment of a checkpoint. */
export const COMPACTED_PARTS = "compaction";
const FORMAT_VERSION = 1;
const NONE = -1;

export interface CompactedPart {
  /** Below it a key has one record at most, but for those that a later record above it replaces. */
  readonly endOffset: number;
  /** When the first tombstone in that part may go; undefined where there is none. */
  readonly tombstonesDueMs: number | undefined;
}

export interface CompactedLog {
  readonly topicId: string;
  readonly partition: number;
  readonly part: CompactedPart;
}

export function encodeCompactedParts(logs: readonly CompactedLog[]): Uint8Array {
  const writer = new ByteWriter();
  writer.int32(FORMAT_VERSION);
  writer.int32(logs.length);
  for (const { topicId, partition, part } of logs) {
    writer.uuid(topicId);
    writer.int32(partition);
    writer.int64(part.endOffset);
    writer.int64(part.tombstonesDueMs ?? NONE);
  }
  return writer.take();
}

/** Of a version that is not known nothing is taken: everything is then compacted once more. */
export function decodeCompactedParts(bytes: Uint8Array | undefined): CompactedLog[] {
  if (bytes === undefined) return [];
  const reader = new ByteReader(bytes);
  if (reader.int32() !== FORMAT_VERSION) return [];
  return Array.from({ length: reader.uint32() }, () => {
    const topicId = reader.uuid();
    const partition = reader.uint32();
    const endOffset = reader.int64();
    const dueMs = reader.int64();
    return {
      topicId,
      partition,
      part: { endOffset, tombstonesDueMs: dueMs === NONE ? undefined : dueMs },
    };
  });
}
