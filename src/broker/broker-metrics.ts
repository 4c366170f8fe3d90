import {
  type Counter,
  exponentialBounds,
  type Histogram,
  type MetricRegistry,
} from "../metrics/index.ts";
import type { AppendCounters } from "../partitions/index.ts";
import type { BrokerStats } from "./broker.ts";

/** What the broker counts while it works. */
export interface BrokerMetrics {
  readonly appended: AppendCounters;
  readonly fetches: Counter;
  readonly fetchedBytes: Counter;
  readonly syncSeconds: Histogram;
}

/** Registers what is counted on the way, and what is read off when somebody asks. */
export function registerMetrics(
  registry: MetricRegistry,
  stats: () => BrokerStats | undefined,
): BrokerMetrics {
  const read = (name: string, help: string, of: (stats: BrokerStats) => number): void => {
    registry.gauge(name, help, () => {
      const now = stats();
      return now === undefined ? 0 : of(now);
    });
  };
  read("cordwood_topics", "Topics, internal ones too.", ({ topics }) => topics);
  read("cordwood_partitions", "Partitions that are open.", ({ partitions }) => partitions);
  read("cordwood_groups", "Groups of consumers.", ({ groups }) => groups);
  read("cordwood_waiting_fetches", "Fetches that wait for records.", (now) => now.waitingFetches);
  read("cordwood_wal_bytes", "Bytes of the write-ahead log.", ({ walBytes }) => walBytes);
  read("cordwood_checkpoints", "Checkpoints since the start.", ({ store }) => store.checkpoints);
  read(
    "cordwood_compactions",
    "Passes of compaction over a partition since the start.",
    ({ store }) => store.compactions,
  );
  read(
    "cordwood_compaction_bytes_read",
    "Bytes of batches that compaction has read since the start to write them anew.",
    ({ store }) => store.compactionBytesRead,
  );
  read(
    "cordwood_compaction_bytes_written",
    "Bytes of batches that compaction has written since the start.",
    ({ store }) => store.compactionBytesWritten,
  );
  read(
    "cordwood_compaction_records_removed",
    "Records that compaction has removed since the start.",
    ({ store }) => store.compactionRecordsRemoved,
  );
  read(
    "cordwood_compaction_seconds",
    "Time that compactions have taken since the start, pauses included.",
    ({ store }) => store.compactionMs / 1000,
  );
  read(
    "cordwood_failed_writes",
    "Frames since the start that could not be written, as on a full disk.",
    ({ store }) => store.failedWrites,
  );
  return {
    appended: {
      batches: registry.counter("cordwood_appended_batches_total", "Batches appended."),
      records: registry.counter("cordwood_appended_records_total", "Records appended."),
      bytes: registry.counter("cordwood_appended_bytes_total", "Bytes of batches appended."),
      duplicates: registry.counter(
        "cordwood_duplicate_batches_total",
        "Batches of idempotent producers that were in the log already.",
      ),
      frames: registry.counter("cordwood_wal_frames_total", "Frames written to the log."),
    },
    fetches: registry.counter("cordwood_fetches_total", "Fetches answered."),
    fetchedBytes: registry.counter("cordwood_fetched_bytes_total", "Bytes of batches fetched."),
    syncSeconds: registry.histogram(
      "cordwood_wal_sync_seconds",
      "How long the device took to make the write-ahead log durable.",
      exponentialBounds(0.0001, 2, 17),
    ),
  };
}
