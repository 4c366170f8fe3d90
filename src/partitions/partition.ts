import type { LogError } from "../errors/index.ts";
import type { TopicPolicy } from "../metadata/index.ts";
import type {
  ActiveProducer,
  AdvanceWaiter,
  AppendOutcome,
  EpochEnd,
  OffsetAndTime,
  ReadOptions,
} from "./outcomes.ts";

/** Pooled memory with whole batches; give it back once it is sent. */
export interface FetchedBytes {
  readonly bytes: Uint8Array;
  release(): void;
}

/** One ordered log. */
export declare class Partition {
  private constructor();
  readonly topicId: string;
  readonly index: number;
  /** Of the topic; exchanged when its settings change. */
  get policy(): TopicPolicy;
  get isClosed(): boolean;
  /** First offset that can be read. */
  get logStartOffset(): number;
  /** End of what is durable, hence of what can be read. */
  get highWatermark(): number;
  /** End of what a reader of committed records may see; the high watermark while there are no transactions. */
  get lastStableOffset(): number;
  /** Offset that the next record gets. */
  get logEndOffset(): number;
  get leaderEpoch(): number;
  get sizeBytes(): number;

  /**
   * Checks one batch of a client, numbers it in place and hands it to the store, all before it
   * returns. `bytes` must stay untouched until the outcome's frame is settled.
   */
  append(bytes: Uint8Array, nowMs: number): AppendOutcome;
  /** The same for batches that the product itself writes, also into internal topics. */
  appendInternal(bytes: Uint8Array, nowMs: number): AppendOutcome;
  /**
   * Whole batches up to the high watermark, beginning with the one that holds `from`; undefined where there is nothing yet.
   * @throws LogError offset_out_of_range.
   */
  read(
    from: number,
    options: ReadOptions,
  ): FetchedBytes | Promise<FetchedBytes | undefined> | undefined;
  /** Wakes `waiter` each time the high watermark moves, until it is removed. False where too many wait: it will not be woken. */
  addWaiter(waiter: AdvanceWaiter): boolean;
  removeWaiter(waiter: AdvanceWaiter): void;
  /** First record at or after a time; undefined where there is none. */
  offsetForTime(timestampMs: number): Promise<OffsetAndTime | undefined>;
  /** The record with the largest timestamp. */
  newestRecord(): Promise<OffsetAndTime | undefined>;
  /** Last leader epoch of the records; undefined while there are none. */
  get latestEpoch(): number | undefined;
  /** As OffsetForLeaderEpoch of Kafka answers; undefined where the epoch is above all that are known. */
  endOffsetForEpoch(leaderEpoch: number): EpochEnd | undefined;
  epochOf(offset: number): number | undefined;
  /**
   * Forgets records below `before`, or below the high watermark where that is undefined. Resolves once durable, with the new log start offset.
   * @throws LogError offset_out_of_range, storage_full.
   */
  deleteRecords(before: number | undefined): Promise<number>;
  activeProducers(): ActiveProducer[];
  /** Why the epoch that a client believes in is not this one; undefined where it is, or where it names none. */
  epochFault(currentLeaderEpoch: number | undefined): LogError | undefined;
}
