/** Compacts logs, one at a time: learns where the newest record of each key is, then has segments written anew. */
import type { Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { BatchHeader, RecordCursor } from "../records/index.ts";
import type { CompactionReport } from "../values/index.ts";
import type { Checkpointer, Rewriting } from "./checkpointer.ts";
import type { CompactedPart } from "./compacted-part.ts";
import {
  type CompactionCounts,
  type CompactionPass,
  CompactionSource,
  grown,
  RecordFilter,
  SLICE_BYTES,
} from "./compaction.ts";
import type { CompactionOptions, CompactionPolicy, StoreStats } from "./contract.ts";
import { writeError } from "./io-errors.ts";
import { KeyOffsets } from "./key-offsets.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { SegmentTable } from "./segment-table.ts";
import type { Run } from "./segment.ts";

/** Segments are written anew in portions of this size, each of which takes effect as a whole; a disk needs so much room beside the log. */
const PORTION_BYTES = 64 << 20;
/** What a compaction leaves free for those who append. */
const ROOM_LEFT_BYTES = 32 << 20;

interface CompactorParts {
  readonly env: Env;
  readonly directory: string;
  readonly checkpointer: Checkpointer;
  readonly segments: SegmentTable;
  /** See {@link PORTION_BYTES}. */
  readonly portionBytes: number | undefined;
  readonly stats: StoreStats;
}

export class Compactor {
  readonly #parts: CompactorParts;
  #running: Promise<unknown> = Promise.resolve();
  /** Compactions that were asked for and have not begun; while somebody waits nobody takes it slowly. */
  #waiting = 0;
  #isStopped = false;
  /** Ends the pause that is under way. */
  #wake: () => void = () => undefined;

  constructor(parts: CompactorParts) {
    this.#parts = parts;
  }

  /** No more compactions; the one under way ends at its next slice. */
  stop(): void {
    this.#isStopped = true;
    this.#wake();
  }

  /** Whether it is time to compact a log. @throws LogError `data_corrupt`. */
  async isDue(log: PartitionLog, policy: CompactionPolicy): Promise<boolean> {
    const nowMs = this.#parts.env.clock.wallMs();
    if ((log.compacted?.tombstonesDueMs ?? Infinity) <= nowMs) return true;
    const dirtyFrom = firstDirty(log);
    const youngFrom = youngAfter(nowMs, policy);
    let clean = 0;
    let dirty = 0;
    for (const run of log.runs) {
      if (run.endOffset <= dirtyFrom) clean += run.sizeBytes;
      else if (run.maxTimestamp > youngFrom) break;
      else dirty += run.sizeBytes;
    }
    if (dirty === 0) return false;
    if (dirty / (clean + dirty) > policy.dirtyRatioMin) return true;
    // Mostly there is no such limit, and nothing needs to be read for it.
    if (policy.lagMaxMs >= nowMs) return false;
    return (await this.#oldestDirty(log, dirtyFrom)) < nowMs - policy.lagMaxMs;
  }

  async #oldestDirty(log: PartitionLog, from: number): Promise<number> {
    const endOffset = log.runs.at(-1)?.endOffset ?? 0;
    const fetched = await log.read(from, { bytesMax: 1, endOffset, atLeastOneBatch: true });
    if (fetched === undefined) return Infinity;
    const header = new BatchHeader();
    header.read(fetched.bytes, 0);
    fetched.release();
    return header.isLogAppendTime ? header.maxTimestamp : header.baseTimestamp;
  }

  /**
   * Compacts one log. What was done before a failure stays done.
   * @throws LogError `cancelled`, `closed`, `storage_full`, `storage_failed`, `data_corrupt`.
   */
  async compact(log: PartitionLog, options: CompactionOptions): Promise<CompactionReport> {
    this.#waiting++;
    this.#wake();
    const before = this.#running;
    const job = (async () => {
      await before;
      this.#waiting--;
      return new Job(this.#parts, log, options, () => this.#state).run();
    })();
    this.#running = job.catch(() => undefined);
    return job;
  }

  get #state(): JobState {
    return {
      isStopped: this.#isStopped,
      isHurried: this.#waiting > 0,
      pause: (ms) => this.#pause(ms),
    };
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#parts.env.timers.after(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
}

/** What a job asks again and again of the compactor. */
interface JobState {
  readonly isStopped: boolean;
  readonly isHurried: boolean;
  pause(ms: number): Promise<void>;
}

/** One compaction of one log. */
class Job {
  readonly #parts: CompactorParts;
  readonly #log: PartitionLog;
  readonly #options: CompactionOptions;
  readonly #state: () => JobState;
  readonly #counts: CompactionCounts = {
    bytesRead: 0,
    bytesWritten: 0,
    recordsRead: 0,
    recordsRemoved: 0,
    tombstonesRemoved: 0,
    batchesSkipped: 0,
  };
  #passes = 0;
  /** Read to learn keys. */
  #bytesLearned = 0;
  #bytesToDo = 0;
  /** When the slice under way began, and how much had been read then. */
  #sliceMs: number;
  #sliceBytes = 0;

  // oxlint-disable-next-line max-params -- a store, a log in it, and what to do
  constructor(
    parts: CompactorParts,
    log: PartitionLog,
    options: CompactionOptions,
    state: () => JobState,
  ) {
    this.#parts = parts;
    this.#log = log;
    this.#options = options;
    this.#state = state;
    this.#sliceMs = parts.env.clock.monotonicMs();
  }

  async run(): Promise<CompactionReport> {
    const { clock } = this.#parts.env;
    const startMs = clock.monotonicMs();
    try {
      this.#refuseIfEnded();
      if (this.#options.limits === undefined) await this.#parts.checkpointer.run();
      for (let isDone = false; !isDone;) isDone = await this.#pass();
    } catch (thrown) {
      throw writeError(thrown, this.#parts.directory);
    } finally {
      this.#count(clock.monotonicMs() - startMs);
    }
    return { passes: this.#passes, ...this.#counts, tookMs: clock.monotonicMs() - startMs };
  }

  #count(tookMs: number): void {
    const { stats } = this.#parts;
    stats.compactions += this.#passes;
    stats.compactionBytesRead += this.#counts.bytesRead;
    stats.compactionBytesWritten += this.#counts.bytesWritten;
    stats.compactionRecordsRemoved += this.#counts.recordsRemoved;
    stats.compactionMs += tookMs;
  }

  /** Goes through the log once; true where no further pass is needed. */
  async #pass(): Promise<boolean> {
    const log = this.#log;
    const { compacted } = log;
    const nowMs = this.#parts.env.clock.wallMs();
    const from = firstDirty(log);
    const limit = Math.min(log.runs.at(-1)?.endOffset ?? 0, this.#options.endOffset());
    const areTombstonesDue = (compacted?.tombstonesDueMs ?? Infinity) <= nowMs;
    if (from >= limit && !areTombstonesDue) return true;
    this.#bytesToDo += bytesOf(log.runs, from, limit) + bytesOf(log.runs, 0, limit);
    const { keys, endOffset, isFull } = await this.#learn(from, limit, nowMs);
    this.#passes++;
    const pass: CompactionPass = {
      keys,
      nowMs,
      deleteRetentionMs: this.#options.deleteRetentionMs,
      endOffset,
      compactedTo: compacted?.endOffset ?? 0,
    };
    if (keys.count > 0 || areTombstonesDue) await this.#rewrite(pass);
    // Without keys nothing changes; the next checkpoint says so.
    else log.compacted = { endOffset, tombstonesDueMs: compacted?.tombstonesDueMs };
    return !isFull;
  }

  /** Reads the records from `from` on, and notes where the newest one of each key is. */
  // oxlint-disable-next-line max-params -- a range, and what is too young in it
  async #learn(
    from: number,
    limit: number,
    nowMs: number,
  ): Promise<{ keys: KeyOffsets; endOffset: number; isFull: boolean }> {
    const log = this.#log;
    // Of a version 4 UUID these eight bytes are random.
    const view = new DataView(this.#parts.env.random.uuid().slice().buffer);
    const keys = new KeyOffsets({
      bytesMax: this.#options.keyBytesMax,
      keysMax: Math.max(1, limit - from),
      seed: [view.getInt32(0), view.getInt32(12)],
    });
    const learner = new KeyLearner(keys, from, youngAfter(nowMs, this.#options));
    for (let next = from; next < limit;) {
      await this.#turn();
      const at = Math.max(next, log.startOffset);
      const limits = { bytesMax: SLICE_BYTES, endOffset: limit, atLeastOneBatch: true };
      const fetched = await log.read(at, limits);
      if (fetched === undefined) break;
      try {
        const end = learner.take(fetched.bytes);
        if (end !== undefined) return { keys, ...end };
      } finally {
        fetched.release();
      }
      this.#bytesLearned += fetched.bytes.length;
      next = fetched.nextOffset;
    }
    return { keys, endOffset: Math.max(from, limit), isFull: false };
  }

  /** Has the segments written anew, portion by portion, oldest first. */
  async #rewrite(pass: CompactionPass): Promise<void> {
    const portions = new Portions(this.#log, pass, this.#counts, {
      segments: this.#parts.segments,
      portionBytes: this.#parts.portionBytes ?? PORTION_BYTES,
      turn: () => this.#turn(),
    });
    while (!portions.areDone) {
      this.#refuseIfEnded();
      this.#refuseWithoutRoom(portions.nextBytes());
      await this.#parts.checkpointer.run(portions);
    }
  }

  #refuseWithoutRoom(bytes: number): void {
    const { env, directory } = this.#parts;
    const free = env.disk.freeBytes(directory);
    if (free >= bytes + ROOM_LEFT_BYTES) return;
    throw new LogError(
      "storage_full",
      `${directory}: compaction may need ${bytes} bytes beside what is there, and leaves ${ROOM_LEFT_BYTES} to those who append; ${free} are free. Nothing was changed; make room and try again.`,
    );
  }

  #refuseIfEnded(): void {
    if (this.#state().isStopped) throw new LogError("closed", "the store is closed");
    const { signal } = this.#options;
    if (signal?.aborted === true) {
      throw new LogError("cancelled", "compaction was cancelled", { cause: signal.reason });
    }
  }

  /** Lets others run, and in the background waits as long as its limits say. */
  async #turn(): Promise<void> {
    const { clock, timers } = this.#parts.env;
    const { limits, progress } = this.#options;
    const bytesDone = this.#bytesLearned + this.#counts.bytesRead;
    progress?.({
      bytesDone,
      bytesToDo: Math.max(this.#bytesToDo, bytesDone),
      recordsRemoved: this.#counts.recordsRemoved,
    });
    const tookMs = clock.monotonicMs() - this.#sliceMs;
    const pauseMs = Math.max(
      limits === undefined ? 0 : tookMs / limits.threadShareMax - tookMs,
      ((bytesDone - this.#sliceBytes) * 1000) / (limits?.bytesPerSecondMax ?? Infinity) - tookMs,
    );
    if (pauseMs >= 1 && !this.#state().isHurried) await this.#state().pause(pauseMs);
    else await new Promise<void>((resolve) => timers.soon(resolve));
    this.#refuseIfEnded();
    this.#sliceMs = clock.monotonicMs();
    this.#sliceBytes = bytesDone;
  }
}

/** Everything before it is compacted, or gone. */
function firstDirty(log: PartitionLog): number {
  return Math.max(log.compacted?.endOffset ?? 0, log.startOffset);
}

function bytesOf(runs: readonly Run[], from: number, to: number): number {
  let bytes = 0;
  for (const run of runs) if (run.endOffset > from && run.baseOffset < to) bytes += run.sizeBytes;
  return bytes;
}

/** Records with a later time are too young; where no lag is asked for, none are. */
function youngAfter(nowMs: number, { lagMinMs }: CompactionPolicy): number {
  return lagMinMs > 0 ? nowMs - lagMinMs : Infinity;
}

/** Why learning ended before the end of what there is. */
interface EarlyEnd {
  readonly endOffset: number;
  readonly isFull: boolean;
}

/** Notes where the newest record of each key is. */
class KeyLearner {
  readonly #keys: KeyOffsets;
  readonly #from: number;
  readonly #youngFrom: number;
  readonly #cursor = new RecordCursor();
  // The keys of one batch.
  #starts = new Int32Array(1024);
  #ends = new Int32Array(1024);
  #offsets = new Float64Array(1024);

  constructor(keys: KeyOffsets, from: number, youngFrom: number) {
    this.#keys = keys;
    this.#from = from;
    this.#youngFrom = youngFrom;
  }

  /** Takes in whole batches, up to one that is too young, or a key for which there is no room. */
  take(bytes: Uint8Array): EarlyEnd | undefined {
    const { header } = this.#cursor;
    for (let at = 0; at < bytes.length; at += header.sizeBytes) {
      header.read(bytes, at);
      if (header.maxTimestamp > this.#youngFrom) {
        return { endOffset: Math.max(this.#from, header.baseOffset), isFull: false };
      }
      if (header.isControl || header.isTransactional) continue;
      const full = this.#batch(bytes, at);
      if (full !== undefined) return { endOffset: full, isFull: true };
    }
    return undefined;
  }

  /** Answers the offset of the first record for whose key there is no room. */
  #batch(bytes: Uint8Array, at: number): number | undefined {
    const keys = this.#keys;
    const count = this.#read(bytes, at);
    const from = this.#cursor.bytes;
    for (let i = 0; i < count; i++) {
      const offset = this.#offsets[i] ?? 0;
      if (!keys.put(from, this.#starts[i] ?? 0, this.#ends[i] ?? 0, offset)) return offset;
    }
    return undefined;
  }

  // hot: bench/compaction.
  /** Finds the keys of a batch, of which there are none where it cannot be decoded: it is left as it is then, and must replace nothing. */
  #read(bytes: Uint8Array, at: number): number {
    const cursor = this.#cursor;
    let count = 0;
    try {
      cursor.reset(bytes, at);
      while (cursor.advance()) {
        if (cursor.keyStart < 0 || cursor.offset < this.#from) continue;
        if (count === this.#starts.length) this.#grow();
        this.#starts[count] = cursor.keyStart;
        this.#ends[count] = cursor.keyEnd;
        this.#offsets[count++] = cursor.offset;
      }
      return count;
    } catch (thrown) {
      if (!(thrown instanceof LogError)) throw thrown;
      return 0;
    }
  }

  #grow(): void {
    const size = this.#starts.length * 2;
    this.#starts = grown(new Int32Array(size), this.#starts);
    this.#ends = grown(new Int32Array(size), this.#ends);
    this.#offsets = grown(new Float64Array(size), this.#offsets);
  }
}

interface PortionContext {
  readonly segments: SegmentTable;
  readonly portionBytes: number;
  readonly turn: () => Promise<void>;
}

/** The segments of one pass, a portion at each checkpoint. */
class Portions implements Rewriting {
  readonly log: PartitionLog;
  areDone = false;
  readonly #pass: CompactionPass;
  readonly #counts: CompactionCounts;
  readonly #context: PortionContext;
  readonly #portionBytes: number;
  /** Everything before it was written anew. */
  #next = 0;
  /** The next portion begins with a run of one record that the one before has left to it. */
  #hasCarried = false;
  #source: CompactionSource | undefined;
  #isLast = false;
  #tombstonesDueMs: number | undefined;

  // oxlint-disable-next-line max-params -- whose segments, by what, and how
  constructor(
    log: PartitionLog,
    pass: CompactionPass,
    counts: CompactionCounts,
    context: PortionContext,
  ) {
    this.log = log;
    this.#pass = pass;
    this.#counts = counts;
    this.#context = context;
    this.#portionBytes = context.portionBytes;
  }

  nextBytes(): number {
    return this.#portion().runs.reduce((sum, run) => sum + run.sizeBytes, 0);
  }

  /** Whole runs without a gap between them, one at least; the last portion is the one behind which none is left. */
  #portion(): { readonly runs: readonly Run[]; readonly end: "last" | "gap" | "full" } {
    const runs: Run[] = [];
    let bytes = 0;
    for (const run of this.log.runs) {
      if (run.endOffset <= this.#next) continue;
      if (run.baseOffset >= this.#pass.endOffset) break;
      bytes += run.sizeBytes;
      const before = runs.at(-1);
      if (before !== undefined && before.endOffset !== run.baseOffset) return { runs, end: "gap" };
      // What was carried over alone would be carried for ever.
      const isEnough = runs.length > (this.#hasCarried ? 1 : 0);
      if (isEnough && bytes > this.#portionBytes) return { runs, end: "full" };
      runs.push(run);
    }
    return { runs, end: "last" };
  }

  choose(): CompactionSource[] {
    const { runs, end } = this.#portion();
    this.#isLast = end === "last";
    this.#source = undefined;
    const [first] = runs;
    const last = runs.at(-1);
    if (first === undefined || last === undefined || this.log.isDropped) return [];
    const range = {
      startOffset: this.log.startOffset,
      baseOffset: first.baseOffset,
      lastOffset: last.endOffset - 1,
      isCarried: end === "full",
    };
    const filter = new RecordFilter(this.#pass, range, this.#counts);
    const { segments, turn } = this.#context;
    this.#source = new CompactionSource(this.log, runs, segments, { filter, turn });
    return [this.#source];
  }

  written(): CompactedPart | undefined {
    const due = this.#source?.filter.tombstonesDueMs;
    const endOffset = this.#source?.replaced.at(-1)?.endOffset ?? this.#next;
    this.#hasCarried = this.#source?.filter.hasCarried === true;
    this.#next = this.#hasCarried ? endOffset - 1 : endOffset;
    if (due !== undefined) {
      this.#tombstonesDueMs = Math.min(this.#tombstonesDueMs ?? due, due);
    }
    if (!this.#isLast) return undefined;
    return { endOffset: this.#pass.endOffset, tombstonesDueMs: this.#tombstonesDueMs };
  }

  adopted(): void {
    this.areDone = this.#isLast;
  }
}
