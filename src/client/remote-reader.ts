/** Reads the records of some topics of a server, one at a time, as fast as they are asked for. */
import { LogError } from "../errors/index.ts";
import type { Record as WireRecord } from "../proto/index.ts";
import { abortError, type BatchReader, type Position, type TopicRecord } from "../values/index.ts";
import type { TopicStream } from "./topic-stream.ts";

/** One topic of a reader. */
export interface ReadSource<T> {
  readonly stream: TopicStream;
  /** The record as a program sees it; later, where its schema takes its time. */
  decode(record: WireRecord): TopicRecord<T> | Promise<TopicRecord<T>>;
}

export interface ReaderOptions<T> {
  /** Called at the first step. @throws LogError invalid_argument. */
  readonly open: (signal: AbortSignal) => readonly ReadSource<T>[];
  /** Records at most. */
  readonly limit: number;
  /** Ends whatever waits. */
  readonly signals: readonly AbortSignal[];
}

/** Several topics are read by time as far as their records are at hand; one topic is in order as the server gives it. */
export class RemoteReader<T> implements AsyncIterableIterator<TopicRecord<T>>, BatchReader {
  readonly #options: ReaderOptions<T>;
  readonly #signal: AbortSignal;
  #sources: readonly ReadSource<T>[] | undefined;
  #left: number;
  #isDone = false;
  /** The last step that was asked for; steps follow one another. */
  #step: Promise<unknown> = Promise.resolve();

  constructor(options: ReaderOptions<T>) {
    this.#options = options;
    this.#left = options.limit;
    this.#signal = AbortSignal.any([...options.signals]);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<TopicRecord<T>>> {
    const step = this.#step.then(() => this.#next());
    // The step that comes after a failed one is told that there is no more.
    this.#step = step.catch(() => undefined);
    return step;
  }

  return(): Promise<IteratorResult<TopicRecord<T>>> {
    this.#end();
    return Promise.resolve(done);
  }

  /** Waits for a record, and takes with it those that are at hand, up to `countMax`. Empty at the end. */
  async gather(countMax: number): Promise<readonly TopicRecord<T>[]> {
    const records: TopicRecord<T>[] = [];
    let step = await this.next();
    while (step.done !== true) {
      records.push(step.value);
      if (records.length >= countMax || this.#ready() === undefined) break;
      step = await this.next();
    }
    return records;
  }

  /** Of all partitions, once a record was given. */
  position(): Position {
    const position: Record<string, number> = {};
    for (const { stream } of this.#sources ?? []) {
      for (const [partition, offset] of stream.position) {
        position[`${stream.topic}/${partition}`] = offset;
      }
    }
    return position;
  }

  async #next(): Promise<IteratorResult<TopicRecord<T>>> {
    try {
      this.#refuseIfAborted();
      if (this.#isDone || this.#left <= 0) return this.#end();
      this.#sources ??= this.#options.open(this.#signal);
      const source = await this.#filled(this.#sources);
      const record = source?.stream.head;
      if (source === undefined || record === undefined) return this.#end();
      const decoded = source.decode(record);
      source.stream.take();
      this.#left--;
      return { done: false, value: decoded instanceof Promise ? await decoded : decoded };
    } catch (thrown) {
      this.#end();
      throw LogError.from(thrown);
    }
  }

  /** A source with a record at hand; undefined where nothing comes any more. */
  async #filled(sources: readonly ReadSource<T>[]): Promise<ReadSource<T> | undefined> {
    for (;;) {
      const ready = this.#ready();
      if (ready !== undefined) return ready;
      const open = sources.filter(({ stream }) => !stream.isDone);
      if (open.length === 0 || this.#isDone) return undefined;
      await Promise.race(open.map(({ stream }) => stream.filled()));
      this.#refuseIfAborted();
    }
  }

  /** Of the sources that have a record at hand the one with the oldest. */
  #ready(): ReadSource<T> | undefined {
    let oldest: ReadSource<T> | undefined;
    let timestamp = 0n;
    for (const source of this.#sources ?? []) {
      const { head } = source.stream;
      if (head === undefined || (oldest !== undefined && head.timestampMs >= timestamp)) continue;
      oldest = source;
      timestamp = head.timestampMs;
    }
    return oldest;
  }

  #end(): IteratorReturnResult<undefined> {
    this.#isDone = true;
    for (const { stream } of this.#sources ?? []) stream.close();
    return done;
  }

  #refuseIfAborted(): void {
    for (const signal of this.#options.signals) if (signal.aborted) throw abortError(signal);
  }
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };
