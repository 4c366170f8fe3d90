/** Reads records of some partitions, one at a time, as fast as they are asked for. */
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import { RecordCursor, type RecordHeader } from "../records/index.ts";
import { abortError, type TopicRecord } from "../values/index.ts";

/** Bytes read from a partition at a time: with what a segment needs beside them, a whole piece of pooled memory. */
const READ_BYTES = 192 << 10;

/** Makes a value of the record that a cursor stands on; may answer later. `bytes` are the cursor's. */
export type Decode<T> = (bytes: Buffer, cursor: RecordCursor, partition: number) => T | Promise<T>;

/** Where reading a partition begins and ends. */
export interface SourceRange {
  readonly from: number;
  /** Undefined follows whatever comes. */
  readonly until: number | undefined;
  /** Whether records that are gone before they were read are passed over; else that is an error. */
  readonly skipsMissing: boolean;
}

/** One partition of a reader. Its memory is never reused, so views of it stay as they are. */
export class PartitionSource<out T> {
  readonly topic: string;
  readonly partition: Partition;
  readonly decode: Decode<T>;
  readonly cursor = new RecordCursor();
  /** `cursor.bytes`, as what has fast text decoding. */
  buffer: Buffer = Buffer.alloc(0);
  /** The cursor stands on a record that was not taken yet. */
  hasRecord = false;
  /** Offset to read next: everything before it was taken, or is not there. */
  next: number;
  readonly #range: SourceRange;
  #chunk: Uint8Array = new Uint8Array(0);
  /** Where the batch after the cursor's begins. */
  #position = 0;

  // oxlint-disable-next-line max-params -- whose records, which of them, and what becomes of them
  constructor(topic: string, partition: Partition, decode: Decode<T>, range: SourceRange) {
    this.topic = topic;
    this.partition = partition;
    this.decode = decode;
    this.#range = range;
    this.next = range.from;
  }

  /** Whether there is something to read now. */
  get hasMore(): boolean {
    return this.hasRecord || this.next < this.#end;
  }

  get #end(): number {
    return Math.min(this.#range.until ?? Infinity, this.partition.highWatermark);
  }

  /** Gives the record up and goes to the next one in memory. */
  take(): void {
    this.next = this.cursor.offset + 1;
    this.hasRecord = false;
    this.#advance();
  }

