import type { LogError } from "../errors/index.ts";
import type { FetchedBytes, PartitionLog, Store } from "../storage/index.ts";
import type { AppendOutcome, ReadOptions } from "./outcomes.ts";
import type { Partition } from "./partition.ts";

/**
 * A partition in the hands of a program that has its store to itself: what clients of a server may
 * not do. It reads what is written before that is durable, without waiting for anything, and decides
 * itself when to write and when to sync.
 */
export class OwnedPartition {
  readonly partition: Partition;
  readonly #log: PartitionLog;
  readonly #store: Store;

  constructor(partition: Partition, log: PartitionLog, store: Store) {
    this.partition = partition;
    this.#log = log;
    this.#store = store;
  }

  get startOffset(): number {
    return this.#log.startOffset;
  }

  /** Offset of the next record. */
  get endOffset(): number {
    return this.#log.endOffset;
  }

  /** End of what {@link OwnedPartition.read} finds. */
  get writtenEndOffset(): number {
    return this.partition.writtenEndOffset;
  }

  /**
   * Appends a batch that this process has built itself; nothing of it is checked again. `bytes` must
   * stay untouched until it is written, which may be before this returns.
   */
  append(bytes: Uint8Array, nowMs: number): AppendOutcome {
    return this.partition.appendBuilt(bytes, nowMs);
  }

  /** Writes what was appended; whoever waits for its frame is told of a failure. */
  write(): void {
    this.#store.flush();
  }

  /**
   * Makes durable all that was written.
   * @throws LogError storage_failed.
   */
  async sync(): Promise<void> {
    await this.#store.syncWal();
  }

  /** The same, and blocks until then. @throws LogError storage_failed. */
  syncNow(): void {
    this.#store.syncWalNow();
  }

  /** Makes segments of what only the write-ahead log has. */
  checkpoint(): Promise<void> {
    return this.#store.checkpoint();
  }

  /**
   * Whole batches from the one that holds `from` on; undefined where nothing is written there.
   * @throws LogError data_corrupt.
   */
  read(from: number, { bytesMax, atLeastOneBatch }: ReadOptions): FetchedBytes | undefined {
    const endOffset = this.writtenEndOffset;
    return this.#log.readNow(from, { bytesMax, endOffset, atLeastOneBatch });
  }

  /** Base offset of a batch from which reading on meets the first record at or after `timestampMs`. */
  seekTime(timestampMs: number): number | undefined {
    return this.#log.seekTime(timestampMs);
  }

  /** Calls back when compaction has removed records that could be read before. */
  whenCompacted(callback: () => void): void {
    this.#log.onCompacted = callback;
  }

  /** Why nothing can be appended any more; undefined while the partition is open. */
  get closeReason(): LogError | undefined {
    return this.partition.closeReason;
  }
}
