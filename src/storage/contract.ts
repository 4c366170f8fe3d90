/** What a store is told, and what it owes its owner. */
import type { LogError } from "../errors/index.ts";
import type { CompactionProgress } from "../values/index.ts";
import type { FrameEntry } from "./frame.ts";
import type { PartitionLog } from "./partition-log.ts";

/** What an append promises once it is acknowledged. */
export type Durability =
  /** It is on the device. */
  | "fsync"
  /** It was given to the operating system: it survives the process, not the machine. */
  | "os";

export interface StoreOptions {
  readonly directory: string;
  readonly durability: Durability;
  /** A WAL file is left for a new one at this size. Default 64 MiB. */
  readonly walFileBytes?: number;
  /** A segment is closed at this size. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** A segment never has more records, but for a batch that has more by itself. Default: no limit. */
  readonly segmentRecords?: number;
  /**
   * What is written into segments, and merged, is kept apart by the time of the records, at multiples
   * of this since 1970: retention by age lets whole runs go. Default 7 days.
   */
  readonly segmentMs?: number;
  /** A checkpoint is made when the WAL grew by this much, and from a quarter of it on as soon as little is written. Default 1 GiB. */
  readonly checkpointBytes?: number;
  /** The same for batches in the WAL: it bounds the time of a restart. Default 500,000. */
  readonly checkpointBatches?: number;
  /** A checkpoint is made this long after the first write since the last one. Default 5 minutes. */
  readonly checkpointMs?: number;
  /** Compaction writes segments anew in portions of this size, each of which takes effect as a whole. Default 64 MiB. */
  readonly compactionBytes?: number;
  /** Whether {@link Store.syncWalNow} will be called: each WAL file is opened twice then. Default false. */
  readonly syncsNow?: boolean;
  /** Told the duration of each fdatasync of the WAL, in milliseconds. */
  readonly observeSync?: (ms: number) => void;
}

/** What the store owes its owner, who gives the batches a meaning. */
export interface StoreOwner {
  /** During open: a partition of the checkpoint with the owner's state of then, before any batch of it. */
  recoverPartition(log: PartitionLog, state: Uint8Array): void;
  /** During open: each batch after the checkpoint, in order. `entry` is reused. */
  recoverBatch(log: PartitionLog, entry: FrameEntry): void;
  /** All that was appended since the last call is frame `frameSequence`. May come from inside `append`. */
  written(frameSequence: number): void;
  /** All frames up to `frameSequence` are as durable as the store promises. May come from inside `append`. */
  durable(frameSequence: number): void;
  /** The open frame could not be written: nothing appended since the last `written` is in the log. May come from inside `append`. */
  failed(error: LogError): void;
  /** For a checkpoint: the owner's state of a partition after all written frames. */
  snapshot(log: PartitionLog): Uint8Array;
  /** A sync failed. Nothing more is acknowledged; the process must end and recover from what the device has. */
  fatal(error: LogError): void;
}

/** Plain counters, from the start of this process on. */
export interface StoreStats {
  frames: number;
  batches: number;
  bytes: number;
  syncs: number;
  checkpoints: number;
  segments: number;
  failedWrites: number;
  /** Passes of compaction over a log. */
  compactions: number;
  /** Bytes of batches that compaction has read to write them anew, and written. */
  compactionBytesRead: number;
  compactionBytesWritten: number;
  /** Records that it has removed. */
  compactionRecordsRemoved: number;
  /** What it took, waiting included. */
  compactionMs: number;
}

/** What retention keeps of a log; an absent limit keeps all. */
export interface Retention {
  readonly nowMs: number;
  readonly retentionMs?: number;
  readonly retentionBytes?: number;
  /** What lies before this offset goes, also within a run or what only the WAL has. */
  readonly keptFrom?: number;
}

/** How a log is compacted, as Kafka's settings of the same meaning say. */
export interface CompactionPolicy {
  /** How long a tombstone is kept, from the first pass on that meets it. */
  readonly deleteRetentionMs: number;
  /** Records younger than this are left alone. */
  readonly lagMinMs: number;
  /** Where a record has waited for longer than this the log is due. */
  readonly lagMaxMs: number;
  /** The log is due where more than this share of its bytes is not compacted yet. */
  readonly dirtyRatioMin: number;
}

/** What work in the background may take. */
export interface CompactionLimits {
  /** Of what it reads, per second. */
  readonly bytesPerSecondMax: number;
  /** Of this thread's time, between 0 and 1. */
  readonly threadShareMax: number;
}

export interface CompactionOptions extends CompactionPolicy {
  /** Records from here on are left alone. Asked for each pass. */
  readonly endOffset: () => number;
  /** Memory for keys; where they need more, the log is gone through several times. */
  readonly keyBytesMax: number;
  /** For work in the background, which takes what is in segments; without it what only the WAL has is taken too. */
  readonly limits?: CompactionLimits | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: ((progress: CompactionProgress) => void) | undefined;
}
