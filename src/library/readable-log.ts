/** Everything about one log that only reads. */
import { LogError } from "../errors/index.ts";
import { RecordCursor } from "../records/index.ts";
import type { FetchedBytes } from "../storage/index.ts";
import { BlockCache, LogBlock } from "./log-block.ts";
import {
  ForwardScan,
  type LogRecord,
  type LogScan,
  noHeaders,
  ReverseScan,
  type ScanRange,
  type ScanSource,
} from "./log-scan.ts";
import { outOfRange, type ReadFrom, timestampOf } from "../values/index.ts";

/** The batches of one log, wherever they are. */
export interface LogSource {
  readonly startOffset: number;
  /** Behind the last record that {@link LogSource.read} finds. */
  readonly endOffset: number;
  /** @throws LogError closed, and why the log has failed. */
  refuseIfEnded(): void;
  /** Makes findable all that is in the log now. @throws LogError as {@link LogSource.refuseIfEnded}. */
  settle(): void;
  /** Whole batches from the one that holds `from`, or the next one, on; one at least. */
  read(from: number, bytesMax: number): FetchedBytes | undefined;
  /** A batch from which reading on meets the first record at or after `timestampMs`. */
  seekTime(timestampMs: number): number | undefined;
  /** Resolves when there may be more, or an abort. */
  moved(signal: AbortSignal | undefined): Promise<void>;
}

export interface ScanOptions {
  /** Default `"start"`. */
  readonly from?: ReadFrom | undefined;
  /** Left out itself. Default `"end"`. */
  readonly to?: ReadFrom | undefined;
  /** From the last record to the first. */
  readonly reverse?: boolean | undefined;
}

export interface FollowOptions {
  /** Default `"start"`. */
  readonly from?: ReadFrom | undefined;
  readonly signal?: AbortSignal | undefined;
}

export abstract class ReadableLog {
  readonly directory: string;
  readonly #source: LogSource;
  readonly #cache: BlockCache;
  readonly #cursor = new RecordCursor();

  constructor(directory: string, source: LogSource, cacheBytes: number) {
    this.directory = directory;
    this.#source = source;
    this.#cache = new BlockCache(cacheBytes);
  }

  /** Offset of the first record that is kept. */
  get startOffset(): number {
    return this.#source.startOffset;
  }

  /** Offset that the next record gets, or for a reader of another process's log has got as far as it has looked. */
  get endOffset(): number {
    return this.#source.endOffset;
  }

  /**
   * One record; negative offsets count from the end. Its bytes are views of the batch that it was read
   * with: they stay as they are and keep that batch in memory. They are for reading; whoever writes into
   * them changes what later reads find in the cache.
   * @throws LogError offset_out_of_range, data_corrupt, closed.
   */
  read(offset: number): LogRecord {
    const at = offset < 0 ? this.endOffset + offset : offset;
    const block = Number.isInteger(at) ? this.#cache.find(at) : undefined;
    if (block === undefined || at < this.startOffset) return this.#readMissed(at, offset);
    return this.#recordOf(block, at);
  }

