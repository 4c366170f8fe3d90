/** A topic as a program uses it: typed values in, typed records out. */
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import {
  type Appended,
  type AppendManyOptions,
  type AppendOptions,
  appendPlaced,
  type OffsetRange,
  placeValues,
  type ReadFrom,
  type ReadTopicOptions,
  type Topic,
  type TopicRecord,
  type TypedValues,
  vouched,
} from "../values/index.ts";
import type { StoredRecord } from "./partition-writer.ts";
import { type Decode, PartitionSource, RecordReader } from "./record-reader.ts";
import { startOffset } from "./read-from.ts";
import type { TopicCore } from "./topic-core.ts";

/** A topic of a store in this process. */
export class LocalTopic<in In, out Out = In> implements Topic<In, Out> {
  readonly #core: TopicCore;
  readonly #values: TypedValues<Buffer>;
  readonly #ending: AbortSignal;

  constructor(core: TopicCore, values: TypedValues<Buffer>, ending: AbortSignal) {
    this.#core = core;
    this.#values = values;
    this.#ending = ending;
  }

  get name(): string {
    return this.#core.name;
  }

  get partitionCount(): number {
    return this.#core.partitions.length;
  }

  append(value: In, options: AppendOptions = {}): Promise<Appended> {
    try {
      const checked = this.#conform(value);
      if (!(checked instanceof Promise)) return this.#append(checked, options);
      return checked.then((late) => this.#append(late, options));
    } catch (thrown) {
      return Promise.reject(LogError.from(thrown));
    }
  }

  async appendMany(values: Iterable<In>, options: AppendManyOptions = {}): Promise<Appended[]> {
    this.#core.refuseIfClosed();
    const checked = await this.#values.conformAll(values);
    this.#core.refuseIfClosed();
    const headers = this.#values.headers(options.headers);
    const groups = placeValues<StoredRecord>(checked, this.#values, {
      partition: options.partition,
      partitionFor: (key) => this.#core.partitionFor(key),
      recordsOf: (partition) => {
        const timestamp = options.timestamp ?? this.#core.lane(partition).writer.nowMs;
        return (key, value) => ({ timestamp, key, value, headers });
      },
    });
    return appendPlaced(groups, (partition, records) => this.#addAll(partition, records));
  }

  async delete(
    key: string | Uint8Array,
    options: Omit<AppendOptions, "key"> = {},
  ): Promise<Appended> {
    this.#core.refuseIfClosed();
    return this.#put(undefined, this.#values.keyBytes(key), options);
  }

  read(options: ReadTopicOptions = {}): AsyncIterableIterator<TopicRecord<Out>> {
    return this.#read(options, false);
  }

  readWithDeletions(
    options: ReadTopicOptions = {},
  ): AsyncIterableIterator<TopicRecord<Out | undefined>> {
    return this.#read(options, true);
  }

  async last(
    key: string | Uint8Array,
    options: { readonly partition?: number | undefined } = {},
  ): Promise<TopicRecord<Out> | undefined> {
    const bytes = this.#values.keyBytes(key);
    const partition = options.partition ?? this.#core.partitionFor(bytes);
    const lane = this.#core.lane(partition);
    await lane.keys.prepare();
    const offset = await lane.keys.find(bytes);
    if (offset === undefined) return undefined;
    const { value } = await this.#read({ partition, from: offset, limit: 1 }, true).next();
    if (value === undefined || value.value === undefined) return undefined;
    return { ...value, value: value.value };
  }

  async offsets(): Promise<OffsetRange[]> {
    this.#core.refuseIfClosed();
    return this.#core.partitions.map(({ index, logStartOffset, highWatermark }) => ({
      partition: index,
      startOffset: logStartOffset,
      endOffset: highWatermark,
    }));
  }

  truncateBefore(
    offset: number,
    options: { readonly partition?: number | undefined } = {},
  ): Promise<number> {
    const partition = options.partition ?? this.#onlyPartition("truncateBefore");
    return this.#core.lane(partition).partition.deleteRecords(offset);
  }

  /** For the store's own subscriptions: how records of this topic are read. */
  decoder(): Decode<Out> {
    const values = this.#values;
    return (bytes, cursor, partition) => vouched(values.decode(bytes, cursor, partition));
  }

  #read(options: ReadTopicOptions, deletions: boolean): RecordReader<Out> {
    const { follow = false, limit = Infinity, signal, from = "start" } = options;
    const indexes =
      options.partition === undefined
        ? this.#core.partitions.map(({ index }) => index)
        : [options.partition];
    if (typeof from === "number" && indexes.length > 1) this.#onlyPartition(`reading from ${from}`);
    const partitions = indexes.map((index) => this.#core.lane(index).partition);
    const open = (): Promise<PartitionSource<Out>[]> =>
      Promise.all(partitions.map((partition) => this.#source(partition, from, follow)));
    const signals = signal === undefined ? [this.#ending] : [signal, this.#ending];
    return new RecordReader(open, { follow, limit, deletions, signals });
  }

  async #source(
    partition: Partition,
    from: ReadFrom,
    follow: boolean,
  ): Promise<PartitionSource<Out>> {
    const until = follow ? undefined : partition.highWatermark;
    return new PartitionSource(this.name, partition, this.decoder(), {
      from: await startOffset(this.name, partition, from),
      until,
      skipsMissing: from === "start",
    });
  }

  #onlyPartition(what: string): number {
    if (this.partitionCount === 1) return 0;
    throw new LogError(
      "invalid_argument",
      `${this.name} has ${this.partitionCount} partitions, each with offsets of its own: ${what} needs { partition }`,
    );
  }

  #conform(value: unknown): unknown {
    this.#core.refuseIfClosed();
    return this.#values.conform(value);
  }

  #append(value: unknown, options: AppendOptions): Promise<Appended> {
    const { key } = options;
    return this.#put(this.#values.encode(value), this.#values.keyOf(value, key), options);
  }

  #put(
    value: Uint8Array | undefined,
    key: Uint8Array | undefined,
    options: AppendOptions,
  ): Promise<Appended> {
    const { expectedOffset, expectedLastOffset } = options;
    const isPlaced = options.partition !== undefined || key !== undefined;
    const partition =
      expectedOffset !== undefined && !isPlaced
        ? this.#onlyPartition("expectedOffset")
        : (options.partition ?? this.#core.partitionFor(key));
    const timestamp = options.timestamp ?? this.#core.lane(partition).writer.nowMs;
    const record = { timestamp, key, value, headers: this.#values.headers(options.headers) };
    return expectedLastOffset === undefined
      ? this.#add(partition, record, expectedOffset)
      : this.#addAfter(partition, record, options);
  }

  async #add(
    partition: number,
    record: StoredRecord,
    expectedOffset: number | undefined,
  ): Promise<Appended> {
    const { writer, keys } = this.#core.lane(partition);
    const { nextOffset } = writer;
    if (expectedOffset !== undefined && expectedOffset !== nextOffset) {
      throw new LogError(
        "offset_conflict",
        `${this.name}/${partition}: the next offset is ${nextOffset}, not ${expectedOffset}. Read what came in between and decide again.`,
      );
    }
    const adding = writer.add(record);
    if (record.key !== undefined) keys.note(record.key, writer.nextOffset - 1);
    return { partition, offset: await adding };
  }

  /** Appends where the newest record of the key is the expected one: between the look and the append nothing else runs. */
  async #addAfter(
    partition: number,
    record: StoredRecord,
    { expectedOffset, expectedLastOffset }: AppendOptions,
  ): Promise<Appended> {
    const { key } = record;
    if (key === undefined) {
      throw new LogError("invalid_argument", `${this.name}: expectedLastOffset needs a key`);
    }
    const expected = expectedLastOffset === "none" ? undefined : expectedLastOffset;
    const { writer, keys } = this.#core.lane(partition);
    await keys.prepare();
    for (;;) {
      if (keys.isSurely(key, expected)) return this.#add(partition, record, expectedOffset);
      await writer.drained();
      const { nextOffset } = writer;
      const found = await keys.find(key);
      if (found !== expected) throw this.#keyConflict(partition, key, found, expected);
      if (writer.nextOffset === nextOffset) return this.#add(partition, record, expectedOffset);
    }
  }

  // oxlint-disable-next-line max-params -- what the message names
  #keyConflict(
    partition: number,
    key: Uint8Array,
    found: number | undefined,
    expected: number | undefined,
  ): LogError {
    const has = found === undefined ? "has no record" : `was appended last at offset ${found}`;
    const wanted = expected === undefined ? "no record" : `offset ${expected}`;
    return new LogError(
      "offset_conflict",
      `${this.name}/${partition}: the key "${Buffer.from(key).toString()}" ${has}, and ${wanted} was expected. Read its last record and decide again.`,
    );
  }

  async #addAll(partition: number, records: readonly StoredRecord[]): Promise<number> {
    const { writer, keys } = this.#core.lane(partition);
    const adding = writer.addAll(records);
    let offset = writer.nextOffset - records.length;
    for (const { key } of records) {
      if (key !== undefined) keys.note(key, offset);
      offset++;
    }
    return adding;
  }
}
