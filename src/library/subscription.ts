/** Gives records to a handler batch by batch, and keeps the position, or lets the handler keep it. */
import type { Broker } from "../broker/index.ts";
import { LogError } from "../errors/index.ts";
import { refuseFault } from "./faults.ts";
import { abortError, PartitionSource, RecordReader, type TopicRecord } from "./record-reader.ts";
import type { ReadableTopic, Topic } from "./topic.ts";
import { vouched } from "./value-codec.ts";

const BATCH_RECORDS = 500;

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

interface SubscriptionParts {
  readonly broker: Broker;
  readonly ending: AbortSignal;
}

/** A running subscription. */
export class Subscription implements AsyncDisposable {
  readonly group: string | undefined;
  /**
   * Resolves when it was closed, or has read everything where it does not follow.
   * Rejects with LogError: handler_failed with the cause, offset_out_of_range, schema_mismatch, closed.
   */
  readonly finished: Promise<void>;
  readonly #parts: SubscriptionParts;
  readonly #options: SubscribeOptions<readonly ReadableTopic<unknown>[]>;
  readonly #handler: (batch: RecordBatch<unknown>) => void | Promise<void>;
  readonly #running: Promise<void>;
  readonly #closing = new AbortController();
  #position: Position = {};
  #isClosed = false;

  constructor(
    parts: SubscriptionParts,
    options: SubscribeOptions<readonly ReadableTopic<unknown>[]>,
    handler: (batch: RecordBatch<unknown>) => void | Promise<void>,
  ) {
    if (options.group === undefined && options.position === undefined) {
      throw new LogError(
        "invalid_argument",
        "a subscription needs a group, or the position that you keep yourself ({} the first time)",
      );
    }
    this.#parts = parts;
    this.#options = options;
    this.#handler = handler;
    this.group = options.group;
    this.#running = this.#run();
    // A promise of its own: that the store looks at the other one must not hide a failure that nobody sees.
    this.finished = this.#running.then(() => undefined);
  }

  /** Calls back when nothing runs any more, however it ended. */
  whenEnded(callback: () => void): void {
    const call = (): void => callback();
    this.#running.then(call, call);
  }

  /** Behind what the handler has done. */
  get position(): Position {
    return this.#position;
  }

  /** Ends after the batch that the handler is at. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.abort();
    // Whoever looks at `finished` is told.
    await this.#running.catch(() => undefined);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #run(): Promise<void> {
    const { signal, follow = true, deletions = false } = this.#options;
    const outer = signal === undefined ? [this.#parts.ending] : [signal, this.#parts.ending];
    this.#position = { ...(await this.#stored()), ...this.#options.position };
    const reader = new RecordReader<unknown>(() => this.#open(follow), {
      follow,
      deletions,
      limit: Infinity,
      signals: [...outer, this.#closing.signal],
    });
    while (!this.#isClosed) {
      const records = await this.#gather(reader);
      if (records.length === 0) break;
      const position = positionOf(reader);
      await this.#handle({ records, position });
      this.#position = position;
      if (this.group !== undefined) await this.#store(this.group, position);
    }
    const aborted = outer.find((one) => one.aborted);
    if (aborted !== undefined && !this.#isClosed) throw abortError(aborted);
  }

  async #stored(): Promise<Position> {
    const { group: groupId } = this;
    if (groupId === undefined) return {};
    const { offsets } = await this.#parts.broker.fetchOffsets({ groupId, partitions: undefined });
    const stored: Record<string, number> = {};
    for (const { topic, partition, offset } of offsets) {
      if (offset !== undefined) stored[`${topic}/${partition}`] = offset;
    }
    return stored;
  }

  async #open(follow: boolean): Promise<PartitionSource<unknown>[]> {
    const { topics, from = "start", missing = "fail" } = this.#options;
    return topics.flatMap((topic) => {
      const { partitions = [] } = this.#parts.broker.topicNamed(topic.name) ?? {};
      // What has a name and can be read is one of our topics: nobody else makes them.
      const decode = vouched<Topic<never, unknown>>(topic).decoder();
      return partitions.map((partition) => {
        const position = this.#position[`${topic.name}/${partition.index}`];
        const begin = from === "end" ? partition.highWatermark : partition.logStartOffset;
        return new PartitionSource(topic.name, partition, decode, {
          from: position ?? begin,
          until: follow ? undefined : partition.highWatermark,
          skipsMissing: missing === "skip" || (position === undefined && from === "start"),
        });
      });
    });
  }

  async #gather(reader: RecordReader<unknown>): Promise<TopicRecord<unknown>[]> {
    try {
      return await reader.gather(this.#options.batchRecords ?? BATCH_RECORDS);
    } catch (thrown) {
      if (this.#isClosed) return [];
      throw thrown;
    }
  }

  async #handle(batch: RecordBatch<unknown>): Promise<void> {
    try {
      await this.#handler(batch);
    } catch (thrown) {
      const [first] = batch.records;
      const place = `${first?.topic}/${first?.partition} at offset ${first?.offset}`;
      const why = thrown instanceof Error ? thrown.message : String(thrown);
      throw new LogError(
        "handler_failed",
        `the handler of a subscription failed with a batch that begins with ${place}: ${why}. Its position was not moved; subscribe again to go on.`,
        { cause: thrown },
      );
    }
  }

  async #store(groupId: string, position: Position): Promise<void> {
    const offsets = Object.entries(position).map(([name, offset]) => {
      const slash = name.lastIndexOf("/");
      const topic = { name: name.slice(0, slash) };
      const partition = Number(name.slice(slash + 1));
      return { topic, partition, offset, leaderEpoch: undefined, metadata: "" };
    });
    const outcomes = await this.#parts.broker.commitOffsets({
      groupId,
      generationId: undefined,
      memberId: undefined,
      groupInstanceId: undefined,
      offsets,
    });
    for (const outcome of outcomes) refuseFault(outcome);
  }
}

function positionOf(reader: RecordReader<unknown>): Position {
  return Object.fromEntries(
    reader.sources.map(({ topic, partition, next }) => [`${topic}/${partition.index}`, next]),
  );
}
