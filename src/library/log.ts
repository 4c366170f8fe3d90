/** One log of bytes that this process writes: synchronous, and as fast as memory. */
import { invariant, LogError } from "../errors/index.ts";
import type { OwnedPartition, PendingFrame } from "../partitions/index.ts";
import { BatchBuilder, BatchSlab, RecordCursor, type RecordHeader } from "../records/index.ts";
import { verifyStore, type VerifyReport } from "../storage/index.ts";
import type {
  BackupOptions,
  BackupReport,
  CompactionReport,
  CompactTopicOptions,
  Metrics,
} from "../values/index.ts";
import { backupTo } from "./backup.ts";
import type { Engine } from "./engine.ts";
import { type LogRecord, ownRecord } from "./log-scan.ts";
import { readMetrics } from "./metrics.ts";
import { type LogSource, ReadableLog } from "./readable-log.ts";

/** The store writes by itself when this much was handed over, so no more of whole batches ever waits. */
const WRITE_BYTES = 64 << 10;
/** Records that retention by count lets pile up before it moves the start. */
const RETENTION_SLACK_MIN = 1024;

/**
 * What an append promises when it returns, and {@link Log.flush} in any case promises the device.
 * `fsync`: nothing yet, but the device follows by itself at the end of the turn of the event loop.
 * `os`: the operating system has it, so it survives the process. `buffered`: nothing; the operating
 * system has it at the end of the turn, or 64 KiB later.
 */
export type LogDurability = "fsync" | "os" | "buffered";

export interface LogAppendOptions {
  readonly key?: Uint8Array | undefined;
  readonly headers?: readonly RecordHeader[] | undefined;
  /** Milliseconds since 1970; now where absent. */
  readonly timestamp?: number | undefined;
}

export interface LogParts {
  readonly place: string;
  readonly engine: Engine;
  readonly partition: OwnedPartition;
  readonly durability: LogDurability;
  readonly batchBytes: number;
  readonly cacheBytes: number;
  readonly recordsMax: number;
}

/** Numbers of a log since it was opened. */
export interface LogStats {
  readonly batches: number;
  readonly bytes: number;
  readonly frames: number;
  readonly syncs: number;
  readonly checkpoints: number;
  readonly segments: number;
  readonly metrics: Metrics;
}

/**
 * A log of bytes in a directory of its own.
 *
 * When a write fails, what was appended since the last one is not in the log and later appends must
 * not take its place: from then on everything throws why, until the log is closed and opened anew.
 *
 * @example
 * await using log = await openLog("./wal");
 * const offset = log.append(Buffer.from("hello"));
 * await log.flush();
 * log.read(offset).value;
 */
