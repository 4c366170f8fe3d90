/** Records of some partitions, one at a time, merged by their times. */
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import { RecordCursor } from "../records/index.ts";
import type { FetchedBytes } from "../storage/index.ts";

/** Bytes read from a partition at a time: with what a segment needs beside them, a whole piece of pooled memory. */
const READ_BYTES = 192 << 10;

/** Where reading a partition begins and ends. */
export interface SourceRange {
  readonly from: number;
  /** Undefined follows whatever comes. */
  readonly until: number | undefined;
  /** Whether records that are gone before they were read are passed over; else that is an error. */
  readonly skipsMissing: boolean;
  /** Whether the memory of a record may be used again once the next batches are loaded; else views of it stay as they are. */
  readonly reusesMemory?: boolean | undefined;
}

/** One partition that is being read. */
export class PartitionSource {
  readonly partition: Partition;
  readonly cursor = new RecordCursor();
  /** The cursor stands on a record that was not taken yet. */
  hasRecord = false;
  /** Offset to read next: everything before it was taken, or is not there. */
  next: number;
  readonly #range: SourceRange;
  #chunk: Uint8Array = new Uint8Array(0);
  #held: FetchedBytes | undefined;
  /** Where the batch after the cursor's begins. */
  #position = 0;

  constructor(partition: Partition, range: SourceRange) {
    this.partition = partition;
    this.#range = range;
    this.next = range.from;
  }

  /** Whether there is something to read now. */
  get hasMore(): boolean {
    return this.hasRecord || this.next < this.#end;
  }

  /** Whether everything was read that ever will be. */
  get isOver(): boolean {
    return !this.hasRecord && this.next >= (this.#range.until ?? Infinity);
  }

  get #end(): number {
    return Math.min(this.#range.until ?? Infinity, this.partition.highWatermark);
  }

  /** Gives the record up and goes to the next one in memory. */
  take(): void {
    this.next = this.cursor.offset + 1;
    this.hasRecord = false;
    this.#advance();
  }

  /** Gets a record into the cursor, where there is one; a promise where that takes the device. */
  load(): Promise<void> | undefined {
    const { closeReason, logStartOffset } = this.partition;
    if (closeReason !== undefined) throw closeReason;
    if (this.next < logStartOffset && this.#range.skipsMissing) this.next = logStartOffset;
    if (this.next >= this.#end) return undefined;
    const reading = this.partition.read(this.next, {
      bytesMax: READ_BYTES,
      atLeastOneBatch: true,
    });
    if (reading instanceof Promise) return reading.then((fetched) => this.#open(fetched));
    this.#open(reading);
    return undefined;
  }

  /** Gives memory back. The source must not be used any more. Idempotent. */
  close(): void {
    this.#held?.release();
    this.#held = undefined;
  }

  /** Called when the cursor is in other memory than before. */
  protected moved(): void {}

  #open(fetched: FetchedBytes | undefined): void {
    this.close();
    if (fetched === undefined) {
      // Nothing is left behind `next`, though offsets go on: compaction or deletion took it.
      this.next = this.#end;
      return;
    }
    if (this.#range.reusesMemory === true) this.#held = fetched;
    this.#chunk = fetched.bytes;
    this.#position = 0;
    this.#nextBatch();
    this.#advance();
    if (!this.hasRecord) this.next = Math.max(this.next, this.cursor.header.nextOffset);
  }

  // hot: once for every record that is read but by Kafka clients.
  #advance(): void {
    const { cursor } = this;
    for (;;) {
      while (cursor.advance()) {
        if (cursor.offset < this.next) continue;
        this.hasRecord = cursor.offset < this.#end;
        return;
      }
      if (this.#position >= this.#chunk.length) return;
      this.#nextBatch();
    }
  }

  #nextBatch(): void {
    const { cursor } = this;
    cursor.reset(this.#chunk, this.#position);
    this.#position += cursor.header.sizeBytes;
    this.moved();
  }
}

/**
 * The source to take from, where every one of them has its record in memory or none to come: the one
 * whose record has the oldest time. Undefined where some must load first, or none has more.
 */
export function oldestOf<Source extends PartitionSource>(
  sources: readonly Source[],
): Source | undefined {
  let oldest: Source | undefined;
  for (const source of sources) {
    if (!source.hasRecord) {
      if (source.hasMore) return undefined;
      continue;
    }
    if (oldest === undefined || source.cursor.timestamp < oldest.cursor.timestamp) {
      oldest = source;
    }
  }
  return oldest;
}

/**
 * Resolves when some partition has more or is closed, or a signal is aborted.
 * @throws LogError limit_exceeded.
 */
export function whenAdvanced(
  partitions: readonly Partition[],
  signals: readonly AbortSignal[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      for (const partition of partitions) partition.removeWaiter(waiter);
      for (const signal of signals) signal.removeEventListener("abort", aborted);
      settle();
    };
    const waiter = { advanced: () => end(resolve) };
    const aborted = (): void => end(resolve);
    for (const signal of signals) signal.addEventListener("abort", aborted, { once: true });
    if (signals.some((signal) => signal.aborted)) {
      end(resolve);
    } else if (!partitions.every((partition) => partition.addWaiter(waiter))) {
      end(() => reject(new LogError("limit_exceeded", "too many readers wait for one partition")));
    }
  });
}
