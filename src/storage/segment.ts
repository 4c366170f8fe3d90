/**
 * Segments: immutable files of runs. A run is consecutive batches of one partition; a segment holds
 * one run, or, for partitions that got too little to fill a file of their own, one run of each.
 *
 * segment := header run* footer trailer. The grammar is in docs/formats/segment.md.
 */
import { crc32c, readInt64, uuidToString, writeInt64, writeUuid } from "../bytes/index.ts";
import type { Disk, DiskFile } from "../env/index.ts";
import { invariant, LogError } from "../errors/index.ts";
import { BatchHeader } from "../records/index.ts";

const SEGMENT_FORMAT_VERSION = 1;
const SEGMENT_HEADER_BYTES = 64;
/** One index entry for at least this many bytes of a run; nothing but speed depends on it. */
export const INDEX_INTERVAL_BYTES = 8 << 10;
const RUN_BYTES = 88;
const INDEX_ENTRY_BYTES = 24;
const TRAILER_BYTES = 48;
const HEADER_MAGIC = new TextEncoder().encode("CWDSEG1\n");
const TRAILER_MAGIC = new TextEncoder().encode("CWDSEGF\n");

/** Consecutive batches of one partition and one leader epoch within a segment, without a gap in their offsets. */
export interface Run {
  readonly segmentNumber: number;
  readonly topicId: string;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly baseOffset: number;
  /** Behind the last record. */
  readonly endOffset: number;
  /** Of the first batch, in the file. */
  readonly position: number;
  readonly sizeBytes: number;
  readonly maxTimestamp: number;
  readonly batchCount: number;
  /** Additive over the batches (`batchSum`): equal sums mean that no batch is missing, added or changed. */
  readonly sum: number;
  /** Of the first index entry, in the file. */
  readonly indexPosition: number;
  readonly indexCount: number;
}

/** Where a segment, or a run in it, ends. A batch that is beyond a limit by itself has a segment of its own. */
export interface SegmentLimits {
  /** A segment that has these bytes gets no further batch. */
  readonly bytes: number;
  /** A segment never has more records. */
  readonly records: number;
  /** No run goes on past a multiple of this time since 1970, so that retention by age finds runs that are old as a whole. */
  readonly ms: number;
}

const UNLIMITED: SegmentLimits = { bytes: Infinity, records: Infinity, ms: Infinity };

/** The span of time, counted in multiples of `ms` since 1970, in which a batch or a run ends. */
export function timeSpanOf(
  { maxTimestamp }: { readonly maxTimestamp: number },
  ms: number,
): number {
  return Math.floor(maxTimestamp / ms);
}

/** What one batch adds to the sum of its run, modulo 2^32. */
export function batchSum(batch: {
  readonly crc: number;
  readonly baseOffset: number;
  readonly lastOffset: number;
}): number {
  const { crc, baseOffset, lastOffset } = batch;
  return (crc + Math.imul(baseOffset | 0, 0x9e3779b1) + (lastOffset - baseOffset)) >>> 0;
}

export function segmentFileName(segmentNumber: number): string {
  return `${String(segmentNumber).padStart(20, "0")}.seg`;
}

/** The number in a segment's name; undefined for other files. */
export function segmentNumberOf(name: string): number | undefined {
  return /^\d{20}\.seg$/.test(name) ? Number(name.slice(0, 20)) : undefined;
}

interface SegmentIdentity {
  readonly storeId: string;
  readonly segmentNumber: number;
}

/** Whose batches a run holds, and who is told where it came to lie. */
export interface RunTarget {
  readonly topicId: string;
  readonly partition: number;
  made(run: Run): void;
}

interface OpenRun {
  readonly target: RunTarget;
  readonly topicId: string;
  readonly partition: number;
  leaderEpoch: number;
  baseOffset: number;
  endOffset: number;
  readonly position: number;
  maxTimestamp: number;
  batchCount: number;
  sum: number;
  /** Bytes of the run at its last index entry. */
  indexedBytes: number;
  readonly index: { baseOffset: number; position: number; maxTimestamp: number }[];
}

interface WriterOptions {
  readonly limits?: SegmentLimits;
  /** Where a run ends for its age the segment does, too: it holds one partition, and goes when that run may. */
  readonly isOwn?: boolean;
}

