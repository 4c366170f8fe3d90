/** A topic as a program uses it: typed values in, typed records out. */
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import type { RecordCursor, RecordHeader } from "../records/index.ts";
import type { StoredRecord } from "./partition-writer.ts";
import { type Decode, PartitionSource, RecordReader, type TopicRecord } from "./record-reader.ts";
import { type ReadFrom, startOffset } from "./read-from.ts";
import { conform, type StandardSchema } from "./standard-schema.ts";
import type { TopicCore } from "./topic-core.ts";
import { type PlacedCodec, vouched } from "./value-codec.ts";

/** Headers by name, or in an order of their own. */
export type AppendHeaders =
  | Readonly<Record<string, string | Uint8Array>>
  | readonly (readonly [name: string, value: string | Uint8Array | undefined])[];

export interface AppendOptions {
  /** In place of what the topic's `key` makes of the value. */
  readonly key?: string | Uint8Array | undefined;
  readonly headers?: AppendHeaders | undefined;
  /** Milliseconds since 1970; now where absent. */
  readonly timestamp?: number | undefined;
  /** In place of the partition that the key belongs to. */
  readonly partition?: number | undefined;
  /** The offset that the record must get: refuses with offset_conflict where another came before it. */
  readonly expectedOffset?: number | undefined;
  /** The offset of the newest record of the same key, or `"none"`: refuses with offset_conflict where that is another one. */
  readonly expectedLastOffset?: number | "none" | undefined;
}

export type AppendManyOptions = Pick<AppendOptions, "headers" | "timestamp" | "partition">;

/** Where a record is. */
export interface Appended {
  readonly partition: number;
  readonly offset: number;
}

export interface ReadTopicOptions {
  /** Default `"start"`. An offset, or a negative number that counts back from the end, needs a topic of one partition or `partition`. */
  readonly from?: ReadFrom | undefined;
  /** Only this one; all of them where absent. */
  readonly partition?: number | undefined;
  /** Goes on with what is appended later; without it reading ends at what was there when it began. */
  readonly follow?: boolean | undefined;
  /** Records at most. */
  readonly limit?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface OffsetRange {
  readonly partition: number;
  /** First offset that can be read. */
  readonly startOffset: number;
  /** Offset of the next record. */
  readonly endOffset: number;
}

/** What makes values of one topic of bytes, and bytes of values. */
export interface TopicValues {
  readonly codec: PlacedCodec;
  readonly schema: StandardSchema | undefined;
  readonly keyOf: ((value: never) => string | Uint8Array | undefined) | undefined;
  readonly checksReads: boolean;
}

/** Anything whose records can be read; what {@link Topic} is to those who only read. */
export interface ReadableTopic<out T> {
  readonly name: string;
  read(options?: ReadTopicOptions): AsyncIterableIterator<TopicRecord<T>>;
}

/**
 * A topic: `In` is what it takes, `Out` what is read from it.
 *
 * @example
 * const orders = await store.topic("orders", { schema: Order, key: (order) => order.id });
 * const { offset } = await orders.append({ id: "o-1", total: 12 });
 */
export class Topic<in In, out Out = In> implements ReadableTopic<Out> {
  readonly #core: TopicCore;
  readonly #values: TopicValues;
  readonly #ending: AbortSignal;

