/** The end of a topic. */
import { fromBinary } from "@bufbuild/protobuf";

import { oldestOf, PartitionSource } from "../../broker/index.ts";
import type { Partition } from "../../partitions/index.ts";
import { type TailResponse, TailResponseSchema } from "../../proto/index.ts";
import { positionsOf } from "./log-verbs.ts";
import { rpcLimits } from "./limits.ts";
import { encodeRecord, ReadMessageWriter } from "./read-messages.ts";

/** The last `limit` records of the partitions, or fewer where those are too many bytes. */
export async function tailOf(
  partitions: readonly Partition[],
  limit: number,
): Promise<TailResponse> {
  // Compaction leaves fewer records than offsets, so the window grows until it holds enough.
  for (let window = limit; ; window *= 4) {
    const ends = partitions.map((partition) => {
      const { highWatermark: until, logStartOffset } = partition;
      const from = Math.max(logStartOffset, until - window);
      return new PartitionSource(partition, {
        from,
        until,
        skipsMissing: true,
        reusesMemory: true,
      });
    });
    const isAll = partitions.every((one) => one.highWatermark - window <= one.logStartOffset);
    const last = new LastRecords(limit);
    await last.take(ends);
    if (last.count < limit && !isAll && !last.hasDropped) continue;
    const writer = new ReadMessageWriter(0);
    for (const record of last.records) writer.encoded(record);
    writer.next(positionsOf(ends));
    return fromBinary(TailResponseSchema, writer.take());
  }
}

/** Keeps the last of what it is given. */
class LastRecords {
  readonly records: Buffer[] = [];
  /** Whether records were let go because of their bytes. */
  hasDropped = false;
  readonly #limit: number;
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get count(): number {
    return this.records.length;
  }

  /** Takes everything that the sources have, and closes them. */
  async take(sources: readonly PartitionSource[]): Promise<void> {
    try {
      while (!sources.every((source) => source.isOver)) {
        const empty = sources.filter((source) => !source.hasRecord);
        for (const source of empty) await source.load();
        this.#takeLoaded(sources);
      }
    } finally {
      for (const source of sources) source.close();
    }
  }

  #takeLoaded(sources: readonly PartitionSource[]): void {
    for (let next = oldestOf(sources); next !== undefined; next = oldestOf(sources)) {
      const record = encodeRecord(next.cursor, next.partition.index);
      this.records.push(record);
      this.#bytes += record.length;
      next.take();
      this.#letGo();
    }
  }

  #letGo(): void {
    while (this.count > this.#limit || (this.#bytes > rpcLimits.tailBytesMax && this.count > 1)) {
      if (this.count <= this.#limit) this.hasDropped = true;
      this.#bytes -= this.records.shift()?.length ?? 0;
    }
  }
}
