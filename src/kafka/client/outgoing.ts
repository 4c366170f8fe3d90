import { BatchBuilder, type BatchBuilderOptions, type RecordHeader } from "../../records/index.ts";

export interface OutgoingRecord {
  readonly key?: Uint8Array | undefined;
  readonly value?: Uint8Array | undefined;
  readonly headers?: readonly RecordHeader[] | undefined;
  /** Milliseconds since 1970; undefined is now. */
  readonly timestampMs?: number | undefined;
  /** Undefined leaves it to the key. */
  readonly partition?: number | undefined;
}

/** A finished batch on its way. */
export class OutgoingBatch {
  readonly bytes: Uint8Array;
  readonly recordCount: number;
  /** Monotonic time after which it is not tried any more. */
  readonly giveUpMs: number;
  isDone = false;

  constructor(bytes: Uint8Array, recordCount: number, giveUpMs: number) {
    this.bytes = bytes;
    this.recordCount = recordCount;
    this.giveUpMs = giveUpMs;
  }
}

/**
 * What waits to be written to one partition: an open batch, and finished ones in the order of their
 * sequence numbers, of which the first {@link OutgoingQueue.inFlight} are sent and not answered.
 *
 * When one of those fails for a reason that may pass, nothing more is sent until all that are in
 * flight are answered; then everything that is not written goes out again, from the oldest on. So
 * the order is kept, and with it the sequence that the server expects.
 */
export class OutgoingQueue {
  readonly partition: number;
  readonly #builder: BatchBuilder;
  readonly #batches: OutgoingBatch[] = [];
  #inFlight = 0;
  #mustRewind = false;
  /** Failures since something was written. */
  #failures = 0;
  /** Monotonic time before which nothing is sent. */
  #notBeforeMs = 0;

  constructor(partition: number, options: BatchBuilderOptions) {
    this.partition = partition;
    this.#builder = new BatchBuilder(options);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0 && this.#builder.recordCount === 0;
  }

  get openRecordCount(): number {
    return this.#builder.recordCount;
  }

  get openBytes(): number {
    return this.#builder.sizeBytes;
  }

  /** How often in a row sending failed. */
  get failures(): number {
    return this.#failures;
  }

  get notBeforeMs(): number {
    return this.#notBeforeMs;
  }

  get isRewinding(): boolean {
    return this.#mustRewind;
  }

  /** The batch that has waited longest; undefined where none is finished. */
  get oldest(): OutgoingBatch | undefined {
    return this.#batches[0];
  }

  append(record: OutgoingRecord, timestampMs: number): void {
    this.#builder.append(timestampMs, record.key, record.value, record.headers);
  }

  /** Finishes the open batch, which has records. */
  seal(giveUpMs: number): OutgoingBatch {
    const { recordCount } = this.#builder;
    const batch = new OutgoingBatch(this.#builder.finish(), recordCount, giveUpMs);
    this.#batches.push(batch);
    return batch;
  }

  /** The next batch that may be sent, given so many at a time; undefined where none may. */
  sendable(inFlightMax: number, nowMs: number): OutgoingBatch | undefined {
    const mayNot = this.#mustRewind || this.#inFlight >= inFlightMax || nowMs < this.#notBeforeMs;
    return mayNot ? undefined : this.#batches[this.#inFlight];
  }

  /** What {@link OutgoingQueue.sendable} answered is sent. */
  sent(): void {
    this.#inFlight++;
  }

  /** A batch that was sent is written. */
  succeeded(batch: OutgoingBatch): void {
    batch.isDone = true;
    this.#failures = 0;
    this.#inFlight--;
    while (this.#batches[0]?.isDone === true) this.#batches.shift();
  }

  /** A batch that was sent is not written, for now. */
  failed(): void {
    this.#mustRewind = true;
    this.#inFlight--;
  }

  /**
   * Everything in flight is answered after a failure: begins anew, at `notBeforeMs` of so many failures
   * in a row. False while there is nothing to do so for.
   */
  rewind(notBeforeMs: (failures: number) => number): boolean {
    if (!this.#mustRewind || this.#inFlight > 0) return false;
    this.#mustRewind = false;
    this.#notBeforeMs = notBeforeMs(this.#failures);
    this.#failures++;
    const left = this.#batches.filter((batch) => !batch.isDone);
    this.#batches.splice(0, this.#batches.length, ...left);
    return true;
  }
}
