import { invariant, LogError } from "../errors/index.ts";
import type { TopicPolicy } from "../metadata/index.ts";
import type { Counter } from "../metrics/index.ts";
import {
  type BatchHeader,
  checkBatch,
  patchBatch,
  patchLogAppendTime,
  type RecordCursor,
} from "../records/index.ts";
import type { CompactionOptions, FetchedBytes, PartitionLog, Store } from "../storage/index.ts";
import type { CompactionReport } from "../values/index.ts";
import type {
  ActiveProducer,
  AdvanceWaiter,
  AppendOutcome,
  Duplicate,
  EpochEnd,
  OffsetAndTime,
  PartitionGatherer,
  ReadOptions,
  Refused,
} from "./outcomes.ts";
import { OwnedPartition } from "./owned-partition.ts";
import type { PartitionState } from "./partition-state.ts";
import type { FrameMember, PendingFrame } from "./pending-frame.ts";
import { ProducerTable, type RememberedBatch } from "./producer-table.ts";
import { findNewest, findTime, type SearchedLog } from "./time-search.ts";

/** Most reads that wait for one partition; later ones are not woken and wait out their time. */
const waitersPerPartitionMax = 10_000;

/** Largest batch that the product itself writes: one change of its own state. */
const internalBatchBytesMax = 64 << 20;

/** What is counted of all partitions together. */
export interface AppendCounters {
  readonly batches: Counter;
  readonly records: Counter;
  readonly bytes: Counter;
  readonly duplicates: Counter;
  readonly frames: Counter;
}

/** What all partitions of a store share. */
export interface PartitionShare {
  readonly store: Store;
  /** One for all: nothing is kept in it between two calls. */
  readonly header: BatchHeader;
  readonly cursor: RecordCursor;
  readonly counters: AppendCounters;
  /** Why nothing may be appended any more; undefined while all is well. */
  readonly fatalError: LogError | undefined;
  /** Why clients may not append now; undefined while there is room on the disk. */
  readonly roomFault: Refused | undefined;
  /** Lets the event loop turn once. */
  turn(): Promise<void>;
  /** The frame that takes what is appended now. */
  openFrame(): PendingFrame;
  /** The frame that holds the record of a partition at `offset`; a settled one where that is durable. */
  frameOf(partition: Partition, offset: number): PendingFrame;
}

export interface PartitionOptions {
  readonly log: PartitionLog;
  readonly state: PartitionState;
  readonly policy: TopicPolicy;
  /** Whether only the product itself may append. */
  readonly isInternal: boolean;
}

/** One ordered log. */
export class Partition implements FrameMember {
  readonly topicId: string;
  readonly index: number;
  readonly #share: PartitionShare;
  readonly #log: PartitionLog;
  readonly #state: PartitionState;
  readonly #isInternal: boolean;
  #policy: TopicPolicy;
  #closeReason: LogError | undefined;
  /** End of what is durable. Never falls, never above `#writtenEnd`. */
  #highWatermark: number;
  /** End of what is in the log; above it lies what the open frame has. Never above the log end offset. */
  #writtenEnd: number;
  /** Bytes appended, written and durable since the store was opened; each never above the one before. */
  #appendedBytes = 0;
  #writtenBytes = 0;
  #durableBytes = 0;
  /** The last frame in which this partition has a part, and its place there. */
  #frame: PendingFrame | undefined;
  #place = 0;
  /** The frame that moved the start of the log last; undefined where that is known to be durable. */
  #startFrame: PendingFrame | undefined;
  #waiters: Set<AdvanceWaiter> | undefined;
  #gatherer: PartitionGatherer | undefined;
  /** High watermark that the waiters were told of last. */
  #wokenAt: number;

  constructor(share: PartitionShare, options: PartitionOptions) {
    const { log } = options;
    this.topicId = log.topicId;
    this.index = log.partition;
    this.#share = share;
    this.#log = log;
    this.#state = options.state;
    this.#policy = options.policy;
    this.#isInternal = options.isInternal;
    this.#highWatermark = log.endOffset;
    this.#writtenEnd = log.endOffset;
    this.#wokenAt = log.endOffset;
  }

  /** What holds for the topic; exchanged when its settings change. */
  get policy(): TopicPolicy {
    return this.#policy;
  }