  constructor(core: TopicCore, values: TopicValues, ending: AbortSignal) {
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

  /**
   * Appends a value. Resolves when it is as durable as the store promises.
   * @throws LogError schema_mismatch, record_too_large, offset_conflict, storage_full, closed.
   */
  append(value: In, options: AppendOptions = {}): Promise<Appended> {
    try {
      const checked = this.#conform(value);
      if (!(checked instanceof Promise)) return this.#append(checked, options);
      return checked.then((late) => this.#append(late, options));
    } catch (thrown) {
      return Promise.reject(LogError.from(thrown));
    }
  }

  /**
   * Appends values in one batch for each partition: of each, all are appended or none. Resolves with
   * their places in the order of the values.
   * @throws LogError as `append`; where a value does not fit the schema nothing is appended at all.
   */
  async appendMany(values: Iterable<In>, options: AppendManyOptions = {}): Promise<Appended[]> {
    const checked: unknown[] = [];
    for (const value of values) {
      const one = this.#conform(value);
      checked.push(one instanceof Promise ? await one : one);
    }
    const headers = headersOf(options.headers);
    // What has no key stays together.
    const unkeyed = options.partition ?? this.#core.partitionFor(undefined);
    const groups = new Map<number, PartitionGroup>();
    let group: PartitionGroup | undefined;
    for (let place = 0; place < checked.length; place++) {
      const value = checked[place];
      const key = this.#keyOf(value, undefined);
      const partition =
        options.partition ?? (key === undefined ? unkeyed : this.#core.partitionFor(key));
      if (group?.partition !== partition) {
        const timestamp = options.timestamp ?? this.#core.lane(partition).writer.nowMs;
        group = groups.get(partition) ?? { partition, timestamp, records: [], places: [] };
        groups.set(partition, group);
      }
      const { timestamp } = group;
      group.records.push({ timestamp, key, value: this.#encode(value), headers });
      group.places.push(place);
    }
    const appended: Appended[] = [];
    await Promise.all(
      Array.from(groups.values(), async ({ partition, records, places }) => {
        const base = await this.#addAll(partition, records);
        for (const [index, place] of places.entries()) {
          appended[place] = { partition, offset: base + index };
        }
      }),
    );
    return appended;
  }

  /**
   * Says that a key has no value any more, by a record without one: `last` then finds nothing, and
   * compaction removes the key in time.
   */
  async delete(
    key: string | Uint8Array,
    options: Omit<AppendOptions, "key"> = {},
  ): Promise<Appended> {
    this.#core.refuseIfClosed();
    return this.#put(undefined, bytesOfKey(key), options);
  }

  /**
   * Reads records, of several partitions the one with the oldest time first. What is not asked for is
   * not read. Records without a value are passed over.
   * @throws LogError offset_out_of_range, schema_mismatch, cancelled, closed, data_corrupt: by the iterator.
   */
  read(options: ReadTopicOptions = {}): AsyncIterableIterator<TopicRecord<Out>> {
    return this.#read(options, false);
  }

  /** The same with records without a value, whose value is undefined. */
  readWithDeletions(
    options: ReadTopicOptions = {},
  ): AsyncIterableIterator<TopicRecord<Out | undefined>> {
    return this.#read(options, true);
  }

  /** The newest record of a key; undefined where it has none, or was deleted. The first call reads the partition once, to learn its keys. */
  async last(
    key: string | Uint8Array,
    options: { readonly partition?: number | undefined } = {},
  ): Promise<TopicRecord<Out> | undefined> {
    const bytes = bytesOfKey(key);
    const partition = options.partition ?? this.#core.partitionFor(bytes);
    const lane = this.#core.lane(partition);
    await lane.keys.prepare();
    const offset = await lane.keys.find(bytes);
    if (offset === undefined) return undefined;
    const { value } = await this.#read({ partition, from: offset, limit: 1 }, true).next();
    if (value === undefined || value.value === undefined) return undefined;
    return { ...value, value: value.value };
  }

  /** What each partition has. */
  offsets(): OffsetRange[] {
    this.#core.refuseIfClosed();
    return this.#core.partitions.map(({ index, logStartOffset, highWatermark }) => ({
      partition: index,
      startOffset: logStartOffset,
      endOffset: highWatermark,
    }));
  }

  /**
   * Removes the records before `offset`, durably. Resolves with the new first offset.
   * @throws LogError offset_out_of_range.
   */
  truncateBefore(
    offset: number,
    options: { readonly partition?: number | undefined } = {},
  ): Promise<number> {
    const partition = options.partition ?? this.#onlyPartition("truncateBefore");
    return this.#core.lane(partition).partition.deleteRecords(offset);
  }

  /** For the store's own subscriptions: how records of this topic are read. */
  decoder(): Decode<Out> {
    const { codec, schema, checksReads } = this.#values;
    const { name } = this;
    return (bytes, cursor, partition) => {
      // A record without a value is given only to those who asked for such.
      if (cursor.valueStart < 0) return vouched(undefined);
      const value = decodeAt(codec, bytes, cursor, () => placeOf(name, partition, cursor.offset));
      if (schema === undefined || !checksReads) return vouched(value);
      const { offset } = cursor;
      return vouched(conform(schema, value, () => placeOf(name, partition, offset)));
    };
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
    const { schema } = this.#values;
    return schema === undefined ? value : conform(schema, value, () => this.name);
  }

  #append(value: unknown, options: AppendOptions): Promise<Appended> {
    return this.#put(this.#encode(value), this.#keyOf(value, options.key), options);
  }

  #encode(value: unknown): Uint8Array {
    try {
      return this.#values.codec.encode(value);
    } catch (thrown) {
      const reason = `${this.name}: the value cannot be encoded: ${messageOf(thrown)}`;
      throw new LogError("schema_mismatch", reason, { cause: thrown });
    }
  }

  #keyOf(value: unknown, given: string | Uint8Array | undefined): Uint8Array | undefined {
    // The value has passed the schema, so it is what the function takes.
    const key = given ?? this.#values.keyOf?.(vouched(value));
    return key === undefined ? undefined : bytesOfKey(key);
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
    const record = { timestamp, key, value, headers: headersOf(options.headers) };
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

/** What one call appends to one partition. */
interface PartitionGroup {
  readonly partition: number;
  readonly timestamp: number;
  readonly records: StoredRecord[];
  /** Of each record, its place among the values. */
  readonly places: number[];
}

// oxlint-disable-next-line max-params -- a codec, what it is given, and how to call that in a message
function decodeAt(
  codec: PlacedCodec,
  bytes: Buffer,
  cursor: RecordCursor,
  place: () => string,
): unknown {
  try {
    return codec.decodeAt(bytes, cursor.valueStart, cursor.valueEnd);
  } catch (thrown) {
    const reason = `${place()}: the value cannot be decoded: ${messageOf(thrown)}`;
    throw new LogError("schema_mismatch", reason, { cause: thrown });
  }
}

function placeOf(topic: string, partition: number, offset: number): string {
  return `${topic}/${partition} at offset ${offset}`;
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function bytesOfKey(key: string | Uint8Array): Uint8Array {
  return typeof key === "string" ? Buffer.from(key) : key;
}

function headersOf(headers: AppendHeaders | undefined): readonly RecordHeader[] {
  if (headers === undefined) return noHeaders;
  const entries = isHeaderList(headers) ? headers : Object.entries(headers);
  return entries.map(([key, value]) => ({
    key,
    value: typeof value === "string" ? Buffer.from(value) : value,
  }));
}

function isHeaderList(
  headers: AppendHeaders,
): headers is readonly (readonly [string, string | Uint8Array | undefined])[] {
  return Array.isArray(headers);
}

const noHeaders: readonly RecordHeader[] = Object.freeze([]);
