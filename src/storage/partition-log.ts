/** The batches of one partition: first its runs in segments, then what only the WAL has. */
import { type BufferPool, writeUuid } from "../bytes/index.ts";
import { invariant, LogError } from "../errors/index.ts";
import { BatchHeader, checkStoredBatch } from "../records/index.ts";
import type { CompactedPart } from "./compacted-part.ts";
import { readOrFail } from "./io-errors.ts";
import type { FetchedBytes, ReadLimits } from "./read.ts";
import type { SegmentTable } from "./segment-table.ts";
import { partitionPoint, type Run } from "./segment.ts";
import { addressFile, addressPosition, type WalFile } from "./wal-file.ts";
import { type BatchPlace, WalIndex } from "./wal-index.ts";

/** Batches of one partition this close together in the WAL are read with one call. */
const SPAN_GAP_BYTES = 4 << 10;
/** Room for what lies between them. */
const SPAN_WASTE_BYTES = 64 << 10;

/** What all logs of a store share. */
export interface LogSources {
  readonly wal: { file(fileNumber: number): Pick<WalFile, "file"> };
  readonly segments: SegmentTable;
  readonly pool: BufferPool;
}

export class PartitionLog {
  readonly topicId: string;
  readonly partition: number;
  /** `topicId` as its 16 bytes. */
  readonly topicBytes = new Uint8Array(16);
  /** How far the log is compacted; undefined where it never was. */
  compacted: CompactedPart | undefined;
  /** Told when compaction has removed records that were readable before. */
  onCompacted: (() => void) | undefined;
  readonly #sources: LogSources;
  /** First offset that may be read. Grows only. */
  #startOffset = 0;
  /** Behind the last batch, one in the open frame included. Falls only when that frame could not be written. */
  #endOffset = 0;
  #runs: Run[] = [];
  #runBytes = 0;
  #walBytes = 0;
  /** Undefined while the WAL has nothing of this partition: an idle partition costs next to nothing. */
  #walIndex: WalIndex | undefined;
  #isDropped = false;

  constructor(topicId: string, partition: number, sources: LogSources) {
    this.topicId = topicId;
    this.partition = partition;
    this.#sources = sources;
    writeUuid(topicId, this.topicBytes, 0);
  }

  get startOffset(): number {
    return this.#startOffset;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  /** Bytes of all batches that are kept. */
  get sizeBytes(): number {
    return this.#runBytes + this.#walBytes;
  }

  get runs(): readonly Run[] {
    return this.#runs;
  }

  get isDropped(): boolean {
    return this.#isDropped;
  }

  /**
   * Whole batches from the one that holds `from` on, or from the next one where compaction left a
   * gap; at most one run of a segment, or what the WAL has. Undefined when nothing is there below
   * `limits.endOffset`, or the first batch is over `limits.bytesMax` and not demanded.
   * @throws LogError `data_corrupt` (it may also reject with it).
   */
  read(
    from: number,
    limits: ReadLimits,
  ): FetchedBytes | undefined | Promise<FetchedBytes | undefined> {
    if (from >= limits.endOffset) return undefined;
    const run = this.#runOf(from);
    if (run !== undefined) return this.#sources.segments.read(run, from, limits);
    return this.#readFromWal(from, limits);
  }

  /**
   * The same before this returns, also where that waits for the device.
   * @throws LogError `data_corrupt`.
   */
  readNow(from: number, limits: ReadLimits): FetchedBytes | undefined {
    if (from >= limits.endOffset) return undefined;
    const run = this.#runOf(from);
    if (run !== undefined) return this.#sources.segments.readNow(run, from, limits);
    return this.#readFromWal(from, limits);
  }

  #runOf(offset: number): Run | undefined {
    return this.#runs[partitionPoint(this.#runs.length, (i) => this.#runEnd(i) <= offset)];
  }

