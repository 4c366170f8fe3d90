/** A store in this process: its topics, and who reads them. */
import type { Broker, BrokerStats } from "../broker/index.ts";
import type { Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { OwnedPartition } from "../partitions/index.ts";
import type { Codec } from "../records/index.ts";
import type { BackupReport } from "../storage/index.ts";
import { backupTo } from "./backup.ts";
import {
  type Engine,
  ensureTopic,
  type FileLimits,
  type NewTopicOptions,
  openEngine,
} from "./engine.ts";
import { refuseFault } from "./faults.ts";
import { WriteTurn } from "./partition-writer.ts";
import { abortError } from "./record-reader.ts";
import type { SchemaInput, SchemaOutput, StandardSchema } from "./standard-schema.ts";
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
  readonly #engine: Engine;
  readonly #broker: Broker;
  readonly #compression: Codec;
  readonly #turn: WriteTurn;
  readonly #cores = new Map<string, TopicCore>();
  readonly #subscriptions = new Set<Subscription>();
  /** Ends all readers when the store is closed or fails. */
  readonly #ending: AbortController;
  #closing: Promise<void> | undefined;

  // oxlint-disable-next-line max-params -- the parts that it is made of
  private constructor(url: string, engine: Engine, ending: AbortController, compression: Codec) {
    this.url = url;
    this.#engine = engine;
    this.#broker = engine.broker;
    this.#turn = new WriteTurn(engine.env, () => this.#owned()?.write());
    this.#ending = ending;
    this.#compression = compression;
  }

  /** @throws LogError as the opening of the engine. */
  static async open(machine: Env, url: string, options: StoreOptions = {}): Promise<LogStore> {
    const ending = new AbortController();
    const { durability = "fsync", files, settings, compression = "none" } = options;
    const onFatal = (error: LogError): void => {
      ending.abort(error);
      options.onFailure?.(error);
    };
    const engine = await openEngine(machine, url, { durability, files, settings, onFatal });
    return new LogStore(url, engine, ending, compression);
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

  /**
   * Brings a backup in another directory up to date: everything that was acknowledged before the call
   * is in it. Appending goes on meanwhile; segments are copied once only.
   * @throws LogError unsupported, storage_full, storage_failed.
   */
  async backup(to: string): Promise<BackupReport> {
    this.#refuseIfEnded();
    return backupTo(this.#engine, this.url, to);
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
    const topic = await ensureTopic(this.#broker, name, options);
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
}
