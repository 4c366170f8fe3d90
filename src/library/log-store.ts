/** A store in this process: its topics, and who reads them. */
import { Broker, type BrokerOptions, type BrokerStats, type OpenTopic } from "../broker/index.ts";
import { type Env, MemoryDisk } from "../env/index.ts";
import { invariant, LogError } from "../errors/index.ts";
import type { OwnedPartition } from "../partitions/index.ts";
import type { Codec } from "../records/index.ts";
import { refuseFault } from "./faults.ts";
import { WriteTurn } from "./partition-writer.ts";
import { abortError } from "./record-reader.ts";
import type { SchemaInput, SchemaOutput, StandardSchema } from "./standard-schema.ts";
import { storePlace } from "./store-url.ts";
import {
  type Position,
  type RecordBatch,
  type RecordOf,
  type SubscribeOptions,
  Subscription,
} from "./subscription.ts";
import { type ReadableTopic, Topic } from "./topic.ts";
import { TopicCore } from "./topic-core.ts";
import { type CodecName, placedCodec, type ValueCodec, vouched } from "./value-codec.ts";

export interface StoreOptions {
  /** What `append` waits for: `fsync` (the default) for the device, `os` for the operating system, which survives the process and not a power cut. */
  readonly durability?: "fsync" | "os" | undefined;
  /** How batches are compressed. Default `none`. */
  readonly compression?: Codec | undefined;
  /** Sizes and times of files; see {@link FileLimits}. */
  readonly files?: FileLimits | undefined;
  /** Settings of the store by Kafka's names, such as `log.retention.check.interval.ms`. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Told once when a sync failed and nothing can be made durable any more: close the store, and open it anew. */
  readonly onFailure?: ((error: LogError) => void) | undefined;
}

export interface FileLimits {
  /** A segment is closed at this size. Default 64 MiB. */
  readonly segmentBytes?: number | undefined;
  /** A file of the write-ahead log is left for a new one at this size. Default 64 MiB. */
  readonly walFileBytes?: number | undefined;
  /** Segments are made, and the write-ahead log let go, when it has grown by this much. Default 256 MiB. */
  readonly checkpointBytes?: number | undefined;
  /** The same by count of batches, which bounds the time of a restart. Default 500,000. */
  readonly checkpointBatches?: number | undefined;
  /** The same by age. Default 5 minutes. */
  readonly checkpointMs?: number | undefined;
}

/** What a topic is made with. Of a topic that exists only `partitions` is looked at: it must be the same. */
export interface NewTopicOptions {
  /** Default 1. */
  readonly partitions?: number | undefined;
  /** What is kept: by age and size of a partition. Default: everything. */
  readonly retention?: { readonly ms?: number; readonly bytes?: number } | undefined;
  /** Keep the newest record of each key only; every record then needs a key. */
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
  /** Default `json`. */
  readonly codec?: CodecName | ValueCodec<SchemaOutput<S>> | undefined;
  /** Whether values are checked when they are read, too. */
  readonly checkReads?: boolean | undefined;
}

interface AnyTopicOptions extends TopicOptions<never> {
  readonly schema?: StandardSchema | undefined;
  readonly codec?: CodecName | ValueCodec<unknown> | undefined;
  readonly checkReads?: boolean | undefined;
}

interface StoreParts {
  readonly url: string;
  readonly env: Env;
  readonly broker: Broker;
  readonly ending: AbortController;
  readonly compression: Codec;
}

/** Where a store in memory pretends to be. */
const MEMORY_DIRECTORY = "/memory";

/**
 * A store that this process has opened.
 *
 * @example
 * await using store = await open("file:./data");
 * const orders = await store.topic("orders", { codec: "json" });
 * await orders.append({ id: "o-1", total: 12 });
 */
export class LogStore implements AsyncDisposable {
  readonly url: string;
  readonly #broker: Broker;
  readonly #compression: Codec;
  readonly #turn: WriteTurn;
  readonly #cores = new Map<string, TopicCore>();
  readonly #subscriptions = new Set<Subscription>();
  /** Ends all readers when the store is closed or fails. */
  readonly #ending: AbortController;
  #closing: Promise<void> | undefined;

  private constructor({ url, env, broker, ending, compression }: StoreParts) {
    this.url = url;
    this.#compression = compression;
    this.#broker = broker;
    this.#ending = ending;
    this.#turn = new WriteTurn(env, () => this.#write());
  }

