/** The segments of a store as open files: few descriptors, few footers in memory, reads of runs. */
import type { BufferPool } from "../bytes/index.ts";
import type { Disk, DiskFile } from "../env/index.ts";
import { invariant, LogError } from "../errors/index.ts";
import { BATCH_HEADER_BYTES, BatchHeader, checkStoredBatch } from "../records/index.ts";
import { readError, readOrFail } from "./io-errors.ts";
import type { FetchedBytes, ReadLimits } from "./read.ts";
import {
  INDEX_INTERVAL_BYTES,
  indexEntry,
  partitionPoint,
  readSegmentFooter,
  type Run,
  segmentFileName,
  type SegmentFooter,
} from "./segment.ts";

/** Descriptors that segments may hold open. */
const OPEN_SEGMENTS_MAX = 512;
/** Memory that footers may take. */
const FOOTER_BYTES_MAX = 32 << 20;
/** Segments made within this many bytes are in the page cache: reading them never waits for the device. */
const WARM_BYTES = 256 << 20;

interface OpenSegment {
  readonly segmentNumber: number;
  readonly file: DiskFile;
  readonly footer: SegmentFooter;
  /** Reads under way; the file is closed when there are none. */
  readers: number;
  isClosing: boolean;
}

export class SegmentTable {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #storeId: string;
  readonly #pool: BufferPool;
  /** In order of use, the least recently used first. */
  readonly #open = new Map<number, OpenSegment>();
  /** Number and size of what this process made, newest last. */
  readonly #warm = new Map<number, number>();
  #warmBytes = 0;
  #footerBytes = 0;
  readonly #header = new BatchHeader();

  constructor(
    disk: Disk,
    options: { readonly directory: string; readonly storeId: string; readonly pool: BufferPool },
  ) {
    this.#disk = disk;
    this.#directory = options.directory;
    this.#storeId = options.storeId;
    this.#pool = options.pool;
  }

  /** Notes a segment that was written just now. */
  noteMade(segmentNumber: number, sizeBytes: number): void {
    this.#warm.set(segmentNumber, sizeBytes);
    this.#warmBytes += sizeBytes;
    for (const [oldest, size] of this.#warm) {
      if (this.#warmBytes <= WARM_BYTES) break;
      this.#warm.delete(oldest);
      this.#warmBytes -= size;
    }
  }

  /** Batches of `run` from the one that holds `from`, or the next one, on. */
  read(
    run: Run,
    from: number,
    limits: ReadLimits,
  ): FetchedBytes | undefined | Promise<FetchedBytes | undefined> {
    const segment = this.#segment(run.segmentNumber);
    const plan = planOf(segment.footer, run, from, limits);
    if (this.#warm.has(segment.segmentNumber)) return this.#readSync(segment, plan);
    return this.#readAsync(segment, plan);
  }

  /** The same before this returns, wherever the segment is. */
  readNow(run: Run, from: number, limits: ReadLimits): FetchedBytes | undefined {
    const segment = this.#segment(run.segmentNumber);
    return this.#readSync(segment, planOf(segment.footer, run, from, limits));
  }

  #readSync(segment: OpenSegment, plan: SegmentRead): FetchedBytes | undefined {
    for (let next = plan; ;) {
      const bytes = this.#pool.acquire(next.wanted);
      const count = this.#orRelease(bytes, () =>
        readOrFail(segment.file, bytes, next.run.position + next.start),
      );
      const cut = this.#cutOrRelease(segment, next, bytes, count);
      if (cut.kind !== "again") return cut.kind === "fetched" ? cut.fetched : undefined;
      next = cut.plan;
    }
  }