  // hot: bench/embedded
  #recordOf(block: LogBlock, offset: number): LogRecord {
    const value = block.plainValue(offset);
    if (value !== undefined) {
      return { offset, timestamp: block.timestamp, key: undefined, value, headers: noHeaders };
    }
    const cursor = this.#cursor;
    if (!block.find(offset, cursor)) throw this.#gone(offset);
    return {
      offset,
      timestamp: cursor.timestamp,
      key: cursor.key(),
      value: cursor.value(),
      headers: cursor.headerCount === 0 ? noHeaders : cursor.headers(),
    };
  }

  #readMissed(at: number, asked: number): LogRecord {
    this.#source.refuseIfEnded();
    if (!Number.isSafeInteger(at)) {
      throw new LogError("invalid_argument", `an offset is a whole number, not ${asked}`);
    }
    if (at >= this.#source.endOffset) this.#source.settle();
    if (at < this.startOffset || at >= this.endOffset) throw this.#outOfRange(asked);
    const block = this.#load(at);
    if (block === undefined || block.baseOffset > at) throw this.#gone(at);
    this.#cache.add(block);
    return this.#recordOf(block, at);
  }

  #gone(offset: number): LogError {
    return new LogError(
      "offset_out_of_range",
      `${this.directory} has no record at offset ${offset} any more: a newer one of its key is there, and the log is compacted`,
    );
  }

  /** The batch that holds `offset`, or the next one behind a gap. */
  #load(offset: number): LogBlock | undefined {
    const fetched = this.#source.read(offset, 1);
    if (fetched === undefined) return undefined;
    try {
      return new LogBlock(fetched.bytes);
    } finally {
      fetched.release();
    }
  }

  /**
   * Walks over records, at the moment of the call: what is appended later is not met. The walk is its
   * own record, valid until the next step; {@link LogScan.copy} keeps one.
   * @throws LogError offset_out_of_range, closed.
   */
  scan(options: ScanOptions = {}): LogScan {
    this.#source.settle();
    const range = {
      from: this.#offsetOf(options.from ?? "start"),
      to: this.#offsetOf(options.to ?? "end"),
    };
    return options.reverse === true
      ? new ReverseScan(this.#scanned(), range)
      : new ForwardScan(this.#scanned(), range);
  }

  /** Offset of the first record at or after a time; the end where none is. */
  offsetForTime(time: string | number | Date): number {
    this.#source.settle();
    return this.#searchTime(timestampOf(time));
  }

  /**
   * Records as they come, for ever.
   * @throws LogError offset_out_of_range, cancelled, closed, data_corrupt: by the iterator.
   */
  async *follow(options: FollowOptions = {}): AsyncGenerator<LogRecord, void> {
    const { signal } = options;
    this.#source.settle();
    let next = this.#offsetOf(options.from ?? "start");
    for (;;) {
      if (signal?.aborted === true) {
        throw new LogError("cancelled", "following was cancelled", { cause: signal.reason });
      }
      this.#source.settle();
      // What retention took meanwhile cannot be followed any more.
      if (next < this.startOffset) throw this.#outOfRange(next);
      const range: ScanRange = { from: next, to: this.#source.endOffset };
      for (const record of new ForwardScan(this.#scanned(), range)) {
        next = record.offset + 1;
        yield record.copy();
      }
      next = Math.max(next, range.to);
      await this.#source.moved(signal);
    }
  }

  /** For those who change what was read. */
  protected forget(): void {
    this.#cache.clear();
  }

  #scanned(): ScanSource {
    return {
      read: (from, bytesMax) => this.#source.read(from, bytesMax),
      block: (offset) => this.#blockUpTo(offset),
    };
  }

  /** The batch that holds `offset`, or the last one before it: compaction leaves gaps. */
  #blockUpTo(offset: number): LogBlock | undefined {
    let found = this.#load(offset);
    for (let back = 1; found === undefined || found.baseOffset > offset; back *= 2) {
      if (offset - back / 2 < this.startOffset) return undefined;
      found = this.#load(Math.max(offset - back, this.startOffset));
    }
    let last: LogBlock = found;
    while (last.nextOffset <= offset) {
      const next = this.#load(last.nextOffset);
      if (next === undefined || next.baseOffset > offset) break;
      last = next;
    }
    return last;
  }

  #offsetOf(from: ReadFrom): number {
    const { startOffset: start, endOffset: end } = this;
    if (from === "start") return start;
    if (from === "end") return end;
    if (typeof from === "object") return this.#searchTime(timestampOf(from.time));
    if (!Number.isSafeInteger(from)) {
      throw new LogError("invalid_argument", `an offset is a whole number, not ${from}`);
    }
    if (from < 0) return Math.max(start, end + from);
    if (from >= start && from <= end) return from;
    throw this.#outOfRange(from);
  }

  #searchTime(timestampMs: number): number {
    const found = this.#source.seekTime(timestampMs);
    const { endOffset: to } = this.#source;
    if (found === undefined) return to;
    const from = Math.max(found, this.startOffset);
    for (const record of new ForwardScan(this.#scanned(), { from, to })) {
      if (record.timestamp >= timestampMs) return record.offset;
    }
    return to;
  }

  #outOfRange(offset: number): LogError {
    const { startOffset: start, endOffset: end } = this;
    return outOfRange(this.directory, offset, { start, end });
  }
}