  /** @throws LogError as {@link storePlace}, and directory_in_use, directory_not_writable, format_unknown, format_newer, data_corrupt, invalid_config. */
  static async open(machine: Env, url: string, options: StoreOptions = {}): Promise<LogStore> {
    const place = storePlace(url);
    const isMemory = place.kind === "memory";
    const env = isMemory ? { ...machine, disk: new MemoryDisk() } : machine;
    const directory = isMemory ? MEMORY_DIRECTORY : place.path;
    const ending = new AbortController();
    const broker = await Broker.open(env, brokerOptions(directory, options, ending));
    const { compression = "none" } = options;
    return new LogStore({ url, env, broker, ending, compression });
  }

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
  async topic(name: string, options: AnyTopicOptions = {}): Promise<Topic<never, unknown>> {
    this.#refuseIfEnded();
    const { schema, key: keyOf, checkReads: checksReads = false } = options;
    const codec = placedCodec(options.codec ?? (schema === undefined ? "bytes" : "json"));
    const core = await this.#core(name, options);
    return new Topic(core, { codec, schema, keyOf, checksReads }, this.#ending.signal);
  }

  /** Names of all topics, sorted. */
  topics(): string[] {
    this.#refuseIfEnded();
    return this.#broker.listTopics().flatMap(({ name, isInternal }) => (isInternal ? [] : [name]));
  }

  /** @throws LogError topic_not_found. */
  async deleteTopic(name: string): Promise<void> {
    this.#refuseIfEnded();
    const [deleted] = await this.#broker.deleteTopics([{ name }]);
    refuseFault(deleted);
    this.#cores.delete(name);
  }

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
  ): Subscription {
    this.#refuseIfEnded();
    const { group } = options;
    for (const other of this.#subscriptions) {
      if (group === undefined || other.group !== group) continue;
      throw new LogError(
        "group_not_empty",
        `the group "${group}" has a subscription in this program already; close that one first`,
      );
    }
    const subscription = new Subscription(
      { broker: this.#broker, ending: this.#ending.signal },
      options,
      // The records are of the topics that were given, and so of the type that was inferred of them.
      vouched(handler),
    );
    this.#subscriptions.add(subscription);
    subscription.whenEnded(() => this.#subscriptions.delete(subscription));
    return subscription;
  }

  /** The position that a group has stored; empty where it has none. */
  async position(group: string): Promise<Position> {
    this.#refuseIfEnded();
    const { offsets } = await this.#broker.fetchOffsets({ groupId: group, partitions: undefined });
    return Object.fromEntries(
      offsets.flatMap(({ topic, partition, offset }) =>
        offset === undefined ? [] : [[`${topic}/${partition}`, offset]],
      ),
    );
  }

  /** Plain numbers about the store, counted since it was opened. */
  stats(): BrokerStats {
    return this.#broker.stats();
  }

  /** Makes segments of what only the write-ahead log has, which makes the next opening quick. */
  async checkpoint(): Promise<void> {
    this.#refuseIfEnded();
    await this.#owned()?.checkpoint();
  }

  /** Ends subscriptions after the batch they are at, writes what was appended, and lets the directory go. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await Promise.all(Array.from(this.#subscriptions, (subscription) => subscription.close()));
    this.#turn.end();
    this.#ending.abort(new LogError("closed", `${this.url} is closed`));
    await this.#broker.close();
  }

  #write(): void {
    this.#owned()?.write();
  }

  /** Any partition: the store behind all of them is the same. */
  #owned(): OwnedPartition | undefined {
    for (const { partitions } of this.#broker.listTopics()) {
      const partition = partitions[0];
      if (partition !== undefined) return partition.owned();
    }
    return undefined;
  }

  #refuseIfEnded(): void {
    const { signal } = this.#ending;
    if (!signal.aborted) return;
    throw abortError(signal);
  }

  async #core(name: string, options: AnyTopicOptions): Promise<TopicCore> {
    const topic = this.#broker.topicNamed(name) ?? (await this.#make(name, options));
    const { partitions } = options;
    if (partitions !== undefined && partitions !== topic.partitions.length) {
      throw new LogError(
        "invalid_partitions",
        `${name} has ${topic.partitions.length} partitions, not ${partitions}. Leave the number out to take the topic as it is.`,
      );
    }
    const known = this.#cores.get(name);
    if (known?.topicId === topic.topicId) return known;
    const core = new TopicCore(topic, this.#turn, this.#compression);
    this.#cores.set(name, core);
    return core;
  }

  async #make(name: string, options: NewTopicOptions): Promise<OpenTopic> {
    const { retention, compact = false } = options;
    const settings = new Map([
      // A program's own data goes when the program says so, and not after seven days.
      ["retention.ms", String(retention?.ms ?? -1)],
      ["retention.bytes", String(retention?.bytes ?? -1)],
      ["cleanup.policy", policyOf(compact, retention)],
      ...Object.entries(options.settings ?? {}),
    ]);
    const partitionCount = options.partitions ?? 1;
    const [created] = await this.#broker.createTopics([{ name, partitionCount, settings }]);
    // Somebody else in this program may have been quicker.
    if (created?.errorCode !== "topic_exists") refuseFault(created);
    const topic = this.#broker.topicNamed(name);
    invariant(topic !== undefined, "a topic that was made is there");
    return topic;
  }
}

function policyOf(compact: boolean, retention: NewTopicOptions["retention"]): string {
  if (!compact) return "delete";
  return retention === undefined ? "compact" : "compact,delete";
}

function brokerOptions(
  directory: string,
  options: StoreOptions,
  ending: AbortController,
): BrokerOptions {
  const { segmentBytes, walFileBytes, checkpointBytes, checkpointBatches, checkpointMs } =
    options.files ?? {};
  const storage = Object.entries({
    segmentBytes,
    walFileBytes,
    checkpointBytes,
    checkpointBatches,
    checkpointMs,
  }).filter(([, value]) => value !== undefined);
  return {
    directory,
    durability: options.durability ?? "fsync",
    advertised: () => nobody,
    settings: new Map(Object.entries(options.settings ?? {})),
    storage: Object.fromEntries(storage),
    onFatal(error) {
      ending.abort(error);
      options.onFailure?.(error);
    },
  };
}

/** No client of a network comes to a store that is in a program. */
const nobody = { host: "localhost", port: 0 };
