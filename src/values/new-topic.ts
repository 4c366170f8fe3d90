/** What a topic is made with, and what one that exists must be. */
import { LogError } from "../errors/index.ts";
import type { NewTopicOptions } from "./store.ts";

/** The settings that the options of a topic stand for. */
export function topicSettings(options: NewTopicOptions): Map<string, string> {
  const { retention, compact = false } = options;
  const trimmed = compact ? "compact,delete" : "delete";
  return new Map([
    // A program's own data goes when the program says so, and not after seven days.
    ["retention.ms", String(retention?.ms ?? -1)],
    ["retention.bytes", String(retention?.bytes ?? -1)],
    ["cordwood.retention.records", String(retention?.records ?? -1)],
    ["cleanup.policy", compact && retention === undefined ? "compact" : trimmed],
    ...Object.entries(options.settings ?? {}),
  ]);
}

/** @throws LogError invalid_partitions where another number of partitions is wanted. */
export function refuseOtherCount(name: string, count: number, wanted: number | undefined): void {
  if (wanted === undefined || wanted === count) return;
  throw new LogError(
    "invalid_partitions",
    `${name} has ${count} partitions, not ${wanted}. Leave the number out to take the topic as it is.`,
  );
}