  async #readAsync(segment: OpenSegment, plan: SegmentRead): Promise<FetchedBytes | undefined> {
    segment.readers++;
    try {
      for (let next = plan; ;) {
        const bytes = this.#pool.acquire(next.wanted);
        const position = next.run.position + next.start;
        const count = await segment.file.readAsync(bytes, position).catch((error: unknown) => {
          this.#pool.release(bytes);
          throw readError(error, segment.file.path);
        });
        const cut = this.#cutOrRelease(segment, next, bytes, count);
        if (cut.kind !== "again") return cut.kind === "fetched" ? cut.fetched : undefined;
        next = cut.plan;
      }
    } finally {
      segment.readers--;
      if (segment.isClosing && segment.readers === 0) segment.file.close();
    }
  }

  /** The memory goes back unless batches in it are given out. */
  // oxlint-disable-next-line max-params -- one read and its outcome
  #cutOrRelease(segment: OpenSegment, plan: SegmentRead, bytes: Uint8Array, count: number): Cut {
    const cut = this.#orRelease(bytes, () => this.#cut(segment, plan, bytes, count));
    if (cut.kind !== "fetched") this.#pool.release(bytes);
    return cut;
  }

  #orRelease<T>(bytes: Uint8Array, work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#pool.release(bytes);
      throw error;
    }
  }

  /** Finds the whole, undamaged batches among what was read. */
  // oxlint-disable-next-line max-params -- one read and its outcome
  #cut(segment: OpenSegment, plan: SegmentRead, bytes: Uint8Array, count: number): Cut {
    const { run, from, limits } = plan;
    const header = this.#header;
    if (count < plan.wanted) throw damagedBatch(segment, run.position + plan.start, "cut short");
    let first = -1;
    let end = 0;
    let expected = plan.startOffset;
    let nextOffset = from;
    for (let at = 0; at < count;) {
      const start = plan.start + at;
      if (at + BATCH_HEADER_BYTES > count) {
        const isRunEnd = plan.start + count >= run.sizeBytes;
        if (isRunEnd) throw damagedBatch(segment, run.position + start, "cut short");
        // Nothing wanted was met yet, and the run goes on.
        if (first < 0) return { kind: "again", plan: readOn(plan, start, expected) };
        break;
      }
      if (!readsAsHeader(header, bytes, at)) {
        throw damagedBatch(segment, run.position + start, "its header is garbage");
      }
      // The batch's own CRC leaves these out, and nothing may be decided by them before they are known to be right.
      const isInPlace = header.baseOffset === expected && header.leaderEpoch === run.leaderEpoch;
      const next = at + header.sizeBytes;
      if (!isInPlace || plan.start + next > run.sizeBytes) {
        const reason = "its offset, leader epoch or size is not what the run says";
        throw damagedBatch(segment, run.position + start, reason);
      }
      const isWanted = header.nextOffset > from;
      if (isWanted && header.baseOffset >= limits.endOffset) break;
      const isFirst = first < 0;
      if (isWanted && !(isFirst && limits.atLeastOneBatch)) {
        if (next - (isFirst ? at : first) > limits.bytesMax) break;
      }
      if (next > count) {
        if (!isFirst) break;
        // The first wanted one is larger than what was read, or one before it reaches further than that.
        return isWanted
          ? {
              kind: "again",
              plan: { ...plan, start, startOffset: expected, wanted: header.sizeBytes },
            }
          : { kind: "again", plan: readOn(plan, plan.start + next, header.nextOffset) };
      }
      const fault = checkStoredBatch(bytes, at, count, header)?.reason;
      if (fault !== undefined) throw damagedBatch(segment, run.position + start, fault);
      expected = header.nextOffset;
      if (isWanted) {
        if (isFirst) first = at;
        end = next;
        nextOffset = header.nextOffset;
      }
      at = next;
      if (at === count && first < 0 && plan.start + at < run.sizeBytes) {
        return { kind: "again", plan: readOn(plan, plan.start + at, expected) };
      }
    }
    if (first < 0) return { kind: "none" };
    const pool = this.#pool;
    const fetched = {
      bytes: bytes.subarray(first, end),
      nextOffset,
      release: () => pool.release(bytes),
    };
    return { kind: "fetched", fetched };
  }

  /** Base offset of the first batch that may hold a record at or after `timestampMs`: an entry's distance before it at most. */
  seekTime(run: Run, timestampMs: number): number {
    const { footer } = this.#segment(run.segmentNumber);
    const before = partitionPoint(
      run.indexCount,
      (i) => indexEntry(footer, run, i).maxTimestamp < timestampMs,
    );
    invariant(before < run.indexCount, "the run's largest timestamp is in its index");
    return indexEntry(footer, run, before).baseOffset;
  }

  /** Closes a segment that nothing refers to any more and removes its file. */
  remove(segmentNumber: number): void {
    this.#close(segmentNumber);
    const size = this.#warm.get(segmentNumber);
    if (size !== undefined) this.#warmBytes -= size;
    this.#warm.delete(segmentNumber);
    const path = `${this.#directory}/${segmentFileName(segmentNumber)}`;
    if (this.#disk.exists(path)) this.#disk.remove(path);
  }

  close(): void {
    for (const segmentNumber of this.#open.keys()) this.#close(segmentNumber);
  }

  #segment(segmentNumber: number): OpenSegment {
    const known = this.#open.get(segmentNumber);
    if (known !== undefined) {
      this.#open.delete(segmentNumber);
      this.#open.set(segmentNumber, known);
      return known;
    }
    const path = `${this.#directory}/${segmentFileName(segmentNumber)}`;
    const open = this.#openSegment(path, segmentNumber);
    const { footer } = open;
    this.#open.set(segmentNumber, open);
    this.#footerBytes += footer.bytes.length;
    for (const oldest of this.#open.keys()) {
      const isOver = this.#open.size > OPEN_SEGMENTS_MAX || this.#footerBytes > FOOTER_BYTES_MAX;
      if (!isOver || oldest === segmentNumber) break;
      this.#close(oldest);
    }
    return open;
  }

  #openSegment(path: string, segmentNumber: number): OpenSegment {
    let file: DiskFile | undefined;
    try {
      file = this.#disk.open(path, "read");
      const footer = readSegmentFooter(file, { storeId: this.#storeId, segmentNumber });
      return { segmentNumber, file, footer, readers: 0, isClosing: false };
    } catch (error) {
      file?.close();
      throw readError(error, path);
    }
  }

  #close(segmentNumber: number): void {
    const segment = this.#open.get(segmentNumber);
    if (segment === undefined) return;
    this.#open.delete(segmentNumber);
    this.#footerBytes -= segment.footer.bytes.length;
    segment.isClosing = true;
    if (segment.readers === 0) segment.file.close();
  }
}

