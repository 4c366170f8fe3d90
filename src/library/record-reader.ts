/** Reads records of some partitions, one at a time, as fast as they are asked for. */
import { oldestOf, PartitionSource, type SourceRange, whenAdvanced } from "../broker/index.ts";
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import type { RecordCursor, RecordHeader } from "../records/index.ts";
import { abortError, type TopicRecord } from "../values/index.ts";
import { ChunkBytes } from "./chunk-bytes.ts";

/** Makes a value of the record that a cursor stands on; may answer later. `bytes` are the cursor's. */
export type Decode<T> = (
  bytes: ChunkBytes,
  cursor: RecordCursor,
  partition: number,
) => T | Promise<T>;

/** One partition of a reader. Its memory is never reused, so views of it stay as they are. */
export class TopicSource<out T> extends PartitionSource {
  readonly topic: string;
  readonly decode: Decode<T>;
  /** `cursor.bytes`. */
  bytes = new ChunkBytes(new Uint8Array(0));

  // oxlint-disable-next-line max-params -- whose records, which of them, and what becomes of them
  constructor(topic: string, partition: Partition, decode: Decode<T>, range: SourceRange) {
    super(partition, range);
    this.topic = topic;
    this.decode = decode;
  }

  protected override moved(): void {
    const { bytes } = this.cursor;
    if (!this.bytes.isOf(bytes)) this.bytes = new ChunkBytes(bytes);
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
  readonly #open: () => Promise<readonly TopicSource<T>[]>;
  readonly #options: ReaderOptions;
  /** None before the first step. */
  #sources: readonly TopicSource<T>[] = [];
  #isOpen = false;
  #left: number;
  #isDone = false;
  /** The step under way; steps that are asked for at the same time follow one another. */
  #step: Promise<IteratorResult<TopicRecord<T>>> | undefined;

  /** `open` finds where each partition begins and ends, at the first step. */
  constructor(open: () => Promise<readonly TopicSource<T>[]>, options: ReaderOptions) {
    this.#open = open;
    this.#options = options;
    this.#left = options.limit;
  }

  /** Whether there is a record to read now. */
  get hasMore(): boolean {
    return this.#sources.some((source) => source.hasMore);
  }

  /** What was read so far, and of it what each partition goes on with. */
  get sources(): readonly TopicSource<T>[] {
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
      const source = oldestOf(this.#sources);
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
      const source = oldestOf(this.#sources);
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
      await this.#gatherAtHand(records, countMax);
      if (records.length >= countMax) break;
      step = await this.#find();
    }
    return records;
  }

  /** Takes the records that are in memory, without a promise for each. */
  async #gatherAtHand(records: TopicRecord<T>[], countMax: number): Promise<void> {
    while (records.length < countMax) {
      const source = oldestOf(this.#sources);
      if (source === undefined || this.#isPassedOver(source)) return;
      const record = this.#take(source);
      records.push(record instanceof Promise ? await record : record);
    }
  }

  #isPassedOver(source: TopicSource<T>): boolean {
    return source.cursor.valueStart < 0 && !this.#options.deletions;
  }

  #give(source: TopicSource<T>): Promise<IteratorResult<TopicRecord<T>>> {
    const record = this.#take(source);
    if (!(record instanceof Promise)) return Promise.resolve({ done: false, value: record });
    return record.then((value) => ({ done: false, value }));
  }

  // hot: once for every record.
  #take(source: TopicSource<T>): TopicRecord<T> | Promise<TopicRecord<T>> {
    const value = source.decode(source.bytes, source.cursor, source.partition.index);
    this.#left--;
    if (!(value instanceof Promise)) return takeRecord(source, value);
    const record = takeRecord(source, undefined);
    return value.then((late) => ({ ...record, value: late }));
  }

  #moved(): Promise<void> {
    const partitions = this.#sources.map(({ partition }) => partition);
    return whenAdvanced(partitions, this.#options.signals);
  }

  #refuseIfAborted(): void {
    for (const signal of this.#options.signals) if (signal.aborted) throw abortError(signal);
  }
}

/** The record that `source` stands on, which goes on to the next. */
function takeRecord<V>(source: TopicSource<unknown>, value: V): TopicRecord<V> {
  const { cursor, bytes } = source;
  const { keyStart, keyEnd } = cursor;
  const record = {
    topic: source.topic,
    partition: source.partition.index,
    offset: cursor.offset,
    timestamp: cursor.timestamp,
    key: keyStart < 0 ? undefined : bytes.text(keyStart, keyEnd),
    keyBytes: keyStart < 0 ? undefined : bytes.view(keyStart, keyEnd),
    headers: cursor.headerCount === 0 ? noHeaders : cursor.headers(),
    value,
  };
  source.take();
  return record;
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };
const noHeaders: readonly RecordHeader[] = Object.freeze([]);
