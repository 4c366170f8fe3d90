/** What compaction does to the batches of one log: drops records that a newer one of their key has replaced. */
import { ByteWriter } from "../bytes/index.ts";
import { LogError } from "../errors/index.ts";
import {
  BatchHeader,
  BatchRewriter,
  OFFSET_DELTA_MAX,
  RecordCursor,
  recordTail,
} from "../records/index.ts";
import type { KeyOffsets } from "./key-offsets.ts";
import { MergeSource } from "./merge.ts";
import type { PartitionLog } from "./partition-log.ts";
import type { SegmentBatches } from "./segment-build.ts";
import type { SegmentTable } from "./segment-table.ts";
import type { Run } from "./segment.ts";

/** What is left of neighbouring batches is gathered into batches of this size. */
const GATHERED_BYTES = 16 << 10;
/** Read, looked at and written without others having a turn. */
export const SLICE_BYTES = 256 << 10;
/** A time that any client can show; horizons are never later. */
const TIME_MAX = 8.64e15;

/** What one pass over a log decides by. */
export interface CompactionPass {
  readonly keys: KeyOffsets;
  readonly nowMs: number;
  readonly deleteRetentionMs: number;
  /** Records from here on stay as they are: their keys are not in `keys`, or not all. */
  readonly endOffset: number;
  /** Batches below it went through a pass before: the horizons in them are ours. */
  readonly compactedTo: number;
}

export interface CompactionCounts {
  bytesRead: number;
  bytesWritten: number;
  recordsRead: number;
  recordsRemoved: number;
  /** Of those, tombstones whose time was over. */
  tombstonesRemoved: number;
  /** Batches that could not be decoded, and were left as they are. */
  batchesSkipped: number;
}

/** What one filter goes through: consecutive runs. */
export interface FilteredRange {
  readonly startOffset: number;
  /** Of the first run: the first batch that is written begins there. */
  readonly baseOffset: number;
  /**
   * The last record of the last run stays whatever it is, so that the batches cover all offsets that
   * they covered before.
   */
  readonly lastOffset: number;
  /** Another filter goes on behind this one and will look at that record once more: where it need not stay it gets a run of its own. */
  readonly isCarried: boolean;
}

interface Part {
  readonly start: number;
  end: number;
  readonly startsRun: boolean;
}

type Verdict = "kept" | "cut" | "replaced" | "expired" | "carried";

/**
 * Rewrites batches one after another. Offsets of removed records go to the batch that follows them,
 * so a batch always ends with a record: a reader who asks for any offset gets something that brings
 * it forward.
 */
export class RecordFilter {
  /** When the first of the tombstones that were left may go. */
  tombstonesDueMs: number | undefined;
  /** The last record was kept only to be looked at once more. */
  hasCarried = false;
  readonly #pass: CompactionPass;
  readonly #range: FilteredRange;
  readonly #counts: CompactionCounts;
  readonly #cursor = new RecordCursor();
  readonly #header = new BatchHeader();
  readonly #open = new BatchRewriter();
  readonly #out = new ByteWriter(SLICE_BYTES);
  #parts: Part[] = [];
  /** Where the next batch must begin. */
  #next: number;
  // Of the records of one batch that stay.
  #count = 0;
  #tails = new Int32Array(1024);
  #ends = new Int32Array(1024);
  #offsets = new Float64Array(1024);
  #timestamps = new Float64Array(1024);
  #hasTombstone = false;

  // oxlint-disable-next-line max-params -- what is decided by, and what is counted
  constructor(pass: CompactionPass, range: FilteredRange, counts: CompactionCounts) {
    this.#pass = pass;
    this.#range = range;
    this.#counts = counts;
    this.#next = range.baseOffset;
  }

  /** Takes in whole, undamaged batches. */
  take(bytes: Uint8Array): void {
    const header = this.#header;
    this.#counts.bytesRead += bytes.length;
    for (let at = 0; at < bytes.length; at += header.sizeBytes) {
      header.read(bytes, at);
      this.#batch(bytes, at);
    }
  }

  /** Ends the batch that is open. */
  flush(): void {
    if (this.#open.recordCount === 0) return;
    const { nextOffset } = this.#open;
    this.#place(() => this.#open.finish(this.#out));
    this.#next = nextOffset;
  }

  /** What is finished so far, in order; valid until the next call. */
  drain(): SegmentBatches[] {
    const bytes = this.#out.finish();
    const drained = this.#parts.map(({ start, end, startsRun }) => ({
      bytes: bytes.subarray(start, end),
      startsRun,
      release: () => undefined,
    }));
    this.#counts.bytesWritten += bytes.length;
    this.#parts = [];
    return drained;
  }

  /** Forgets what was drained. */
  reset(): void {
    this.#out.reset();
  }

  #place(write: () => void, startsRun = false): void {
    const start = this.#out.size;
    write();
    const last = this.#parts.at(-1);
    if (last === undefined || startsRun) {
      this.#parts.push({ start, end: this.#out.size, startsRun });
    } else {
      last.end = this.#out.size;
    }
  }

  #batch(bytes: Uint8Array, at: number): void {
    const header = this.#header;
    const { isControl, isTransactional, baseOffset } = header;
    const isNext = this.#covered === baseOffset;
    const isForLater = baseOffset >= this.#pass.endOffset && isNext;
    // What a coordinator wrote, and what comes later, is not for this pass.
    if (isControl || isTransactional || isForLater || !this.#choose(bytes, at)) {
      this.#keepWhole(bytes, at);
      return;
    }
    const horizon = this.#horizon();
    if (horizon !== undefined) this.#noteDue(horizon);
    const isSame = this.#count === header.recordCount && horizon === header.deleteHorizonMs;
    const isSmall = header.sizeBytes < GATHERED_BYTES / 2;
    if (isSame && isNext && !isSmall && !this.hasCarried) this.#keepWhole(bytes, at);
    else this.#gather(horizon);
  }

  /** Everything before it is in batches that were taken in. */
  get #covered(): number {
    return this.#open.recordCount > 0 ? this.#open.nextOffset : this.#next;
  }

  #keepWhole(bytes: Uint8Array, at: number): void {
    this.flush();
    const { baseOffset, nextOffset, sizeBytes } = this.#header;
    this.#fill(baseOffset);
    this.#place(() => this.#out.bytes(bytes.subarray(at, at + sizeBytes)));
    this.#next = nextOffset;
  }

  /** Covers offsets up to `end` by batches without records: where no batch with a record can do so. */
  #fill(end: number): void {
    while (this.#next < end) {
      const baseOffset = this.#next;
      const lastOffset = Math.min(end - 1, baseOffset + OFFSET_DELTA_MAX);
      const span = { baseOffset, lastOffset, like: this.#header, deleteHorizonMs: undefined };
      this.#place(() => this.#open.fill(this.#out, span));
      this.#next = lastOffset + 1;
    }
  }

  /** Notes the records that stay; false where the batch is not what its clients could read either. */
  #choose(bytes: Uint8Array, at: number): boolean {
    const cursor = this.#cursor;
    const { nowMs, compactedTo } = this.#pass;
    const { deleteHorizonMs, nextOffset } = this.#header;
    const isDue = nextOffset <= compactedTo && (deleteHorizonMs ?? Infinity) <= nowMs;
    const numbers: Record<Verdict, number> = {
      kept: 0,
      cut: 0,
      replaced: 0,
      expired: 0,
      carried: 0,
    };
    this.#count = 0;
    this.#hasTombstone = false;
    try {
      cursor.reset(bytes, at);
      while (cursor.advance()) {
        const verdict = this.#judge(cursor, isDue);
        numbers[verdict]++;
        if (verdict === "kept" || verdict === "carried") this.#note(cursor);
      }
    } catch (thrown) {
      if (!(thrown instanceof LogError)) throw thrown;
      this.#counts.batchesSkipped++;
      return false;
    }
    const { kept, cut, replaced, expired } = numbers;
    // What is carried is counted when it is looked at again.
    this.#counts.recordsRead += kept + cut + replaced + expired;
    this.#counts.recordsRemoved += replaced + expired;
    this.#counts.tombstonesRemoved += expired;
    return true;
  }

  // hot: once for every record; bench/compaction.
  #judge(cursor: RecordCursor, isDue: boolean): Verdict {
    const { keys, endOffset } = this.#pass;
    const { offset, keyStart, valueStart } = cursor;
    if (offset < this.#range.startOffset) return "cut";
    if (keyStart < 0 || offset >= endOffset) return "kept";
    const isReplaced = keys.find(cursor.bytes, keyStart, cursor.keyEnd) > offset;
    if (isReplaced || (isDue && valueStart < 0)) {
      if (offset === this.#range.lastOffset) return this.#keepLast();
      return isReplaced ? "replaced" : "expired";
    }
    if (valueStart < 0) this.#hasTombstone = true;
    return "kept";
  }

  #keepLast(): Verdict {
    this.hasCarried = this.#range.isCarried;
    return this.hasCarried ? "carried" : "kept";
  }

  #note(cursor: RecordCursor): void {
    const index = this.#count++;
    if (index === this.#tails.length) this.#grow();
    this.#tails[index] = recordTail(cursor);
    this.#ends[index] = cursor.recordEnd;
    this.#offsets[index] = cursor.offset;
    this.#timestamps[index] = cursor.timestamp;
  }

  #grow(): void {
    const size = this.#tails.length * 2;
    this.#tails = grown(new Int32Array(size), this.#tails);
    this.#ends = grown(new Int32Array(size), this.#ends);
    this.#offsets = grown(new Float64Array(size), this.#offsets);
    this.#timestamps = grown(new Float64Array(size), this.#timestamps);
  }

  /**
   * The horizon that the batch will have: what it has from a pass before, else, where there are
   * tombstones, one from now on. Where not all of its records are for this pass it gets none yet.
   */
  #horizon(): number | undefined {
    const { deleteHorizonMs, nextOffset } = this.#header;
    const { nowMs, deleteRetentionMs, endOffset, compactedTo } = this.#pass;
    if (!this.#hasTombstone || nextOffset > endOffset) return undefined;
    if (nextOffset <= compactedTo && deleteHorizonMs !== undefined) return deleteHorizonMs;
    return Math.min(nowMs + deleteRetentionMs, TIME_MAX);
  }

  #noteDue(horizon: number): void {
    this.tombstonesDueMs = Math.min(this.tombstonesDueMs ?? horizon, horizon);
  }

  /** Puts the chosen records into the open batch, which is ended before where they do not belong together. */
  #gather(horizon: number | undefined): void {
    const count = this.#count - (this.hasCarried ? 1 : 0);
    if (count > 0) this.#add(0, count, horizon);
    if (!this.hasCarried) return;
    this.flush();
    this.#add(count, this.#count, undefined);
    const { nextOffset } = this.#open;
    this.#place(() => this.#open.finish(this.#out), true);
    this.#next = nextOffset;
  }

  // oxlint-disable-next-line max-params -- a range of the chosen records
  #add(from: number, to: number, deleteHorizonMs: number | undefined): void {
    const like = this.#header;
    const open = this.#open;
    const last = this.#offsets[to - 1] ?? 0;
    if (open.recordCount > 0) {
      let size = open.sizeBytes;
      for (let i = from; i < to; i++) size += (this.#ends[i] ?? 0) - (this.#tails[i] ?? 0);
      const fits = size <= GATHERED_BYTES && last - open.baseOffset <= OFFSET_DELTA_MAX;
      if (!fits || !open.takes(like, deleteHorizonMs)) this.flush();
    }
    if (open.recordCount === 0) {
      if (last - this.#next > OFFSET_DELTA_MAX) this.#fill(like.baseOffset);
      open.begin({ baseOffset: this.#next, like, deleteHorizonMs });
    }
    const { bytes } = this.#cursor;
    for (let i = from; i < to; i++) {
      open.add(
        bytes,
        this.#tails[i] ?? 0,
        this.#ends[i] ?? 0,
        this.#offsets[i] ?? 0,
        this.#timestamps[i] ?? 0,
      );
    }
  }
}

/** `larger`, beginning with what `former` holds. */
export function grown<T extends Int32Array | Float64Array>(larger: T, former: T): T {
  larger.set(former);
  return larger;
}

/** Runs of one log, to be written again without what has been replaced: a merge with a filter. */
export class CompactionSource extends MergeSource {
  readonly filter: RecordFilter;
  readonly #turn: () => Promise<void>;
  #ready: SegmentBatches[] = [];
  #isAtEnd = false;

  constructor(
    log: PartitionLog,
    replaced: readonly Run[],
    segments: SegmentTable,
    // oxlint-disable-next-line max-params -- a merge, and its filter
    { filter, turn }: { readonly filter: RecordFilter; readonly turn: () => Promise<void> },
  ) {
    super(log, replaced, segments, SLICE_BYTES);
    this.filter = filter;
    this.#turn = turn;
  }

  override async next(): Promise<SegmentBatches | undefined> {
    for (;;) {
      const ready = this.#ready.shift();
      if (ready !== undefined) return ready;
      if (this.#isAtEnd) return undefined;
      this.filter.reset();
      await this.#turn();
      const fetched = await super.next();
      if (fetched === undefined) {
        this.#isAtEnd = true;
        if (!this.log.isDropped) this.filter.flush();
      } else {
        try {
          this.filter.take(fetched.bytes);
        } finally {
          fetched.release();
        }
      }
      this.#ready = this.filter.drain();
    }
  }
}
