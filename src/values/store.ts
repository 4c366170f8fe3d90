/** The interfaces of a store and its topics, which every place of a store implements. */
import type { ReadFrom } from "./read-from.ts";
import type { SchemaInput, SchemaOutput, StandardSchema } from "./standard-schema.ts";
import type { CodecName, ValueCodec } from "./value-codec.ts";

/** A name and a value beside a record's own; the value may be absent. */
export interface RecordHeader {
  readonly key: string;
  readonly value: Uint8Array | undefined;
}

/** A record as a program sees it. */
export interface TopicRecord<T> {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
  /** The key as text; undefined where the record has none. */
  readonly key: string | undefined;
  /** The key as it is stored. */
  readonly keyBytes: Uint8Array | undefined;
  readonly headers: readonly RecordHeader[];
  readonly value: T;
}

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
export interface Topic<in In, out Out = In> extends ReadableTopic<Out> {
  readonly partitionCount: number;
  /**
   * Appends a value. Resolves when it is as durable as the store promises.
   * @throws LogError schema_mismatch, record_too_large, offset_conflict, storage_full, closed; over HTTP also unreachable, timeout.
   */
  append(value: In, options?: AppendOptions): Promise<Appended>;
  /**
   * Appends values in one batch for each partition: of each, all are appended or none. Resolves with
   * their places in the order of the values.
   * @throws LogError as `append`; where a value does not fit the schema nothing is appended at all.
   */
  appendMany(values: Iterable<In>, options?: AppendManyOptions): Promise<Appended[]>;
  /**
   * Says that a key has no value any more, by a record without one: `last` then finds nothing, and
   * compaction removes the key in time.
   */
  delete(key: string | Uint8Array, options?: Omit<AppendOptions, "key">): Promise<Appended>;
  /**
   * Reads records, of several partitions the one with the oldest time first. What is not asked for is
   * not read. Records without a value are passed over.
   * @throws LogError offset_out_of_range, schema_mismatch, cancelled, closed, data_corrupt: by the iterator.
   */
  read(options?: ReadTopicOptions): AsyncIterableIterator<TopicRecord<Out>>;
  /** The same with records without a value, whose value is undefined. */
  readWithDeletions(
    options?: ReadTopicOptions,
  ): AsyncIterableIterator<TopicRecord<Out | undefined>>;
  /** The newest record of a key; undefined where it has none, or was deleted. The first call reads the partition once, to learn its keys. */
  last(
    key: string | Uint8Array,
    options?: { readonly partition?: number | undefined },
  ): Promise<TopicRecord<Out> | undefined>;
  /** What each partition has. */
  offsets(): Promise<OffsetRange[]>;
  /**
   * Removes the records before `offset`, durably. Resolves with the new first offset.
   * @throws LogError offset_out_of_range.
   */
  truncateBefore(
    offset: number,
    options?: { readonly partition?: number | undefined },
  ): Promise<number>;
  /**
   * Keeps the newest record of each key only, and records without a key, of one partition or of all.
   * Offsets stay as they are. Appending and reading go on meanwhile; what was done before a failure or
   * a cancellation stays done.
   * @throws LogError partition_not_found, cancelled, closed, storage_full, storage_failed, data_corrupt.
   */
  compact(options?: CompactTopicOptions): Promise<CompactedPartition[]>;
}

/** What a topic is made with. Of a topic that exists nothing is changed. */
export interface NewTopicOptions {
  /** Default 1. */
  readonly partitions?: number | undefined;
  /**
   * What is kept of each partition: by age and size, segment by segment; and the newest so many records.
   * The store looks every `log.retention.check.interval.ms`. Default: everything.
   */
  readonly retention?:
    | { readonly ms?: number; readonly bytes?: number; readonly records?: number }
    | undefined;
  /** Keep the newest record of each key only, by work in the background, and records without a key. */
  readonly compact?: boolean | undefined;
  /** Any setting by Kafka's name, such as `max.message.bytes`. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
}

export interface TopicOptions<T> extends NewTopicOptions {
  /** The key of a value; without it records have the key given to `append`, or none. */
  readonly key?: ((value: T) => string | Uint8Array | undefined) | undefined;
}

export interface SchemaTopicOptions<S extends StandardSchema> extends TopicOptions<
  SchemaOutput<S>
