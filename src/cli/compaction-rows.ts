// What is said of a compaction, of a directory or by a server.
import type { CompactedPartition } from "../values/index.ts";
import type { Row } from "./rows.ts";

/** What is asked before topics are compacted whose settings do not say so. */
export function uncompactedPlan(names: readonly string[]): string {
  return `To be removed, for good: of ${names.join(", ")} all records of which a newer one has the same key. (Without compact in cleanup.policy, it will not be done again by itself.)`;
}

export function compactionRow(
  topic: string,
  { partition, tookMs, ...report }: CompactedPartition,
): Row {
  return { topic, partition, ...report, tookMs: Math.round(tookMs) };
}
