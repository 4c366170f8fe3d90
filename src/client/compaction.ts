/** Compaction, done by the server. */
import { TopicService } from "../proto/index.ts";
import type { CompactedPartition } from "../values/index.ts";
import type { Server } from "./server.ts";

/** Which partitions of which topic. */
export interface CompactionOrder {
  readonly topic: string;
  /** All of them, one after another, where absent. */
  readonly partition?: number | undefined;
}

/** Has the server compact a topic, which takes as long as it takes. @throws LogError topic_not_found, unreachable, and of `signal`. */
export async function compactTopic(
  server: Server,
  { topic, partition }: CompactionOrder,
  signal: AbortSignal,
): Promise<CompactedPartition[]> {
  const { partitions } = await server.unary(
    TopicService.method.compactTopic,
    { topic, ...(partition === undefined ? {} : { partition }) },
    { signal },
  );
  return partitions.map((one) => ({
    partition: one.partition,
    passes: one.passes,
    recordsRead: Number(one.recordsRead),
    recordsRemoved: Number(one.recordsRemoved),
    tombstonesRemoved: Number(one.tombstonesRemoved),
    bytesRead: Number(one.bytesRead),
    bytesWritten: Number(one.bytesWritten),
    batchesSkipped: Number(one.batchesSkipped),
    tookMs: Number(one.tookMs),
  }));
}