> {
  /** Every value is checked before it is appended; what the schema makes of it is stored. */
  readonly schema: S;
  /** How checked values become bytes. Default `json`. */
  readonly codec?: CodecName | ValueCodec<SchemaOutput<S>> | undefined;
  /** Whether values are checked when they are read, too. */
  readonly checkReads?: boolean | undefined;
}

/** What the overloads of `topic` come down to. */
export interface AnyTopicOptions extends TopicOptions<never> {
  readonly schema?: StandardSchema | undefined;
  readonly codec?: CodecName | ValueCodec<unknown> | undefined;
  readonly checkReads?: boolean | undefined;
}

/**
 * Where to go on: for each partition, named `topic/partition`, the offset of the next record. It
 * goes through JSON unchanged.
 */
export type Position = Readonly<Record<string, number>>;

export interface RecordBatch<T> {
  /** One at least. Records of a partition are in their order. */
  readonly records: readonly TopicRecord<T>[];
  /** Behind these records, of all partitions of the subscription. */
  readonly position: Position;
}

/** A record of one of some topics. */
export type RecordOf<Topics extends readonly ReadableTopic<unknown>[]> =
  Topics[number] extends infer One ? (One extends ReadableTopic<infer T> ? T : never) : never;

export interface SubscribeOptions<Topics extends readonly ReadableTopic<unknown>[]> {
  readonly topics: Topics;
  /** Stores the position in the log under this name. */
  readonly group?: string | undefined;
  /** Goes on here, in place of what the group has stored. Without a group it must be given; `{}` is the first time. */
  readonly position?: Position | undefined;
  /** Where partitions without a position begin. Default `"start"`. */
  readonly from?: "start" | "end" | undefined;
  /** Records of a batch at most. Default 500. */
  readonly batchRecords?: number | undefined;
  /** False ends the subscription at what was there when it began. Default true. */
  readonly follow?: boolean | undefined;
  /** Whether records without a value are given, with an undefined value. */
  readonly deletions?: boolean | undefined;
  /** What to do where records were removed before they were read: `fail` (the default) with offset_out_of_range, or `skip` them. */
  readonly missing?: "fail" | "skip" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A running subscription. */
export interface Subscription extends AsyncDisposable {
  readonly group: string | undefined;
  /**
   * Resolves when it was closed, or has read everything where it does not follow.
   * Rejects with LogError: handler_failed with the cause, offset_out_of_range, schema_mismatch, closed.
   */
  readonly finished: Promise<void>;
  /** Behind what the handler has done. */
  readonly position: Position;
  /** Ends after the batch that the handler is at. Idempotent. */
  close(): Promise<void>;
}

/** What a backup did. */
export interface BackupReport {
  readonly storeId: string;
  /** 1, 2, 3, ...: one more each time the backup is brought up to date. */
  readonly generation: number;
  readonly checkpointNumber: number | undefined;
  readonly segmentsCopied: number;
  /** Were there from a former time. */
  readonly segmentsKept: number;
  /** Frames of the WAL behind the checkpoint. */
  readonly frames: number;
  readonly bytesCopied: number;
}

/** How far a compaction is. */
export interface CompactionProgress {
  readonly bytesDone: number;
  /** Grows where the keys need a further pass. */
  readonly bytesToDo: number;
  readonly recordsRemoved: number;
}

/** What a compaction did. */
export interface CompactionReport {
  /** Times that the log was gone through: more than one where its keys did not fit the memory for them. */
  readonly passes: number;
  /** Bytes of batches that were read to be written anew, and written. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly recordsRead: number;
  readonly recordsRemoved: number;
  /** Of those, tombstones whose time was over. */
  readonly tombstonesRemoved: number;
  /** Batches that cannot be decoded, and were left as they are. */
  readonly batchesSkipped: number;
  readonly tookMs: number;
}

export interface CompactTopicOptions {
  /** Only this one; all of them, one after another, where absent. */
  readonly partition?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told again and again how far it is. */
  readonly progress?:
    | ((progress: CompactionProgress & { readonly partition: number }) => void)
    | undefined;
}

export interface CompactedPartition extends CompactionReport {
  readonly partition: number;
}

/** How far a long piece of work has come. */
export interface CopyProgress {
  /** Files that were copied whole. */
  readonly files: number;
  readonly bytes: number;
}

export interface CopyOptions {
  /** Told after each MiB and each file. What it throws ends the work with handler_failed. */
  readonly progress?: ((copied: CopyProgress) => void) | undefined;
  /** Ends the work with cancelled; what is half done is taken up, or thrown away, by the next one. */
  readonly signal?: AbortSignal | undefined;
}

export interface BackupOptions extends CopyOptions {
  /**
   * Goes on to keep the backup up to date, until `signal` is aborted: then one more round is made, and
   * the promise resolves with its report.
   */
  readonly follow?: boolean | undefined;
  /** Following, the time between the end of a round and the next look. Default one second. */
  readonly intervalMs?: number | undefined;
  /** Told of every round of a backup that follows. */
  readonly completed?: ((report: BackupReport) => void) | undefined;
}

/** A histogram in numbers. Quantiles are bounds of buckets: never less than the true value. */
export interface HistogramReading {
  readonly count: number;
  readonly sum: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** Counters, gauges and histograms by the names that the server's /metrics has. */
export type Metrics = Readonly<Record<string, number | HistogramReading>>;

/** Plain numbers about a store, counted since it was opened. */
export interface StoreStats {
  readonly topics: number;
  readonly partitions: number;
  readonly groups: number;
  readonly walBytes: number;
  readonly store: {
    readonly frames: number;
    readonly batches: number;
    readonly bytes: number;
    readonly syncs: number;
    readonly checkpoints: number;
    readonly segments: number;
    readonly failedWrites: number;
    readonly compactions: number;
    readonly compactionBytesRead: number;
    readonly compactionBytesWritten: number;
    readonly compactionRecordsRemoved: number;
    readonly compactionMs: number;
  };
  /** Of an embedded store. */
  readonly metrics?: Metrics | undefined;
}

/**
 * A store that this program has opened.
 *
 * @example
 * await using store = await open("file:./data");
 * const orders = await store.topic("orders", { codec: "json" });
 * await orders.append({ id: "o-1", total: 12 });
 */
export interface Store extends AsyncDisposable {
  readonly url: string;
  /** A topic of values that a schema describes, made where there is none. */
  topic<S extends StandardSchema>(
    name: string,
    options: SchemaTopicOptions<S>,
  ): Promise<Topic<SchemaInput<S>, SchemaOutput<S>>>;
  /** A topic with a codec of your own. */
  topic<T>(
    name: string,
    options: TopicOptions<T> & { readonly codec: ValueCodec<T> },
  ): Promise<Topic<T>>;
  /** A topic of JSON values that nobody checks. */
  topic<T = unknown>(
    name: string,
    options: TopicOptions<T> & { readonly codec: "json" },
  ): Promise<Topic<T>>;
  /** A topic of texts. */
  topic(
    name: string,
    options: TopicOptions<string> & { readonly codec: "string" },
  ): Promise<Topic<string>>;
  /** A topic of bytes. */
  topic(
    name: string,
    options?: TopicOptions<Uint8Array> & { readonly codec?: "bytes" | undefined },
  ): Promise<Topic<Uint8Array>>;
  /** Names of all topics, sorted. */
  topics(): Promise<string[]>;
  /** @throws LogError topic_not_found. */
  deleteTopic(name: string): Promise<void>;
  /**
   * Gives the records of some topics to `handler`, batch after batch, and goes on with what is
   * appended later. With `group` the position is stored in the log when the handler is done: after a
   * crash the last batch may come again. Without it the handler stores `batch.position` where it
   * stores its effects, and hands it back as `position` the next time: then each record has its
   * effects once.
   *
   * A handler that throws ends the subscription; {@link Subscription.finished} says why.
   */
  subscribe<const Topics extends readonly ReadableTopic<unknown>[]>(
    options: SubscribeOptions<Topics>,
    handler: (batch: RecordBatch<RecordOf<Topics>>) => void | Promise<void>,
  ): Subscription;
  /** The position that a group has stored; empty where it has none. */
  position(group: string): Promise<Position>;
  stats(): Promise<StoreStats>;
  /** Makes segments of what only the write-ahead log has, which makes the next opening quick. */
  checkpoint(): Promise<void>;
  /**
   * Brings a backup in another directory up to date: everything that was acknowledged before the call
   * is in it. Appending goes on meanwhile; segments are copied once only. With `follow` it stays so.
   * @throws LogError unsupported, where the store is in memory or at a server; storage_full, storage_failed, cancelled, handler_failed, closed.
   */
  backup(to: string, options?: BackupOptions): Promise<BackupReport>;
  /** Ends subscriptions after the batch they are at, writes what was appended, and lets the store go. Idempotent. */
  close(): Promise<void>;
}
