/** A topic of a server: typed values in, typed records out. */
import type { MessageInitShape } from "@bufbuild/protobuf";

import { LogError } from "../errors/index.ts";
import {
  type BoundSchema,
  LogService,
  TopicService,
  type Record as WireRecord,
} from "../proto/index.ts";
import {
  type Appended,
  type AppendManyOptions,
  type AppendOptions,
  appendPlaced,
  type CompactedPartition,
  type CompactTopicOptions,
  type EncodedValue,
  type OffsetRange,
  partitionOfKey,
  type PartitionSink,
  placeValues,
  type ReadFrom,
  type ReadTopicOptions,
  timestampOf,
  type Topic,
  type TopicRecord,
  type TypedValues,
  vouched,
  wholeOffset,
} from "../values/index.ts";
import { compactTopic } from "./compaction.ts";
import { type ReadSource, RemoteReader } from "./remote-reader.ts";
import { type Expectation, type OutgoingRecord, RemoteWriter } from "./remote-writer.ts";
import type { Server } from "./server.ts";
import { TopicStream } from "./topic-stream.ts";
import { webTexts } from "./web-texts.ts";

/** What all handles on one topic share: who writes to its partitions. */
export class RemoteTopicCore {
  readonly name: string;
  readonly topicId: string;
  readonly server: Server;
  readonly partitionCount: number;
  readonly #writers = new Map<number, RemoteWriter>();
  /** The partition of records without a key, until a request is full. */
  #rotation = 0;

  constructor(
    server: Server,
    topic: { readonly name: string; readonly topicId: string; readonly partitionCount: number },
  ) {
    this.server = server;
    this.name = topic.name;
    this.topicId = topic.topicId;
    this.partitionCount = topic.partitionCount;
  }

  /** @throws LogError partition_not_found. */
  writer(partition: number): RemoteWriter {
    this.refuseUnknown(partition);
    const known = this.#writers.get(partition);
    if (known !== undefined) return known;
    const writer = new RemoteWriter(this.server, this.name, partition);
    this.#writers.set(partition, writer);
    return writer;
  }

  refuseUnknown(partition: number): void {
    if (Number.isInteger(partition) && partition >= 0 && partition < this.partitionCount) return;
    throw new LogError(
      "partition_not_found",
      `${this.name} has ${this.partitionCount} partitions, numbered from 0; there is no ${partition}`,
    );
  }

