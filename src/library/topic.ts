/** A topic as a program uses it: typed values in, typed records out. */
import { type BatchDraft, startOffset, type TopicWriter } from "../broker/index.ts";
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import {
  type Appended,
  type AppendManyOptions,
  type AppendOptions,
  appendPlaced,
  type CompactedPartition,
  type CompactTopicOptions,
  type EncodedValue,
  type OffsetRange,
  type PartitionSink,
  placeValues,
  type ReadFrom,
  type ReadTopicOptions,
  type RecordHeader,
  type Topic,
  type TopicRecord,
  type TypedValues,
  vouched,
} from "../values/index.ts";
import type { ChunkBytes } from "./chunk-bytes.ts";
import { type Decode, TopicSource, RecordReader } from "./record-reader.ts";

type CompactTopic = (options: CompactTopicOptions) => Promise<CompactedPartition[]>;

/** Records of one call, which differ by their keys and values. */
class DraftSink implements PartitionSink {
  readonly draft: BatchDraft;
  readonly #timestamp: number;
  readonly #headers: readonly RecordHeader[];

  constructor(draft: BatchDraft, timestamp: number, headers: readonly RecordHeader[]) {
    this.draft = draft;
    this.#timestamp = timestamp;
    this.#headers = headers;
  }

  add(key: EncodedValue | undefined, value: EncodedValue): void {
    this.draft.add(this.#timestamp, key, value, this.#headers);
  }
}

/** A topic of a store in this process. */
export class LocalTopic<in In, out Out = In> implements Topic<In, Out> {
  readonly #core: TopicWriter;
  readonly #values: TypedValues<ChunkBytes>;
  readonly #ending: AbortSignal;
  readonly #compact: CompactTopic;

  // oxlint-disable-next-line max-params -- what it writes and reads with, and what its store does for it
  constructor(
    core: TopicWriter,
    values: TypedValues<ChunkBytes>,
    ending: AbortSignal,
    compact: CompactTopic,
  ) {
    this.#core = core;
    this.#values = values;
    this.#ending = ending;
    this.#compact = compact;
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
    const conformed = this.#values.conformAll(values);
    const checked = conformed instanceof Promise ? await conformed : conformed;
    this.#core.refuseIfClosed();
    const headers = this.#values.headers(options.headers);
    const timestamp = options.timestamp ?? this.#core.nowMs;
    const groups = placeValues(checked, this.#values, {
      partition: options.partition,
      partitionFor: (key) => this.#core.partitionFor(key),
      sinkOf: (partition) => new DraftSink(this.#core.draft(partition), timestamp, headers),
    });
    return appendPlaced(groups, (partition, { draft }) => this.#core.appendDraft(partition, draft));
  }

  async delete(
    key: string | Uint8Array,
    options: Omit<AppendOptions, "key"> = {},
  ): Promise<Appended> {
    this.#core.refuseIfClosed();
    return this.#put(undefined, key, options);
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
    const offset = await this.#core.lastOffset(partition, bytes);
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
    const partition = options.partition ?? this.#core.onlyPartition("truncateBefore");
    return this.#core.lane(partition).partition.deleteRecords(offset);
  }

  compact(options: CompactTopicOptions = {}): Promise<CompactedPartition[]> {
    this.#core.refuseIfClosed();
    return this.#compact(options);
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
    if (typeof from === "number" && indexes.length > 1)
      this.#core.onlyPartition(`reading from ${from}`);
    const partitions = indexes.map((index) => this.#core.lane(index).partition);
    const open = (): Promise<TopicSource<Out>[]> =>
      Promise.all(partitions.map((partition) => this.#source(partition, from, follow)));
    const signals = signal === undefined ? [this.#ending] : [signal, this.#ending];
    return new RecordReader(open, { follow, limit, deletions, signals });
  }

  async #source(partition: Partition, from: ReadFrom, follow: boolean): Promise<TopicSource<Out>> {
    const until = follow ? undefined : partition.highWatermark;
    return new TopicSource(this.name, partition, this.decoder(), {
      from: await startOffset(this.name, partition, from),
      until,
      skipsMissing: from === "start",
    });
  }

  #conform(value: unknown): unknown {
    this.#core.refuseIfClosed();
    return this.#values.conform(value);
  }

  #append(value: unknown, options: AppendOptions): Promise<Appended> {
    const { key } = options;
    return this.#put(this.#values.encode(value), this.#values.keyOf(value, key), options);
  }

  async #put(
    value: EncodedValue | undefined,
    key: EncodedValue | undefined,
    options: AppendOptions,
  ): Promise<Appended> {
    const { expectedOffset } = options;
    const isPlaced = options.partition !== undefined || key !== undefined;
    const partition =
      expectedOffset !== undefined && !isPlaced
        ? this.#core.onlyPartition("expectedOffset")
        : (options.partition ?? this.#core.partitionFor(key));
    const timestamp = options.timestamp ?? this.#core.nowMs;
    const record = { timestamp, key, value, headers: this.#values.headers(options.headers) };
    return { partition, offset: await this.#core.append(partition, record, options) };
  }
}