  #readFromWal(from: number, limits: ReadLimits): FetchedBytes | undefined {
    const index = this.#walIndex;
    if (index === undefined) return undefined;
    const first = Math.max(index.find(from), 0);
    const { count, bytes } = this.#planWal(index, first, limits);
    return count === 0 ? undefined : this.#readWal(index, { first, count, bytes });
  }

  #runEnd(index: number): number {
    return this.#runs[index]?.endOffset ?? Infinity;
  }

  #planWal(index: WalIndex, first: number, limits: ReadLimits): { count: number; bytes: number } {
    let count = 0;
    let bytes = 0;
    for (let at = first; at < index.count; at++) {
      if (index.baseOffset(at) >= limits.endOffset) break;
      const next = bytes + index.sizeBytes(at);
      const isDemanded = count === 0 && limits.atLeastOneBatch;
      if (next > limits.bytesMax && !isDemanded) break;
      bytes = next;
      count++;
    }
    return { count, bytes };
  }

  // hot: bench/server
  #readWal(
    index: WalIndex,
    wanted: { readonly first: number; readonly count: number; readonly bytes: number },
  ): FetchedBytes {
    const { pool } = this.#sources;
    const waste = wanted.count === 1 ? 0 : Math.min(SPAN_WASTE_BYTES, wanted.bytes);
    const memory = pool.acquire(wanted.bytes + waste);
    try {
      this.#readSpans(index, wanted.first, wanted.first + wanted.count, memory);
    } catch (error) {
      pool.release(memory);
      throw error;
    }
    return {
      bytes: memory.subarray(0, wanted.bytes),
      // The header of the last batch that was checked.
      nextOffset: header.nextOffset,
      release: () => pool.release(memory),
    };
  }

  /**
   * Reads entries [first, last) one after another to the start of `memory`, with their CRCs checked.
   * A span takes in what lies between its batches; it is squeezed out before the next span is read.
   */
  // oxlint-disable-next-line max-params -- a range and where it goes
  #readSpans(index: WalIndex, first: number, last: number, memory: Uint8Array): void {
    let filled = 0;
    for (let at = first; at < last;) {
      const start = index.address(at);
      const spanLast = spanEnd(index, at, last, memory.length - filled);
      const end = index.address(spanLast - 1) + index.sizeBytes(spanLast - 1);
      const { file } = this.#sources.wal.file(addressFile(start));
      const from = filled;
      const span = memory.subarray(from, from + end - start);
      const count = readOrFail(file, span, addressPosition(start));
      if (count !== end - start) throw damagedWal(file.path, addressPosition(start));
      for (; at < spanLast; at++) {
        const source = from + index.address(at) - start;
        const size = index.sizeBytes(at);
        if (source !== filled) memory.copyWithin(filled, source, source + size);
        if (!isBatchOf(index, at, memory, filled)) {
          throw damagedWal(file.path, addressPosition(index.address(at)));
        }
        filled += size;
      }
    }
  }

  /** Base offset of a batch from which reading on meets the first record at or after `timestampMs`. */
  seekTime(timestampMs: number): number | undefined {
    const run = this.#runs.find((one) => one.maxTimestamp >= timestampMs);
    if (run !== undefined) {
      return Math.max(this.#startOffset, this.#sources.segments.seekTime(run, timestampMs));
    }
    const index = this.#walIndex;
    const at = index?.findTime(timestampMs) ?? -1;
    return index === undefined || at < 0
      ? undefined
      : Math.max(this.#startOffset, index.baseOffset(at));
  }

  /** The largest timestamp of any record that is kept; undefined where nothing is. */
  newestTimestamp(): number | undefined {
    let newest: number | undefined;
    for (const run of this.#runs) newest = Math.max(newest ?? run.maxTimestamp, run.maxTimestamp);
    const index = this.#walIndex;
    for (let at = 0; at < (index?.count ?? 0); at++) {
      const timestamp = index?.maxTimestamp(at) ?? 0;
      newest = Math.max(newest ?? timestamp, timestamp);
    }
    return newest;
  }

  // What follows is the store's side.

  /** A batch was put into the open frame. */
  noteAppended(baseOffset: number, nextOffset: number): void {
    invariant(baseOffset === this.#endOffset, "a batch follows the one before it");
    this.#endOffset = nextOffset;
  }

  /** The open frame with everything from `baseOffset` on could not be written. */
  noteFailed(baseOffset: number): void {
    invariant(baseOffset <= this.#endOffset, "what failed had been appended");
    this.#endOffset = baseOffset;
  }

  /** A batch lies at `address` of the WAL. */
  noteWritten(batch: BatchPlace, address: number): void {
    if (this.#isDropped) return;
    this.#walIndex ??= new WalIndex();
    this.#walIndex.push(batch, address);
    this.#walBytes += batch.sizeBytes;
  }

  moveStart(startOffset: number): void {
    if (startOffset <= this.#startOffset) return;
    invariant(startOffset <= this.#endOffset, "the log start is never behind the log end");
    this.#startOffset = startOffset;
  }

  /** Runs that lie wholly before the log start: returned once, and forgotten. */
  takeDeadRuns(): Run[] {
    const count = partitionPoint(this.#runs.length, (i) => this.#runEnd(i) <= this.#startOffset);
    if (count === 0) return [];
    const dead = this.#runs.splice(0, count);
    for (const run of dead) this.#runBytes -= run.sizeBytes;
    return dead;
  }

  /** State as of a checkpoint. */
  restore(startOffset: number, endOffset: number, runs: readonly Run[]): void {
    this.#startOffset = startOffset;
    this.#endOffset = endOffset;
    this.addRuns(runs);
  }

  addRuns(runs: readonly Run[]): void {
    for (const run of runs) {
      this.#runs.push(run);
      this.#runBytes += run.sizeBytes;
    }
  }

  /** Puts `made` in the place of `replaced`, which are consecutive. */
  replaceRuns(replaced: readonly Run[], made: readonly Run[]): void {
    const first = replaced[0];
    const at = first === undefined ? -1 : this.#runs.indexOf(first);
    invariant(at >= 0, "only runs that are there are replaced");
    this.#runs.splice(at, replaced.length, ...made);
    for (const run of replaced) this.#runBytes -= run.sizeBytes;
    for (const run of made) this.#runBytes += run.sizeBytes;
  }

  /** The batches that lie before `address` in the WAL: those in [first, count) are not wholly before the log start. */
  walBefore(address: number): {
    readonly first: number;
    readonly count: number;
    readonly bytes: number;
  } {
    const index = this.#walIndex;
    if (index === undefined) return { first: 0, count: 0, bytes: 0 };
    const count = index.countBefore(address);
    const isAllDead = this.#startOffset >= this.#endOffset;
    const first = isAllDead ? count : Math.min(count, Math.max(index.find(this.#startOffset), 0));
    let bytes = 0;
    for (let at = first; at < count; at++) bytes += index.sizeBytes(at);
    return { first, count, bytes };
  }

  /** Reads batches [first, last) of the WAL's, as many as fit into `bytesMax` but one at least. */
  copyFromWal(
    first: number,
    last: number,
    bytesMax: number,
  ): { readonly count: number; readonly fetched: FetchedBytes } {
    const index = this.#walIndex;
    invariant(index !== undefined && last <= index.count, "what is copied is in the WAL");
    let count = 0;
    let bytes = 0;
    while (first + count < last) {
      const next = bytes + index.sizeBytes(first + count);
      if (count > 0 && next > bytesMax) break;
      bytes = next;
      count++;
    }
    return { count, fetched: this.#readWal(index, { first, count, bytes }) };
  }

  /** The first `count` batches of the WAL's are in segments now. */
  dropFromWal(count: number): void {
    const index = this.#walIndex;
    if (index === undefined || count === 0) return;
    for (let at = 0; at < count; at++) this.#walBytes -= index.sizeBytes(at);
    if (count === index.count) this.#walIndex = undefined;
    else index.dropFront(count);
  }

  drop(): void {
    this.#isDropped = true;
    this.#walIndex = undefined;
    this.#runs = [];
    this.#runBytes = 0;
    this.#walBytes = 0;
  }
}

/** Where a span that starts with entry `first` ends: behind its last entry. */
// oxlint-disable-next-line max-params -- a range and its limit
function spanEnd(index: WalIndex, first: number, last: number, room: number): number {
  const start = index.address(first);
  let end = start + index.sizeBytes(first);
  let at = first + 1;
  for (; at < last; at++) {
    const next = index.address(at);
    const nextEnd = next + index.sizeBytes(at);
    if (next - end > SPAN_GAP_BYTES || nextEnd - start > room) break;
    end = nextEnd;
  }
  return at;
}

const header = new BatchHeader();

/** Whether the batch of entry `at` lies at `position`, whole. Its CRC leaves out what the entry is compared with. */
// oxlint-disable-next-line max-params -- an entry and a place
function isBatchOf(index: WalIndex, at: number, bytes: Uint8Array, position: number): boolean {
  const size = index.sizeBytes(at);
  return (
    checkStoredBatch(bytes, position, position + size, header) === undefined &&
    header.sizeBytes === size &&
    header.baseOffset === index.baseOffset(at) &&
    header.leaderEpoch === index.leaderEpoch(at)
  );
}

function damagedWal(path: string, position: number): LogError {
  return new LogError(
    "data_corrupt",
    `${path}: the batch at position ${position} is damaged. It is not served; restore the file from a backup.`,
  );
}