  set policy(policy: TopicPolicy) {
    this.#policy = policy;
  }

  /** Who gathers records for this partition; undefined while nobody does. */
  set gatherer(gatherer: PartitionGatherer) {
    invariant(this.#gatherer === undefined, "a partition has one who gathers for it");
    this.#gatherer = gatherer;
  }

  /** Why nothing can be appended or read any more; undefined while the partition is open. */
  get closeReason(): LogError | undefined {
    return this.#closeReason;
  }

  /** First offset that can be read. */
  get logStartOffset(): number {
    return this.#log.startOffset;
  }

  /** End of what is durable, hence of what can be read. */
  get highWatermark(): number {
    return this.#highWatermark;
  }

  /** End of what a reader of committed records may see; the high watermark while there are no transactions. */
  get lastStableOffset(): number {
    return this.#highWatermark;
  }

  /** Why this process appends nothing any more; undefined while all is well. */
  get fatalError(): LogError | undefined {
    return this.#share.fatalError;
  }

  /** Offset that the next record gets. */
  get logEndOffset(): number {
    return this.#log.endOffset;
  }

  get leaderEpoch(): number {
    return this.#share.store.incarnation;
  }

  /** End of what is written, durable or not. */
  get writtenEndOffset(): number {
    return this.#writtenEnd;
  }

  /** Bytes that the partition takes in the store. */
  get sizeBytes(): number {
    return this.#log.sizeBytes;
  }

  /** Bytes that became durable since the store was opened. Only grows: what two looks differ by is there to read. */
  get durableBytes(): number {
    return this.#durableBytes;
  }

  /**
   * Checks one batch of a client, numbers it in place and hands it to the store, all before it
   * returns. `bytes` must stay untouched until the outcome's frame is settled.
   */
  // hot: once for every produced batch; guarded by bench/server.
  append(bytes: Uint8Array, nowMs: number): AppendOutcome {
    if (this.#isInternal) {
      return refuse("invalid_topic_name", "only the broker itself writes to an internal topic");
    }
    if (this.#share.roomFault !== undefined) return this.#share.roomFault;
    this.#gatherer?.beforeAppend();
    const { header } = this.#share;
    const fault =
      this.#batchFault(bytes, this.#policy.batchBytesMax) ??
      this.#clientFault(header) ??
      this.#timeFault(header, nowMs);
    if (fault !== undefined) return fault;
    if (header.producerId >= 0) {
      const verdict = this.#state.producers?.judge(header, header.recordCount);
      if (verdict?.kind === "refused") return verdict;
      if (verdict?.kind === "duplicate") return this.#duplicate(verdict.batch);
    }
    const keyFault = this.#policy.isCompacted ? this.#keyFault(bytes) : undefined;
    const outcome = keyFault ?? this.#put(bytes, nowMs);
    if (outcome.kind === "appended") this.#gatherer?.afterAppend(bytes);
    return outcome;
  }

  /** Where the batch of an idempotent producer is in the log already. */
  duplicateOf(batch: Uint8Array): Duplicate | undefined {
    const { header } = this.#share;
    header.read(batch, 0);
    const verdict = this.#state.producers?.judge(header, header.recordCount);
    return verdict?.kind === "duplicate" ? this.#duplicate(verdict.batch) : undefined;
  }

  /** The same for batches that the product itself writes, without the limits that clients have. */
  appendInternal(bytes: Uint8Array, nowMs: number): AppendOutcome {
    return this.#batchFault(bytes, internalBatchBytesMax) ?? this.#put(bytes, nowMs);
  }

  /** The same for a batch that this process has built itself, whose bytes need no second look. */
  appendBuilt(bytes: Uint8Array, nowMs: number): AppendOutcome {
    const { fatalError, roomFault } = this.#share;
    const end = this.#closeReason ?? fatalError;
    if (end !== undefined) return refuse(end.code, end.message);
    return roomFault ?? this.#put(bytes, nowMs);
  }

  /** For a program that has the store to itself. */
  owned(): OwnedPartition {
    return new OwnedPartition(this, this.#log, this.#share.store);
  }

  /**
   * Whole batches up to the high watermark, beginning with the one that holds `from`; undefined
   * where there is nothing yet, or the first batch is over `bytesMax` and not demanded.
   * @throws LogError offset_out_of_range, data_corrupt (it may also reject with that).
   */
  read(
    from: number,
    options: ReadOptions,
  ): FetchedBytes | Promise<FetchedBytes | undefined> | undefined {
    const log = this.#log;
    if (from < log.startOffset || from > log.endOffset) throw this.#outOfRange(from);
    const endOffset = this.#highWatermark;
    if (from >= endOffset) return undefined;
    const { bytesMax, atLeastOneBatch } = options;
    return log.read(from, { bytesMax, endOffset, atLeastOneBatch });
  }

  /** Wakes `waiter` each time the high watermark moves, until it is removed. False where too many wait: it will not be woken. */
  addWaiter(waiter: AdvanceWaiter): boolean {
    this.#waiters ??= new Set();
    if (this.#waiters.size >= waitersPerPartitionMax) return false;
    this.#waiters.add(waiter);
    return true;
  }

  removeWaiter(waiter: AdvanceWaiter): void {
    if (this.#waiters?.delete(waiter) === true && this.#waiters.size === 0) {
      this.#waiters = undefined;
    }
  }

  /** Calls back once it is known what became of everything that was appended so far. */
  whenSettled(callback: () => void): void {
    if (this.#frame === undefined) callback();
    else this.#frame.whenSettled(callback);
  }

  /** First record at or after a time; undefined where there is none. */
  offsetForTime(timestampMs: number): Promise<OffsetAndTime | undefined> {
    return findTime(this.#reader(), this.#log.seekTime(timestampMs), timestampMs);
  }

  /** The record with the largest timestamp; the first of them where several have it. */
  async newestRecord(): Promise<OffsetAndTime | undefined> {
    const newest = this.#log.newestTimestamp();
    if (newest === undefined) return undefined;
    // What the store counts may be not durable yet, or share its segment with what is deleted.
    return (await this.offsetForTime(newest)) ?? findNewest(this.#reader());
  }

  /** Leader epoch of the last record; undefined while there are none. */
  get latestEpoch(): number | undefined {
    return this.#state.epochs?.latest;
  }

  /** Where the records of `leaderEpoch` end; undefined where it is newer than the present one. */
  endOffsetForEpoch(leaderEpoch: number): EpochEnd | undefined {
    const epochs = this.#state.epochs;
    const current = this.leaderEpoch;
    if (epochs !== undefined) return epochs.endOf(leaderEpoch, current, this.#highWatermark);
    if (leaderEpoch > current) return undefined;
    return { leaderEpoch, endOffset: this.#highWatermark };
  }

  /** Leader epoch of the record at `offset`. */
  epochOf(offset: number): number | undefined {
    return this.#state.epochs?.epochOf(offset);
  }

  /** Why the epoch that a client believes in is not this one; undefined where it is, or where it names none. */
  epochFault(currentLeaderEpoch: number | undefined): LogError | undefined {
    const leaderEpoch = this.leaderEpoch;
    if (currentLeaderEpoch === undefined || currentLeaderEpoch === leaderEpoch) return undefined;
    const message = `the leader epoch is ${leaderEpoch}, not ${currentLeaderEpoch}`;
    return currentLeaderEpoch < leaderEpoch
      ? new LogError("leader_epoch_fenced", message)
      : new LogError("leader_epoch_unknown", message);
  }

  /**
   * Forgets records below `before`, or below the high watermark where that is undefined. Resolves
   * once that is durable, with the new log start offset.
   * @throws LogError offset_out_of_range, and what the frame fails with, such as storage_full.
   */
  async deleteRecords(before: number | undefined): Promise<number> {
    if (this.#closeReason !== undefined) throw this.#closeReason;
    const target = before ?? this.#highWatermark;
    if (target > this.#highWatermark || target < 0) throw this.#outOfRange(target);
    if (target > this.#log.startOffset) {
      this.#startFrame = this.#join(this.#log.endOffset);
      this.#share.store.moveStart(this.#log, target);
    }
    // Where the start has moved already, that may be written and not durable yet.
    const frame = this.#startFrame;
    if (frame === undefined) return this.#log.startOffset;
    await new Promise<void>((resolve) => {
      frame.whenSettled(resolve);
    });
    if (this.#startFrame === frame) this.#startFrame = undefined;
    if (frame.error !== undefined) throw frame.error;
    return this.#log.startOffset;
  }

  /** Forgets records that are older or more than the topic's policy keeps. */
  retain(nowMs: number): void {
    const { isTrimmed, retentionMs, retentionBytes, retentionRecords } = this.#policy;
    if (!isTrimmed || this.#closeReason !== undefined || this.#isInternal) return;
    const moved = this.#share.store.retain(this.#log, {
      nowMs,
      retentionMs: retentionMs ?? Infinity,
      retentionBytes: retentionBytes ?? Infinity,
      keptFrom: this.#highWatermark - (retentionRecords ?? Infinity),
    });
    if (moved !== undefined) this.#startFrame = this.#join(this.#log.endOffset);
  }

  /** Whether the topic's policy says that it is time. @throws LogError data_corrupt. */
  async isCompactionDue(): Promise<boolean> {
    const { isCompacted, compaction } = this.#policy;
    if (!isCompacted || this.#closeReason !== undefined || this.#isInternal) return false;
    return this.#share.store.isCompactionDue(this.#log, compaction);
  }

  /**
   * Keeps the newest record of each key only, whatever the topic's policy says about when; tombstones
   * and young records are left as it says. Offsets stay as they are.
   * @throws LogError cancelled, closed, storage_full, storage_failed, data_corrupt.
   */
  compact(
    options: Pick<CompactionOptions, "keyBytesMax" | "limits" | "signal" | "progress">,
  ): Promise<CompactionReport> {
    return this.#share.store.compact(this.#log, {
      ...this.#policy.compaction,
      ...options,
      // What a transaction may still take back is not compacted.
      endOffset: () => this.lastStableOffset,
    });
  }

  activeProducers(): ActiveProducer[] {
    return this.#state.producers?.active() ?? [];
  }

  /** Forgets idempotent producers that were last active before `beforeMs`. */
  expireProducers(beforeMs: number): void {
    this.#state.producers?.expire(beforeMs);
  }

  /** State as of all written frames, for the checkpoint. */
  snapshot(): Uint8Array {
    return this.#state.encode(this.#writtenEnd, this.#log.startOffset);
  }

  /** Refuses appends from now on and wakes whoever waits. */
  close(reason: LogError): void {
    this.#closeReason = reason;
    const waiters = this.#waiters;
    this.#waiters = undefined;
    if (waiters !== undefined) for (const waiter of waiters) waiter.advanced();
  }

  written(endOffset: number, bytes: number): void {
    this.#writtenEnd = endOffset;
    this.#writtenBytes = bytes;
    this.#state.producers?.wasWritten();
  }

  reached(endOffset: number, bytes: number): void {
    invariant(endOffset >= this.#highWatermark, "the high watermark never falls");
    this.#highWatermark = endOffset;
    this.#durableBytes = bytes;
  }

  undo(): void {
    this.#appendedBytes = this.#writtenBytes;
    this.#state.producers?.undo();
    this.#state.epochs?.truncate(this.#writtenEnd);
  }

  wake(): void {
    if (this.#wokenAt === this.#highWatermark) return;
    this.#wokenAt = this.#highWatermark;
    const waiters = this.#waiters;
    if (waiters !== undefined) for (const waiter of waiters) waiter.advanced();
  }

  #reader(): SearchedLog {
    return { partition: this, turn: () => this.#share.turn() };
  }

  #batchFault(bytes: Uint8Array, bytesMax: number): Refused | undefined {
    const { header, fatalError } = this.#share;
    const end = this.#closeReason ?? fatalError;
    if (end !== undefined) return refuse(end.code, end.message);
    if (bytes.length > bytesMax) {
      const reason = `a batch of ${bytes.length} bytes, max.message.bytes of the topic is ${bytesMax}`;
      return refuse("record_too_large", reason);
    }
    const fault = checkBatch(bytes, 0, bytes.length, header);
    if (fault !== undefined) return refuse(fault.code, fault.reason);
    if (header.sizeBytes === bytes.length) return undefined;
    const left = bytes.length - header.sizeBytes;
    return refuse("batch_invalid", `one batch is expected; ${left} bytes follow the first`);
  }

  #clientFault(header: BatchHeader): Refused | undefined {
    if (header.isControl) return refuse("batch_invalid", "clients do not write control batches");
    return header.isTransactional
      ? refuse("unsupported", "transactions are not supported yet; use an idempotent producer")
      : undefined;
  }

  #timeFault(header: BatchHeader, nowMs: number): Refused | undefined {
    const { timestampType, timestampBeforeMsMax, timestampAfterMsMax } = this.#policy;
    if (timestampType === "log-append-time") return undefined;
    const { baseTimestamp, maxTimestamp } = header;
    if (header.isLogAppendTime) {
      return refuse("invalid_timestamp", "the batch claims a log append time of its own");
    }
    // A negative time is the producer's way to give none.
    const isEarly = baseTimestamp >= 0 && nowMs - baseTimestamp > timestampBeforeMsMax;
    if (!isEarly && maxTimestamp - nowMs <= timestampAfterMsMax) return undefined;
    const reason = `timestamps from ${baseTimestamp} to ${maxTimestamp}; allowed are ${timestampBeforeMsMax} ms before and ${timestampAfterMsMax} ms after ${nowMs}`;
    return refuse("invalid_timestamp", reason);
  }

  /** A compacted topic keeps the newest record of each key, so each needs one. */
  #keyFault(bytes: Uint8Array): Refused | undefined {
    const { cursor } = this.#share;
    try {
      cursor.reset(bytes, 0);
      while (cursor.advance()) {
        if (cursor.keyStart >= 0) continue;
        return refuse("batch_invalid", "a record without a key, and the topic is compacted");
      }
      return undefined;
    } catch (thrown) {
      if (!(thrown instanceof LogError)) throw thrown;
      const isCodec = thrown.code === "unsupported_compression";
      return refuse(isCodec ? thrown.code : "batch_invalid", thrown.message);
    }
  }

  #duplicate(batch: RememberedBatch): Duplicate {
    const isLogAppendTime = this.#policy.timestampType === "log-append-time";
    this.#share.counters.duplicates.add();
    return {
      kind: "duplicate",
      baseOffset: batch.baseOffset,
      lastOffset: batch.lastOffset,
      logAppendTimeMs: isLogAppendTime ? batch.maxTimestamp : undefined,
      logStartOffset: this.#log.startOffset,
      frame: this.#share.frameOf(this, batch.lastOffset),
    };
  }

  #put(bytes: Uint8Array, nowMs: number): AppendOutcome {
    const log = this.#log;
    const { store, header, counters } = this.#share;
    const baseOffset = log.endOffset;
    const isLogAppendTime = this.#policy.timestampType === "log-append-time";
    if (isLogAppendTime) patchLogAppendTime(bytes, 0, nowMs);
    patchBatch(bytes, 0, baseOffset, store.incarnation);
    header.read(bytes, 0);
    const { lastOffset } = header;
    this.#appendedBytes += header.sizeBytes;
    const frame = this.#join(lastOffset + 1);
    this.#state.assignEpoch(store.incarnation, baseOffset);
    if (header.producerId >= 0) {
      this.#state.producers ??= new ProducerTable();
      this.#state.producers.append(header, nowMs);
    }
    store.append(log, bytes, header);
    // The store may have tried to write the frame at once.
    if (frame.error !== undefined) return refuse(frame.error.code, frame.error.message);
    counters.batches.add();
    counters.records.add(lastOffset - baseOffset + 1);
    counters.bytes.add(bytes.length);
    return {
      kind: "appended",
      baseOffset,
      lastOffset,
      logAppendTimeMs: isLogAppendTime ? nowMs : undefined,
      logStartOffset: log.startOffset,
      frame,
    };
  }

  #join(endOffset: number): PendingFrame {
    const frame = this.#share.openFrame();
    if (this.#frame !== frame) {
      this.#frame = frame;
      this.#place = frame.join(this);
    }
    frame.extend(this.#place, endOffset, this.#appendedBytes);
    return frame;
  }

  #outOfRange(offset: number): LogError {
    return new LogError(
      "offset_out_of_range",
      `offset ${offset} is not within the partition, which begins at ${this.#log.startOffset} and ends at ${this.#highWatermark}`,
    );
  }
}

function refuse(code: Refused["code"], reason: string): Refused {
  return { kind: "refused", code, reason };
}