/** Writes one segment, front to back, and syncs it. */
export class SegmentWriter {
  readonly path: string;
  readonly #identity: SegmentIdentity;
  readonly #limits: SegmentLimits;
  readonly #isOwn: boolean;
  readonly #file: DiskFile;
  readonly #done: OpenRun[] = [];
  readonly #header = new BatchHeader();
  #run: OpenRun | undefined;
  #position = SEGMENT_HEADER_BYTES;
  #batchCount = 0;
  #recordCount = 0;

  // oxlint-disable-next-line max-params -- a place, and what goes there
  constructor(
    disk: Disk,
    directory: string,
    identity: SegmentIdentity,
    { limits = UNLIMITED, isOwn = false }: WriterOptions = {},
  ) {
    this.#identity = identity;
    this.#limits = limits;
    this.#isOwn = isOwn;
    this.path = `${directory}/${segmentFileName(identity.segmentNumber)}`;
    // A number that was used by a build that did not finish may still have its file.
    if (disk.exists(this.path)) disk.remove(this.path);
    this.#file = disk.open(this.path, "create");
    this.#file.write([encodeHeader(identity)], 0);
  }

  get segmentNumber(): number {
    return this.#identity.segmentNumber;
  }

  /** Bytes written so far. */
  get sizeBytes(): number {
    return this.#position;
  }

  startRun(target: RunTarget): void {
    this.#endRun();
    this.#run = openRun(target, this.#position);
  }