  /** Gets a record into the cursor, where there is one; a promise where that takes the device. */
  load(): Promise<void> | undefined {
    const { closeReason, logStartOffset } = this.partition;
    if (closeReason !== undefined) throw closeReason;
    if (this.next < logStartOffset && this.#range.skipsMissing) this.next = logStartOffset;
    if (this.next >= this.#end) return undefined;
    const reading = this.partition.read(this.next, {
      bytesMax: READ_BYTES,
      atLeastOneBatch: true,
    });
    if (reading instanceof Promise) return reading.then((fetched) => this.#open(fetched?.bytes));
    this.#open(reading?.bytes);
    return undefined;
  }

  #open(bytes: Uint8Array | undefined): void {
    if (bytes === undefined) {
      // Nothing is left behind `next`, though offsets go on: compaction or deletion took it.
      this.next = this.#end;
      return;
    }
    this.#chunk = bytes;
    this.#position = 0;
    this.#nextBatch();
    this.#advance();
    if (!this.hasRecord) this.next = Math.max(this.next, this.cursor.header.nextOffset);
  }

  // hot: once for every record read through the library.
  #advance(): void {
    const { cursor } = this;
    for (;;) {
      while (cursor.advance()) {
        if (cursor.offset < this.next) continue;
        this.hasRecord = cursor.offset < this.#end;
        return;
      }
      if (this.#position >= this.#chunk.length) return;
      this.#nextBatch();
    }
  }

  #nextBatch(): void {
    const { cursor } = this;
    cursor.reset(this.#chunk, this.#position);
    this.#position += cursor.header.sizeBytes;
    const { bytes } = cursor;
    if (bytes.buffer !== this.buffer.buffer || bytes.length !== this.buffer.length) {
      this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    }
  }
}

export interface ReaderOptions {
  readonly follow: boolean;
  /** Records at most. */
  readonly limit: number;
  /** Whether records without a value are given. */
  readonly deletions: boolean;
  /** Ends whatever waits. */
  readonly signals: readonly AbortSignal[];
}

/**
 * Goes through several partitions: of those that have a record the one with the oldest time first,
 * each in its order. Nothing is read ahead of what is asked for but a chunk of each partition.
 */
export class RecordReader<T> implements AsyncIterableIterator<TopicRecord<T>> {
  readonly #open: () => Promise<readonly PartitionSource<T>[]>;
  readonly #options: ReaderOptions;
  /** None before the first step. */
  #sources: readonly PartitionSource<T>[] = [];
  #isOpen = false;
  #left: number;
  #isDone = false;
  /** The step under way; steps that are asked for at the same time follow one another. */
  #step: Promise<IteratorResult<TopicRecord<T>>> | undefined;

  /** `open` finds where each partition begins and ends, at the first step. */
  constructor(open: () => Promise<readonly PartitionSource<T>[]>, options: ReaderOptions) {
    this.#open = open;
    this.#options = options;
    this.#left = options.limit;
  }

  /** Whether there is a record to read now. */
  get hasMore(): boolean {
    return this.#sources.some((source) => source.hasMore);
  }

  /** What was read so far, and of it what each partition goes on with. */
  get sources(): readonly PartitionSource<T>[] {
    return this.#sources;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<TopicRecord<T>>> {
    if (this.#step !== undefined) {
      const after = this.#step.then(
        () => this.#begin(),
        () => this.#begin(),
      );
      return this.#hold(after);
    }
    return this.#begin();
  }

  return(): Promise<IteratorResult<TopicRecord<T>>> {
    this.#isDone = true;
    return Promise.resolve(done);
  }

  #begin(): Promise<IteratorResult<TopicRecord<T>>> {
    try {
      this.#refuseIfAborted();
      if (this.#isDone || this.#left <= 0) return Promise.resolve(done);
      const source = this.#ready();
      if (source !== undefined && !this.#isPassedOver(source)) return this.#give(source);
    } catch (thrown) {
      this.#isDone = true;
      return Promise.reject(LogError.from(thrown));
    }
    return this.#hold(this.#wait());
  }

  #hold(step: Promise<IteratorResult<TopicRecord<T>>>): Promise<IteratorResult<TopicRecord<T>>> {
    this.#step = step;
    const release = (): void => {
      if (this.#step === step) this.#step = undefined;
    };
    step.then(release, release);
    return step;
  }

  /** The source to take from, where every one of them has its record in memory or none to come. */
  #ready(): PartitionSource<T> | undefined {
    let oldest: PartitionSource<T> | undefined;
    for (const source of this.#sources) {
      if (!source.hasRecord) {
        if (source.hasMore) return undefined;
        continue;
      }
      if (oldest === undefined || source.cursor.timestamp < oldest.cursor.timestamp) {
        oldest = source;
      }
    }
    return oldest;
  }

  async #wait(): Promise<IteratorResult<TopicRecord<T>>> {
    try {
      for (;;) {
        const found = this.#isDone ? done : await this.#find();
        if (found !== undefined) return found;
        if (!this.#options.follow) return done;
        await this.#moved();
      }
    } catch (thrown) {
      this.#isDone = true;
      throw LogError.from(thrown);
    }
  }

  /** The next record of those that are there; undefined where none is. */
  async #find(): Promise<IteratorResult<TopicRecord<T>> | undefined> {
    if (!this.#isOpen) {
      this.#sources = await this.#open();
      this.#isOpen = true;
    }
    for (;;) {
      this.#refuseIfAborted();
      for (const source of this.#sources) if (!source.hasRecord) await source.load();
      const source = this.#ready();
      if (source === undefined && !this.hasMore) return undefined;
      if (source !== undefined && !this.#isPassedOver(source)) return this.#give(source);
      source?.take();
    }
  }

  /** Waits for a record, and takes with it those that are there, up to `countMax`. Empty at the end. */
  async gather(countMax: number): Promise<TopicRecord<T>[]> {
    const records: TopicRecord<T>[] = [];
    let step: IteratorResult<TopicRecord<T>> | undefined = await this.next();
    while (step !== undefined && step.done !== true) {
      records.push(step.value);
      if (records.length >= countMax) break;
      const source = this.#ready();
      const isAtHand = source !== undefined && !this.#isPassedOver(source);
      step = await (isAtHand ? this.#give(source) : this.#find());
    }
    return records;
  }

  #isPassedOver(source: PartitionSource<T>): boolean {
    return source.cursor.valueStart < 0 && !this.#options.deletions;
  }

  // hot: once for every record.
  #give(source: PartitionSource<T>): Promise<IteratorResult<TopicRecord<T>>> {
    const value = source.decode(source.buffer, source.cursor, source.partition.index);
    this.#left--;
    if (!(value instanceof Promise)) {
      return Promise.resolve({ done: false, value: takeRecord(source, value) });
    }
    const record = takeRecord(source, undefined);
    return value.then((late) => ({ done: false, value: { ...record, value: late } }));
  }

  /** Resolves when some partition has more, or is closed. @throws LogError cancelled, limit_exceeded. */
  #moved(): Promise<void> {
    return new Promise((resolve, reject) => {
      const { signals } = this.#options;
      const partitions = this.#sources.map(({ partition }) => partition);
      const end = (settle: () => void): void => {
        for (const partition of partitions) partition.removeWaiter(waiter);
        for (const signal of signals) signal.removeEventListener("abort", aborted);
        settle();
      };
      const waiter = { advanced: () => end(resolve) };
      const aborted = (): void => end(resolve);
      for (const signal of signals) signal.addEventListener("abort", aborted, { once: true });
      if (signals.some((signal) => signal.aborted)) {
        end(resolve);
      } else if (!partitions.every((partition) => partition.addWaiter(waiter))) {
        end(() =>
          reject(new LogError("limit_exceeded", "too many readers wait for one partition")),
        );
      }
    });
  }

  #refuseIfAborted(): void {
    for (const signal of this.#options.signals) if (signal.aborted) throw abortError(signal);
  }
}

/** The record that `source` stands on, which goes on to the next. */
function takeRecord<V>(source: PartitionSource<unknown>, value: V): TopicRecord<V> {
  const { cursor, buffer } = source;
  const { keyStart, keyEnd } = cursor;
  const record = {
    topic: source.topic,
    partition: source.partition.index,
    offset: cursor.offset,
    timestamp: cursor.timestamp,
    key: keyStart < 0 ? undefined : buffer.toString("utf8", keyStart, keyEnd),
    keyBytes: cursor.key(),
    headers: cursor.headerCount === 0 ? noHeaders : cursor.headers(),
    value,
  };
  source.take();
  return record;
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };
const noHeaders: readonly RecordHeader[] = Object.freeze([]);