export class Log extends ReadableLog implements AsyncDisposable {
  readonly #engine: Engine;
  /** As the user named it. */
  readonly #place: string;
  readonly #partition: OwnedPartition;
  readonly #durability: LogDurability;
  readonly #recordsMax: number;
  readonly #slab: BatchSlab;
  /** Each append is written before it returns. */
  readonly #writesEach: boolean;
  /** Offset of the next record. */
  #endOffset: number;
  /** Offset of the first record in the slab. */
  #pendingBase: number;
  /** The slab takes records. */
  #isOpen = false;
  #isTurnDue = false;
  readonly #endTurn = (): void => {
    this.#isTurnDue = false;
    if (this.#failure === undefined) this.#write();
  };
  /** The frame of the batch handed over last. */
  #frame: PendingFrame | undefined;
  /** Why nothing is taken any more. */
  #failure: LogError | undefined;
  /** The flush that those join who come before it has begun to write. */
  #nextFlush: Promise<void> | undefined;
  #runningFlush: Promise<void> = Promise.resolve();
  readonly #cursor = new RecordCursor();
  /** Aborted with the failure, for what waits. */
  readonly #ending = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(parts: LogParts) {
    const { engine, partition, batchBytes } = parts;
    const source = new WrittenLog(partition, {
      refuse: () => this.#refuseIfFailed(),
      settle: () => this.#settle(),
    });
    super(engine.directory, source, parts.cacheBytes);
    this.#engine = engine;
    this.#place = parts.place;
    this.#partition = partition;
    this.#durability = parts.durability;
    this.#recordsMax = parts.recordsMax;
    this.#slab = new BatchSlab(WRITE_BYTES + 2 * batchBytes, batchBytes);
    this.#writesEach = parts.durability === "os";
    this.#endOffset = partition.endOffset;
    this.#pendingBase = partition.endOffset;
    partition.whenCompacted(() => this.forget());
  }

  override get endOffset(): number {
    return this.#endOffset;
  }

  // hot: bench/embedded
  /**
   * Appends a record and returns its offset. It can be read by this process at once; see
   * {@link LogDurability} for what else is promised.
   * @throws LogError record_too_large, storage_full, storage_failed, closed, invalid_argument.
   */
  append(value: Uint8Array, options?: LogAppendOptions): number {
    const isTaken =
      options === undefined && value instanceof Uint8Array && this.#slab.append(value);
    if (!isTaken) this.#appendSlowly(value, options);
    const offset = this.#endOffset++;
    if (this.#writesEach) this.#writeOne();
    return offset;
  }

  /**
   * Appends records as one batch, of which a crash leaves all or none. Returns the offset of the first.
   * @throws LogError as {@link Log.append}.
   */
  appendBatch(values: readonly Uint8Array[]): number {
    this.#refuseIfFailed();
    let bytes = 0;
    for (const value of values) bytes += checkedValue(value).length;
    this.#seal();
    this.#open();
    const base = this.#endOffset;
    const slab = this.#slab;
    if (!slab.fits(values.length, bytes)) {
      this.#write();
      this.#open();
    }
    if (slab.fits(values.length, bytes)) {
      slab.widen();
      for (const value of values) slab.append(value);
      this.#endOffset += values.length;
      this.#seal();
    } else {
      this.#appendLarge(values.map((value) => ({ value })));
    }
    if (this.#writesEach) this.#write();
    this.#refuseIfFailed();
    return base;
  }

  /** Says that a key has no value any more, by a record without one; compaction removes the key in time. */
  delete(key: Uint8Array, options: Omit<LogAppendOptions, "key"> = {}): number {
    this.#refuseIfFailed();
    this.#put(undefined, { ...options, key });
    const offset = this.#endOffset++;
    if (this.#writesEach) this.#writeOne();
    return offset;
  }

  /** One record; negative offsets count from the end. @throws LogError offset_out_of_range, data_corrupt, closed. */
  override read(offset: number): LogRecord {
    const at = offset < 0 ? this.#endOffset + offset : offset;
    const isPending = at >= this.#pendingBase && at < this.#endOffset;
    if (!isPending || !Number.isInteger(at)) return super.read(offset);
    const cursor = this.#cursor;
    const { bytes, timestamp } = this.#slab;
    const index = at - this.#pendingBase;
    cursor.resetOpen(bytes, this.#slab.recordStart(index), 0, timestamp);
    cursor.advance();
    return { ...ownRecord(cursor), offset: at };
  }

  /**
   * Resolves when everything appended before the call is on the device. Calls at the same time share
   * one sync.
   * @throws LogError storage_full, storage_failed, closed.
   */
  flush(): Promise<void> {
    this.#nextFlush ??= this.#flushAfter(this.#runningFlush);
    return this.#nextFlush;
  }

  async #flushAfter(before: Promise<void>): Promise<void> {
    // Whoever waits for the one before is told of its failure; this one meets it again.
    await before.catch(() => undefined);
    this.#runningFlush = this.#nextFlush ?? this.#runningFlush;
    this.#nextFlush = undefined;
    this.#refuseIfFailed();
    this.#write();
    this.#refuseIfFailed();
    if (this.#durability === "fsync") await this.#frameSettled();
    else await this.#partition.sync();
    this.#refuseIfFailed();
  }

  async #frameSettled(): Promise<void> {
    const frame = this.#frame;
    if (frame === undefined || frame.isSettled) return;
    await new Promise<void>((resolve) => {
      frame.whenSettled(resolve);
    });
    if (frame.error !== undefined) throw frame.error;
  }

  /**
   * The same, and blocks the event loop until then. It takes as long as the device and no longer, where
   * {@link Log.flush} takes a way through another thread too; it is shared with nobody.
   * @throws LogError storage_full, storage_failed, closed.
   */
  flushSync(): void {
    this.#refuseIfFailed();
    this.#write();
    this.#refuseIfFailed();
    this.#partition.syncNow();
  }

  /**
   * Removes the records before `offset`. Resolves, with the new first offset, when that is durable;
   * files go with the next checkpoint.
   * @throws LogError offset_out_of_range.
   */
  async truncateBefore(offset: number): Promise<number> {
    this.#refuseIfFailed();
    if (offset > this.#partition.partition.highWatermark) await this.flush();
    return this.#partition.partition.deleteRecords(offset);
  }

  /**
   * Keeps the newest record of each key only, and records without a key. Offsets stay as they are: a
   * scan passes over what is gone, and `read` says that it is. Appending and reading go on meanwhile;
   * what was done before a failure or a cancellation stays done.
   * @throws LogError cancelled, closed, storage_full, storage_failed, data_corrupt.
   */
  async compact(options: Omit<CompactTopicOptions, "partition"> = {}): Promise<CompactionReport> {
    this.#settle();
    const { topicId } = this.#partition.partition;
    const [report] = await this.#engine.broker.compactTopic({ topicId }, options);
    invariant(report !== undefined, "a log has one partition");
    const { partition: _, ...compacted } = report;
    return compacted;
  }

  /** Makes segments of what only the write-ahead log has: the next opening is quick then. */
  async checkpoint(): Promise<void> {
    this.#settle();
    await this.#partition.checkpoint();
  }

  /**
   * Checks every checksum, chain and index of the directory, and blocks until that is done.
   * `progress` is told the bytes that were looked at so far.
   */
  verify(progress: (bytesChecked: number) => void = () => undefined): VerifyReport {
    this.#settle();
    return verifyStore(this.#engine.env.disk, this.directory, progress);
  }

  /**
   * Brings a backup in another directory up to date: everything appended before the call is in it.
   * Appending goes on meanwhile; segments are copied once only. With `follow` it stays so.
   * @throws LogError unsupported, storage_full, storage_failed, cancelled, handler_failed, closed.
   */
  async backup(to: string, options: BackupOptions = {}): Promise<BackupReport> {
    this.#refuseIfFailed();
    const { env, directory, broker } = this.#engine;
    const from = {
      env,
      directory,
      place: this.#place,
      ending: this.#ending.signal,
      settle: () => this.flush(),
      checkpoint: () => this.checkpoint(),
      counts: () => {
        const { store, walBytes } = broker.stats();
        return { frames: store.frames, walBytes };
      },
    };
    return backupTo(from, to, options);
  }

  stats(): LogStats {
    const { batches, bytes, frames, syncs, checkpoints, segments } =
      this.#engine.broker.stats().store;
    const metrics = readMetrics(this.#engine.metrics);
    return { batches, bytes, frames, syncs, checkpoints, segments, metrics };
  }

  /** Writes what was appended, syncs it, and lets the directory go. Idempotent. @throws LogError of a write that failed. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    try {
      if (this.#failure === undefined) this.#write();
      this.#refuseIfFailed();
    } finally {
      this.#failure ??= new LogError("closed", `the log ${this.directory} is closed`);
      this.#shut();
      this.forget();
      await this.#engine.broker.close();
    }
  }

  /** The store has failed for good. */
  fail(error: LogError): void {
    this.#failure ??= error;
    this.#shut();
  }

  #shut(): void {
    this.#ending.abort(this.#failure);
    this.#slab.clear();
    this.#isOpen = false;
    this.#endOffset = this.#partition.endOffset;
    this.#pendingBase = this.#endOffset;
  }

  #refuseIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Everything appended becomes readable from the files. */
  #settle(): void {
    this.#refuseIfFailed();
    if (this.#slab.recordCount > 0) this.#write();
    this.#refuseIfFailed();
  }

  /** What the quick way did not take: the first of a turn, one that has no room, one with a key. */
  #appendSlowly(value: Uint8Array, options: LogAppendOptions | undefined): void {
    this.#refuseIfFailed();
    const checked = checkedValue(value);
    this.#open();
    if (options === undefined && this.#slab.append(checked)) return;
    this.#put(checked, options);
  }

  #put(value: Uint8Array | undefined, options: LogAppendOptions = {}): void {
    this.#open();
    if (this.#take(value, options)) return;
    this.#seal();
    this.#refuseIfFailed();
    this.#open();
    if (this.#take(value, options)) return;
    // Larger than a batch is meant to be.
    this.#write();
    this.#refuseIfFailed();
    this.#open();
    this.#slab.widen();
    if (this.#take(value, options)) return;
    this.#appendLarge([{ ...options, value }]);
    this.#refuseIfFailed();
    this.#endOffset--;
  }

  #take(value: Uint8Array | undefined, options: LogAppendOptions): boolean {
    const { key, headers = noHeaders, timestamp } = options;
    return this.#slab.appendWhole(value, key, headers, timestamp);
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#slab.open(this.#engine.env.clock.wallMs());
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    this.#engine.env.timers.soon(this.#endTurn);
  }

  /** A batch in memory of its own, written at once. */
  #appendLarge(
    records: readonly (LogAppendOptions & { readonly value: Uint8Array | undefined })[],
  ): void {
    const { batchBytesMax } = this.#partition.partition.policy;
    const builder = new BatchBuilder({ codec: "none", bytesMax: batchBytesMax });
    const nowMs = this.#slab.timestamp;
    for (const { timestamp = nowMs, key, value, headers = noHeaders } of records) {
      if (builder.append(timestamp, key, value, headers)) continue;
      throw new LogError(
        "record_too_large",
        `${this.directory}: ${records.length === 1 ? "a record" : `${records.length} records`} of more than ${batchBytesMax} bytes (recordBytesMax). Store less at once, or open the log with a higher limit.`,
      );
    }
    this.#handOver(builder.finish(), nowMs);
    this.#endOffset += records.length;
    this.#write();
  }

  /** For durability `os`: one record, one write. */
  #writeOne(): void {
    this.#write();
    this.#refuseIfFailed();
  }

  /** Hands over what was gathered, and has it written. */
  #write(): void {
    this.#seal();
    this.#partition.write();
    this.#afterWrite();
  }

  #seal(): void {
    const batch = this.#slab.seal();
    if (batch !== undefined) this.#handOver(batch, this.#slab.timestamp);
  }

  #handOver(batch: Uint8Array, nowMs: number): void {
    const outcome = this.#partition.append(batch, nowMs);
    if (outcome.kind === "refused") {
      this.fail(new LogError(outcome.code, `${this.directory}: ${outcome.reason}`));
      return;
    }
    invariant(outcome.kind === "appended", "a log has no producers that repeat themselves");
    this.#frame = outcome.frame;
    this.#afterWrite();
  }

  /** Where all is written the slab begins anew; where that failed nothing is taken any more. */
  #afterWrite(): void {
    const error = this.#frame?.error;
    if (error !== undefined) {
      this.fail(error);
      return;
    }
    const { endOffset, writtenEndOffset } = this.#partition;
    if (writtenEndOffset !== endOffset || this.#slab.batchCount > 0) return;
    this.#slab.clear();
    this.#isOpen = false;
    this.#pendingBase = endOffset;
    this.#retain();
  }

  #retain(): void {
    const { highWatermark, logStartOffset } = this.#partition.partition;
    const slack = Math.max(this.#recordsMax / 16, RETENTION_SLACK_MIN);
    if (highWatermark - logStartOffset <= this.#recordsMax + slack) return;
    // It becomes durable with the next frame; a failure of that one is met by whoever appends.
    this.#partition.partition
      .deleteRecords(highWatermark - this.#recordsMax)
      .catch((error: unknown) => this.fail(LogError.from(error)));
  }
}

/** What is written of a log that this process has open. */
class WrittenLog implements LogSource {
  readonly #partition: OwnedPartition;
  readonly refuseIfEnded: () => void;
  readonly settle: () => void;

  constructor(
    partition: OwnedPartition,
    log: { readonly refuse: () => void; readonly settle: () => void },
  ) {
    this.#partition = partition;
    this.refuseIfEnded = log.refuse;
    this.settle = log.settle;
  }

  get startOffset(): number {
    return this.#partition.startOffset;
  }

  get endOffset(): number {
    return this.#partition.writtenEndOffset;
  }

  read(from: number, bytesMax: number): ReturnType<OwnedPartition["read"]> {
    return this.#partition.read(from, { bytesMax, atLeastOneBatch: true });
  }

  seekTime(timestampMs: number): number | undefined {
    return this.#partition.seekTime(timestampMs);
  }

  moved(signal: AbortSignal | undefined): Promise<void> {
    const { partition } = this.#partition;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        partition.removeWaiter(waiter);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const waiter = { advanced: end };
      signal?.addEventListener("abort", end, { once: true });
      if (!partition.addWaiter(waiter)) {
        signal?.removeEventListener("abort", end);
        reject(new LogError("limit_exceeded", "too many readers follow one log"));
      }
    });
  }
}

function checkedValue(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new LogError("invalid_argument", `a record is a Uint8Array, not ${typeof value}`);
}

const noHeaders: readonly RecordHeader[] = Object.freeze([]);