  /**
   * Adds whole batches to the run until the segment ends, and returns their bytes: the others belong
   * to the next one. `bytes` belong to the call until it settles.
   */
  async append(bytes: Uint8Array): Promise<number> {
    let taken = 0;
    while (taken < bytes.length) {
      this.#header.read(bytes, taken);
      if (this.#isBeyond(this.#position + taken)) break;
      this.#note(this.#position + taken);
      taken += this.#header.sizeBytes;
      invariant(taken <= bytes.length, "a segment is made of whole batches");
    }
    await this.#file.writeAsync([bytes.subarray(0, taken)], this.#position);
    this.#position += taken;
    return taken;
  }

  /** Whether the segment ends before the batch of `#header`. */
  #isBeyond(filePosition: number): boolean {
    if (this.#batchCount === 0) return false;
    const { bytes, records } = this.#limits;
    return (
      filePosition >= bytes ||
      this.#recordCount + this.#header.recordCount > records ||
      (this.#isOwn && this.#run !== undefined && this.#isNewer(this.#run))
    );
  }

  /** Whether the batch of `#header` is too new for the run. A late one is not: it goes when the run does. */
  #isNewer(run: OpenRun): boolean {
    const { ms } = this.#limits;
    return run.batchCount > 0 && timeSpanOf(this.#header, ms) > timeSpanOf(run, ms);
  }

  /** The batch of `#header` goes to `filePosition`. */
  #note(filePosition: number): void {
    const header = this.#header;
    const run = this.#runFor(filePosition);
    this.#batchCount++;
    this.#recordCount += header.recordCount;
    const position = filePosition - run.position;
    if (run.batchCount === 0) {
      run.baseOffset = header.baseOffset;
      run.leaderEpoch = header.leaderEpoch;
    } else {
      invariant(header.baseOffset === run.endOffset, "a run has no gap");
    }
    run.endOffset = header.nextOffset;
    run.batchCount++;
    run.maxTimestamp = Math.max(run.maxTimestamp, header.maxTimestamp);
    run.sum = (run.sum + batchSum(header)) >>> 0;
    if (position - run.indexedBytes >= INDEX_INTERVAL_BYTES) {
      run.index.push({ baseOffset: header.baseOffset, position, maxTimestamp: run.maxTimestamp });
      run.indexedBytes = position;
    } else {
      // The last entry's time covers all batches up to the next entry.
      const last = run.index.at(-1);
      if (last !== undefined) last.maxTimestamp = run.maxTimestamp;
    }
  }

  /** The open run, or a new one of the same partition where the leader epoch changes or the run would get too long. */
  #runFor(filePosition: number): OpenRun {
    const run = this.#run;
    invariant(run !== undefined, "batches belong to a run");
    const isSameEpoch = run.leaderEpoch === this.#header.leaderEpoch;
    if (run.batchCount === 0 || (isSameEpoch && !this.#isNewer(run))) return run;
    this.#endRun();
    this.#run = openRun(run.target, filePosition);
    return this.#run;
  }

  #endRun(): void {
    if (this.#run !== undefined && this.#run.batchCount > 0) this.#done.push(this.#run);
    this.#run = undefined;
  }

  /** Writes the footer, syncs the file and tells each run's target. The caller syncs the directory. */
  async finish(): Promise<void> {
    this.#endRun();
    const { footer, runs } = encodeFooter(this.#identity.segmentNumber, this.#done, this.#position);
    await this.#file.writeAsync([footer], this.#position);
    await this.#file.sync();
    this.#file.close();
    for (const [i, run] of runs.entries()) this.#done[i]?.target.made(run);
  }

  /** Gives up: closes and removes the file. */
  abandon(disk: Disk): void {
    this.#file.close();
    disk.remove(this.path);
  }
}

function openRun(target: RunTarget, position: number): OpenRun {
  return {
    target,
    topicId: target.topicId,
    partition: target.partition,
    position,
    leaderEpoch: -1,
    baseOffset: -1,
    endOffset: -1,
    maxTimestamp: -1,
    batchCount: 0,
    sum: 0,
    indexedBytes: -INDEX_INTERVAL_BYTES,
    index: [],
  };
}

function encodeHeader(identity: SegmentIdentity): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(HEADER_MAGIC, 0);
  view.setUint32(12, SEGMENT_FORMAT_VERSION);
  writeUuid(identity.storeId, bytes, 16);
  writeInt64(view, 32, identity.segmentNumber);
  view.setUint32(8, crc32c(bytes, 12, SEGMENT_HEADER_BYTES));
  return bytes;
}

function encodeFooter(
  segmentNumber: number,
  open: readonly OpenRun[],
  footerPosition: number,
): { footer: Uint8Array; runs: Run[] } {
  const indexCount = open.reduce((sum, run) => sum + run.index.length, 0);
  const footerBytes = open.length * RUN_BYTES + indexCount * INDEX_ENTRY_BYTES;
  const bytes = new Uint8Array(footerBytes + TRAILER_BYTES);
  const view = new DataView(bytes.buffer);
  const runs: Run[] = [];
  let indexAt = open.length * RUN_BYTES;
  for (const [i, one] of open.entries()) {
    const next = open[i + 1]?.position ?? footerPosition;
    const { index, indexedBytes: _, target: _target, ...facts } = one;
    const run: Run = {
      ...facts,
      segmentNumber,
      sizeBytes: next - one.position,
      indexPosition: footerPosition + indexAt,
      indexCount: index.length,
    };
    runs.push(run);
    encodeRun(run, bytes, view, i * RUN_BYTES);
    for (const entry of index) {
      writeInt64(view, indexAt, entry.baseOffset);
      view.setUint32(indexAt + 8, entry.position);
      writeInt64(view, indexAt + 16, entry.maxTimestamp);
      indexAt += INDEX_ENTRY_BYTES;
    }
  }
  const trailer = footerBytes;
  bytes.set(TRAILER_MAGIC, trailer);
  view.setUint32(trailer + 12, open.length);
  writeInt64(view, trailer + 16, footerPosition);
  writeInt64(view, trailer + 24, footerBytes);
  writeInt64(view, trailer + 32, segmentNumber);
  view.setUint32(trailer + 40, crc32c(bytes, 0, footerBytes));
  view.setUint32(trailer + 8, crc32c(bytes, trailer + 12, trailer + TRAILER_BYTES));
  return { footer: bytes, runs };
}

// oxlint-disable-next-line max-params -- bytes and their view belong together
function encodeRun(run: Run, bytes: Uint8Array, view: DataView, at: number): void {
  writeUuid(run.topicId, bytes, at);
  view.setUint32(at + 16, run.partition);
  view.setUint32(at + 20, run.indexCount);
  writeInt64(view, at + 24, run.baseOffset);
  writeInt64(view, at + 32, run.endOffset);
  writeInt64(view, at + 40, run.position);
  writeInt64(view, at + 48, run.sizeBytes);
  writeInt64(view, at + 56, run.maxTimestamp);
  view.setUint32(at + 64, run.batchCount);
  view.setUint32(at + 68, run.sum);
  writeInt64(view, at + 72, run.indexPosition);
  view.setInt32(at + 80, run.leaderEpoch);
}

/** A segment's footer: its runs and their indexes. */
export interface SegmentFooter {
  readonly runs: readonly Run[];
  /** The whole footer, from `position` on of the file. */
  readonly bytes: Uint8Array;
  /** Of `bytes`. */
  readonly view: DataView;
  readonly position: number;
}

/**
 * Reads and checks header and footer of a segment.
 * @throws LogError `data_corrupt`, `format_newer`, both with the file's name.
 */
export function readSegmentFooter(file: DiskFile, identity: SegmentIdentity): SegmentFooter {
  checkHeader(file, identity);
  const size = file.size();
  const trailer = new Uint8Array(TRAILER_BYTES);
  if (size < SEGMENT_HEADER_BYTES + TRAILER_BYTES) throw damaged(file, size, "it is cut short");
  file.read(trailer, size - TRAILER_BYTES);
  const view = new DataView(trailer.buffer);
  const isWhole =
    TRAILER_MAGIC.every((byte, i) => trailer[i] === byte) &&
    view.getUint32(8) === crc32c(trailer, 12, TRAILER_BYTES);
  if (!isWhole) throw damaged(file, size - TRAILER_BYTES, "its trailer is damaged");
  const position = readInt64(view, 16);
  const footerBytes = readInt64(view, 24);
  if (position + footerBytes + TRAILER_BYTES !== size) {
    throw damaged(file, size - TRAILER_BYTES, "its trailer does not fit its size");
  }
  const bytes = new Uint8Array(footerBytes);
  file.read(bytes, position);
  if (crc32c(bytes) !== view.getUint32(40)) throw damaged(file, position, "its footer is damaged");
  const runs = decodeRuns(bytes, view.getUint32(12), identity.segmentNumber);
  return { runs, bytes, view: new DataView(bytes.buffer), position };
}

function checkHeader(file: DiskFile, identity: SegmentIdentity): void {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  file.read(bytes, 0);
  const view = new DataView(bytes.buffer);
  const isWhole =
    HEADER_MAGIC.every((byte, i) => bytes[i] === byte) &&
    view.getUint32(8) === crc32c(bytes, 12, SEGMENT_HEADER_BYTES);
  if (!isWhole) throw damaged(file, 0, "its header is damaged");
  if (view.getUint32(12) > SEGMENT_FORMAT_VERSION) {
    throw new LogError(
      "format_newer",
      `${file.path} has segment format ${view.getUint32(12)}; this version reads up to ${SEGMENT_FORMAT_VERSION}. Use the newer version that wrote it.`,
    );
  }
  const isOurs =
    uuidToString(bytes, 16) === identity.storeId && readInt64(view, 32) === identity.segmentNumber;
  if (!isOurs) throw damaged(file, 0, "it belongs to another store or another place in this one");
}

function decodeRuns(bytes: Uint8Array, count: number, segmentNumber: number): Run[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: count }, (_, i) => {
    const at = i * RUN_BYTES;
    return {
      segmentNumber,
      topicId: uuidToString(bytes, at),
      partition: view.getUint32(at + 16),
      indexCount: view.getUint32(at + 20),
      baseOffset: readInt64(view, at + 24),
      endOffset: readInt64(view, at + 32),
      position: readInt64(view, at + 40),
      sizeBytes: readInt64(view, at + 48),
      maxTimestamp: readInt64(view, at + 56),
      batchCount: view.getUint32(at + 64),
      sum: view.getUint32(at + 68),
      indexPosition: readInt64(view, at + 72),
      leaderEpoch: view.getInt32(at + 80),
    };
  });
}

/** The parts of a run's index that a lookup needs. */
export interface IndexEntry {
  readonly baseOffset: number;
  /** Bytes from the start of the run. */
  readonly position: number;
  /** The largest timestamp from the start of the run up to the next entry. */
  readonly maxTimestamp: number;
}

/** Reads entry `index` of a run. */
export function indexEntry(footer: SegmentFooter, run: Run, index: number): IndexEntry {
  invariant(index >= 0 && index < run.indexCount, "an index entry within the run's index");
  const { view } = footer;
  const at = run.indexPosition - footer.position + index * INDEX_ENTRY_BYTES;
  return {
    baseOffset: readInt64(view, at),
    position: view.getUint32(at + 8),
    maxTimestamp: readInt64(view, at + 16),
  };
}

/** Number of entries from the front for which `isBefore` holds; it must hold for a prefix. */
export function partitionPoint(count: number, isBefore: (index: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function damaged(file: DiskFile, position: number, what: string): LogError {
  return new LogError(
    "data_corrupt",
    `${file.path}: ${what} (position ${position}). Nothing was changed. Restore the file from a backup; \`cordwood storage verify\` shows what else is affected.`,
  );
}
