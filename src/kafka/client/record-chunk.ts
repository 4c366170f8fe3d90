import { RecordCursor } from "../../records/index.ts";

/** Whole batches of one partition, as they were stored. */
export interface RecordChunk {
  readonly topic: string;
  readonly partition: number;
  /** One batch behind another. The memory is the holder's. */
  readonly bytes: Uint8Array;
  /** Records below are not asked for: a batch is given whole. */
  readonly start: number;
  /** Neither are those from here on; Infinity where there is no end. */
  readonly end: number;
  /** Behind the last batch. */
  readonly nextOffset: number;
  readonly highWatermark: number;
}

/** What sees one record after another: fields of the cursor are those of the record, until it returns. */
export type RecordVisitor = (cursor: RecordCursor) => boolean;

/**
 * Shows every record of the chunk that was asked for, without those that the log itself wrote; stops
 * when `visit` answers false, and then answers false.
 * @throws LogError batch_corrupt, limit_exceeded
 */
// hot: once for each record read.
export function eachRecord(
  chunk: RecordChunk,
  cursor: RecordCursor,
  visit: RecordVisitor,
): boolean {
  const { bytes, start, end } = chunk;
  const { header } = cursor;
  for (let position = 0; position < bytes.length; position += header.sizeBytes) {
    header.read(bytes, position);
    const isOutside = header.nextOffset <= start || header.baseOffset >= end;
    if (header.isControl || isOutside) continue;
    cursor.reset(bytes, position);
    if (!eachOfBatch(cursor, chunk, visit)) return false;
  }
  return true;
}

function eachOfBatch(cursor: RecordCursor, chunk: RecordChunk, visit: RecordVisitor): boolean {
  while (cursor.advance()) {
    if (cursor.offset < chunk.start) continue;
    if (cursor.offset >= chunk.end) return true;
    if (!visit(cursor)) return false;
  }
  return true;
}
