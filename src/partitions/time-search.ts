import { RecordCursor } from "../records/index.ts";
import type { OffsetAndTime, ReadOptions } from "./outcomes.ts";
import type { FetchedBytes } from "../storage/index.ts";

/** Enough for many batches of a usual size, and no more than one large one. */
const readBytes = 256 << 10;

/** What is searched, and how to let others run in between. */
export interface SearchedLog {
  readonly partition: {
    readonly logStartOffset: number;
    readonly highWatermark: number;
    read(
      from: number,
      options: ReadOptions,
    ): FetchedBytes | Promise<FetchedBytes | undefined> | undefined;
  };
  turn(): Promise<void>;
}

interface Found {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

/**
 * The first record at or after `timestampMs`, searched from the batch at `from` on: where the store
 * says that it will be met.
 */
export async function findTime(
  log: SearchedLog,
  from: number | undefined,
  timestampMs: number,
): Promise<OffsetAndTime | undefined> {
  let found: Found | undefined;
  await walk(log, from, (cursor) => {
    if (cursor.header.maxTimestamp < timestampMs) return true;
    const { logStartOffset } = log.partition;
    while (found === undefined && cursor.advance()) {
      if (cursor.timestamp < timestampMs || cursor.offset < logStartOffset) continue;
      found = at(cursor);
    }
    return found === undefined;
  });
  return found;
}

/** The first record with the largest timestamp, by a walk over the whole partition. */
export async function findNewest(log: SearchedLog): Promise<OffsetAndTime | undefined> {
  const { logStartOffset } = log.partition;
  let newest: Found | undefined;
  await walk(log, logStartOffset, (cursor) => {
    if (cursor.header.maxTimestamp <= (newest?.timestampMs ?? -Infinity)) return true;
    while (cursor.advance()) {
      const isNewest = newest === undefined || cursor.timestamp > newest.timestampMs;
      if (isNewest && cursor.offset >= logStartOffset) newest = at(cursor);
    }
    return true;
  });
  return newest;
}

function at(cursor: RecordCursor): Found {
  const { offset, timestamp: timestampMs, header } = cursor;
  return { offset, timestampMs, leaderEpoch: header.leaderEpoch };
}

/** Goes from batch to batch while `look` says to go on; other work runs between two reads. */
async function walk(
  log: SearchedLog,
  from: number | undefined,
  look: (cursor: RecordCursor) => boolean,
): Promise<void> {
  const { partition } = log;
  const cursor = new RecordCursor();
  let next = from;
  while (next !== undefined && next < partition.highWatermark) {
    const start = Math.max(next, partition.logStartOffset);
    const fetched = await partition.read(start, { bytesMax: readBytes, atLeastOneBatch: true });
    if (fetched === undefined) return;
    try {
      next = walkBatches(fetched.bytes, cursor, look);
    } finally {
      fetched.release();
    }
    if (next !== undefined) await log.turn();
  }
}

/** Answers where to go on; undefined where `look` has had enough. */
function walkBatches(
  bytes: Uint8Array,
  cursor: RecordCursor,
  look: (cursor: RecordCursor) => boolean,
): number | undefined {
  for (let position = 0; position < bytes.length; position += cursor.header.sizeBytes) {
    cursor.reset(bytes, position);
    if (!look(cursor)) return undefined;
  }
  return cursor.header.nextOffset;
}