  /** Where a record goes: by its key as Kafka's clients place it, else from partition to partition. */
  partitionFor(key: EncodedValue | undefined): number {
    if (this.partitionCount === 1) return 0;
    if (key !== undefined) return partitionOfKey(encoded(key), this.partitionCount);
    if (!this.writer(this.#rotation).isGathering) {
      this.#rotation = (this.#rotation + 1) % this.partitionCount;
    }
    return this.#rotation;
  }

  async drained(): Promise<void> {
    await Promise.all(Array.from(this.#writers.values(), (writer) => writer.drained()));
  }
}

export class RemoteTopic<in In, out Out = In> implements Topic<In, Out> {
  readonly #core: RemoteTopicCore;
  readonly #values: TypedValues;
  readonly #isClosed: () => LogError | undefined;

  constructor(core: RemoteTopicCore, values: TypedValues, closed: () => LogError | undefined) {
    this.#core = core;
    this.#values = values;
    this.#isClosed = closed;
  }

  get name(): string {
    return this.#core.name;
  }

  get partitionCount(): number {
    return this.#core.partitionCount;
  }

  append(value: In, options: AppendOptions = {}): Promise<Appended> {
    try {
      this.#refuseIfClosed();
      const checked = this.#values.conform(value);
      if (!(checked instanceof Promise)) return this.#append(checked, options);
      return checked.then((late) => this.#append(late, options));
    } catch (thrown) {
      return Promise.reject(LogError.from(thrown));
    }
  }

  async appendMany(values: Iterable<In>, options: AppendManyOptions = {}): Promise<Appended[]> {
    this.#refuseIfClosed();
    const conformed = this.#values.conformAll(values);
    const checked = conformed instanceof Promise ? await conformed : conformed;
    const rest = this.#fieldsOf(options);
    const groups = placeValues(checked, this.#values, {
      partition: options.partition,
      partitionFor: (key) => this.#core.partitionFor(key),
      sinkOf: () => {
        const records: OutgoingRecord[] = [];
        const add: PartitionSink["add"] = (key, value) => {
          records.push({ ...rest, ...bytesOf(key, value) });
        };
        return { records, add };
      },
    });
    return appendPlaced(groups, (partition, { records }) =>
      this.#core.writer(partition).addAll(records),
    );
  }

  async delete(
    key: string | Uint8Array,
    options: Omit<AppendOptions, "key"> = {},
  ): Promise<Appended> {
    this.#refuseIfClosed();
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
    this.#refuseIfClosed();
    const bytes = this.#values.keyBytes(key);
    const partition = options.partition ?? this.#core.partitionFor(bytes);
    const { record } = await this.#core.server.asked(LogService.method.lastOfKey, {
      topic: this.name,
      key: bytes,
      partition,
    });
    return record?.value === undefined ? undefined : this.decode(record);
  }

  async offsets(): Promise<OffsetRange[]> {
    this.#refuseIfClosed();
    const { partitions } = await this.#core.server.asked(LogService.method.listOffsets, {
      topic: this.name,
    });
    return partitions.map(({ partition, startOffset, endOffset }) => ({
      partition,
      startOffset: Number(startOffset),
      endOffset: Number(endOffset),
    }));
  }

  async truncateBefore(
    offset: number,
    options: { readonly partition?: number | undefined } = {},
  ): Promise<number> {
    this.#refuseIfClosed();
    const partition = options.partition ?? this.#onlyPartition("truncateBefore");
    const { startOffset } = await this.#core.server.asked(TopicService.method.deleteRecords, {
      topic: this.name,
      partition,
      before: BigInt(wholeOffset(offset)),
    });
    return Number(startOffset);
  }

  /** The server does it; how far it is, is not told over HTTP. */
  async compact(options: CompactTopicOptions = {}): Promise<CompactedPartition[]> {
    this.#refuseIfClosed();
    const { partition, signal } = options;
    const { server } = this.#core;
    const ending = signal === undefined ? server.ending : AbortSignal.any([signal, server.ending]);
    return compactTopic(server, { topic: this.name, partition }, ending);
  }

  /** A record as a program sees it; later, where the schema takes its time. @throws LogError schema_mismatch. */
  decode(record: WireRecord): TopicRecord<Out> | Promise<TopicRecord<Out>> {
    const { partition, key, headers } = record;
    const bytes = record.value ?? none;
    const offset = Number(record.offset);
    const valueStart = record.value === undefined ? -1 : 0;
    const spot = { offset, valueStart, valueEnd: bytes.length };
    const value = this.#values.decode(bytes, spot, partition);
    const withValue = (found: unknown): TopicRecord<Out> => ({
      topic: this.name,
      partition,
      offset,
      timestamp: Number(record.timestampMs),
      key: key === undefined ? undefined : webTexts.decodeAt(key, 0, key.length),
      keyBytes: key,
      headers: headers.map(({ name, value: held }) => ({ key: name, value: held })),
      value: vouched(found),
    });
    return value instanceof Promise ? value.then(withValue) : withValue(value);
  }

  #read(options: ReadTopicOptions, deletions: boolean): RemoteReader<Out> {
    const { follow = false, limit = Infinity, signal, from = "start", partition } = options;
    if (partition !== undefined) this.#core.refuseUnknown(partition);
    else if (typeof from === "number") this.#onlyPartition(`reading from ${from}`);
    const { server } = this.#core;
    const open = (ended: AbortSignal): ReadSource<Out>[] => {
      this.#refuseIfClosed();
      const range = {
        partitions: partition === undefined ? [] : [partition],
        from: boundOf(from),
        offsets: new Map<number, number>(),
        follow,
        limit,
        deletions,
        skipsMissing: from === "start",
      };
      const stream = new TopicStream(server, this.name, range, ended);
      return [{ stream, decode: (record) => this.decode(record) }];
    };
    const signals = signal === undefined ? [server.ending] : [signal, server.ending];
    return new RemoteReader({ open, limit, signals });
  }

  #onlyPartition(what: string): number {
    if (this.partitionCount === 1) return 0;
    throw new LogError(
      "invalid_argument",
      `${this.name} has ${this.partitionCount} partitions, each with offsets of its own: ${what} needs { partition }`,
    );
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
    const { expectedOffset, expectedLastOffset } = options;
    const isPlaced = options.partition !== undefined || key !== undefined;
    if (expectedLastOffset !== undefined && key === undefined) {
      throw new LogError("invalid_argument", `${this.name}: expectedLastOffset needs a key`);
    }
    const partition =
      expectedOffset !== undefined && !isPlaced
        ? this.#onlyPartition("expectedOffset")
        : (options.partition ?? this.#core.partitionFor(key));
    const writer = this.#core.writer(partition);
    const record = { ...this.#fieldsOf(options), ...bytesOf(key, value) };
    const isPlain = expectedOffset === undefined && expectedLastOffset === undefined;
    const offset = isPlain
      ? await writer.add(record)
      : await writer.addAll([record], expectationOf(expectedOffset, expectedLastOffset));
    return { partition, offset };
  }

  #fieldsOf({ headers, timestamp }: AppendManyOptions): OutgoingRecord {
    return {
      headers: this.#values
        .headers(headers)
        .map(({ key, value }) => (value === undefined ? { name: key } : { name: key, value })),
      ...(timestamp === undefined ? {} : { timestampMs: BigInt(timestamp) }),
    };
  }

  #refuseIfClosed(): void {
    const reason = this.#isClosed();
    if (reason !== undefined) throw reason;
  }
}

/** Where reading begins, as the wire has it. @throws LogError invalid_argument. */
function boundOf(from: ReadFrom): MessageInitShape<typeof BoundSchema> {
  if (from === "start" || from === "end") return { at: { case: from, value: {} } };
  if (typeof from === "number") return { at: { case: "offset", value: BigInt(wholeOffset(from)) } };
  return { at: { case: "timeMs", value: BigInt(Math.ceil(timestampOf(from.time))) } };
}

function expectationOf(
  expectedOffset: number | undefined,
  expectedLastOffset: number | "none" | undefined,
): Expectation {
  return {
    ...(expectedOffset === undefined ? {} : { expectedOffset: BigInt(expectedOffset) }),
    ...(expectedLastOffset === undefined ? {} : { expectedLast: lastOf(expectedLastOffset) }),
  };
}

function lastOf(expected: number | "none"): NonNullable<Expectation["expectedLast"]> {
  return expected === "none"
    ? { case: "expectedNoRecord", value: {} }
    : { case: "expectedLastOffset", value: BigInt(expected) };
}

function bytesOf(
  key: EncodedValue | undefined,
  value: EncodedValue | undefined,
): Pick<OutgoingRecord, "key" | "value"> {
  return {
    ...(key === undefined ? {} : { key: encoded(key) }),
    ...(value === undefined ? {} : { value: encoded(value) }),
  };
}

function encoded(value: EncodedValue): Uint8Array {
  return typeof value === "string" ? webTexts.encode(value) : value;
}

const none = new Uint8Array(0);
