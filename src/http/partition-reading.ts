/** Reads the records of one partition, a piece of memory at a time. */
import type { Partition } from "../partitions/index.ts";
import { RecordCursor } from "../records/index.ts";

/** Bytes read at a time: with what a segment needs beside them, a whole piece of pooled memory. */
const READ_BYTES = 192 << 10;

export class PartitionReading {
  readonly partition: Partition;
  /** Offset to read next. */
  next: number;
  /** Records that may still be visited. */
  left: number;
  /** Undefined reads whatever becomes durable. */
  readonly #end: number | undefined;
  readonly #cursor = new RecordCursor();

  constructor(
    partition: Partition,
    next: number,
    options: { readonly end?: number | undefined; readonly limit?: number | undefined } = {},
  ) {
    this.partition = partition;
    this.next = next;
    this.#end = options.end;
    this.left = options.limit ?? Infinity;
  }

  /** Whether there is something to read now. */
  get hasMore(): boolean {
    return this.left > 0 && this.next < this.#until;
  }

  /** Whether nothing will ever come. */
  get isDone(): boolean {
    return this.left <= 0 || (this.#end !== undefined && this.next >= this.#end);
  }

  /**
   * Visits the records of one read; records that are gone before they were read are passed over. A
   * promise where that takes the device.
   * @throws LogError data_corrupt, closed, topic_not_found; it may also reject with one.
   */
  step(visit: (cursor: RecordCursor) => void): Promise<void> | undefined {
    const { closeReason, logStartOffset } = this.partition;
    if (closeReason !== undefined) throw closeReason;
    this.next = Math.max(this.next, logStartOffset);
    if (!this.hasMore) return undefined;
    const until = this.#until;
    const options = { bytesMax: READ_BYTES, atLeastOneBatch: true };
    const reading = this.partition.read(this.next, options);
    if (reading instanceof Promise) {
      return reading.then((fetched) => this.#visitAll(fetched, until, visit));
    }
    this.#visitAll(reading, until, visit);
    return undefined;
  }

  get #until(): number {
    return Math.min(this.#end ?? Infinity, this.partition.highWatermark);
  }

  #visitAll(
    fetched: Exclude<ReturnType<Partition["read"]>, Promise<unknown>>,
    until: number,
    visit: (cursor: RecordCursor) => void,
  ): void {
    if (fetched === undefined) {
      // Offsets go on, but compaction or deletion took what had them.
      this.next = until;
      return;
    }
    const cursor = this.#cursor;
    try {
      for (let at = 0; at < fetched.bytes.length; at += cursor.header.sizeBytes) {
        cursor.reset(fetched.bytes, at);
        if (cursor.header.isControl) continue;
        if (!this.#visitBatch(until, visit)) return;
      }
      this.next = Math.min(Math.max(this.next, fetched.nextOffset), until);
    } finally {
      fetched.release();
    }
  }

  /** Whether to go on with the next batch. */
  #visitBatch(until: number, visit: (cursor: RecordCursor) => void): boolean {
    const cursor = this.#cursor;
    while (cursor.advance()) {
      if (cursor.offset < this.next) continue;
      if (cursor.offset >= until) {
        this.next = until;
        return false;
      }
      this.next = cursor.offset + 1;
      visit(cursor);
      if (--this.left <= 0) return false;
    }
    return true;
  }
}
