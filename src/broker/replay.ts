import { LogError } from "../errors/index.ts";
import { type AppendOutcome, type Partition, whenSettled } from "../partitions/index.ts";
import { RecordCursor } from "../records/index.ts";

/** Enough to make the cost of a read small, and no more than the pool keeps for later. */
const readBytes = 1 << 20;

/** Visits every durable record of a partition from offset `from` on, in order. */
export async function replay(
  partition: Partition,
  from: number,
  visit: (record: RecordCursor) => void,
): Promise<void> {
  const cursor = new RecordCursor();
  let next = Math.max(from, partition.logStartOffset);
  while (next < partition.highWatermark) {
    const fetched = await partition.read(next, { bytesMax: readBytes, atLeastOneBatch: true });
    if (fetched === undefined) {
      throw new LogError(
        "data_corrupt",
        `partition ${partition.index} of topic ${partition.topicId} ends at ${partition.highWatermark}, but nothing can be read at ${next}`,
      );
    }
    try {
      next = visitBatches(fetched.bytes, cursor, (record) => {
        if (record.offset >= from) visit(record);
      });
    } finally {
      fetched.release();
    }
  }
}

/** Answers the offset behind the last batch. */
function visitBatches(
  bytes: Uint8Array,
  cursor: RecordCursor,
  visit: (record: RecordCursor) => void,
): number {
  for (let position = 0; position < bytes.length; position += cursor.header.sizeBytes) {
    cursor.reset(bytes, position);
    while (cursor.advance()) visit(cursor);
  }
  return cursor.header.nextOffset;
}

/** Resolves once it is known what became of every batch; then `settled` says it. */
export function allSettled(outcomes: readonly AppendOutcome[]): Promise<void> {
  return new Promise((resolve) => {
    whenSettled(outcomes, resolve);
  });
}