interface SegmentRead {
  readonly run: Run;
  readonly from: number;
  /** Bytes from the start of the run. */
  readonly start: number;
  /** Base offset of the batch there. */
  readonly startOffset: number;
  readonly wanted: number;
  readonly limits: ReadLimits;
}

/** Where reading begins: at the last entry of the index that is not behind `from`. */
// oxlint-disable-next-line max-params -- a run, an offset, and how much
function planOf(footer: SegmentFooter, run: Run, from: number, limits: ReadLimits): SegmentRead {
  const entries = partitionPoint(
    run.indexCount,
    (i) => indexEntry(footer, run, i).baseOffset <= from,
  );
  const entry = entries === 0 ? undefined : indexEntry(footer, run, entries - 1);
  const start = entry?.position ?? 0;
  const startOffset = entry?.baseOffset ?? run.baseOffset;
  // Up to the next entry lies all of the batch that holds `from`, however large it is.
  const next = entries < run.indexCount ? indexEntry(footer, run, entries).position : run.sizeBytes;
  const needed = limits.atLeastOneBatch ? next - start : 0;
  const most = Math.max(needed, limits.bytesMax + INDEX_INTERVAL_BYTES);
  const wanted = Math.min(run.sizeBytes - start, most);
  return { run, from, start, startOffset, wanted, limits };
}

/** The same read from a later batch of the run on. */
function readOn(plan: SegmentRead, start: number, startOffset: number): SegmentRead {
  const left = plan.run.sizeBytes - start;
  const wanted = Math.min(left, plan.limits.bytesMax + INDEX_INTERVAL_BYTES);
  return { ...plan, start, startOffset, wanted };
}

type Cut =
  | { readonly kind: "none" }
  | { readonly kind: "fetched"; readonly fetched: FetchedBytes }
  /** The batches wanted are not, or not whole, among what was read. */
  | { readonly kind: "again"; readonly plan: SegmentRead };

function readsAsHeader(header: BatchHeader, bytes: Uint8Array, position: number): boolean {
  try {
    header.read(bytes, position);
    return header.sizeBytes >= BATCH_HEADER_BYTES;
  } catch {
    // A number in it is beyond what any number of ours can be.
    return false;
  }
}

function damagedBatch(segment: OpenSegment, position: number, reason: string): LogError {
  return new LogError(
    "data_corrupt",
    `${segment.file.path}: the batch at position ${position} is damaged: ${reason}. It is not served; restore the file from a backup.`,
  );
}
