/** A store in this process: its topics, and who reads them. */
import type { Broker, TopicWriter } from "../broker/index.ts";
import type { Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { Codec } from "../records/index.ts";
import {
  abortError,
  type AnyTopicOptions,
  type BackupOptions,
  type BackupReport,
  type Position,
  type ReadableTopic,
  type RecordBatch,
  type RecordOf,
  refuseOtherCount,
  type Store,
  type StoreStats,
  StoreSubscriptions,
  type SubscribeOptions,
  type Subscription,
  type Topic,
  TypedValues,
  vouched,
} from "../values/index.ts";
import { backupTo } from "./backup.ts";
import { chunkTexts } from "./chunk-bytes.ts";
import { type Engine, ensureTopic, type FileLimits, openEngine } from "./engine.ts";
import { refuseFault } from "./faults.ts";
import { LocalReadings } from "./local-readings.ts";
import { readMetrics } from "./metrics.ts";
import { LocalTopic } from "./topic.ts";

export interface StoreOptions {
  /** What `append` waits for: `fsync` (the default) for the device, `os` for the operating system, which survives the process and not a power cut. */
  readonly durability?: "fsync" | "os" | undefined;
  /** How batches are compressed. Default `none`. */
  readonly compression?: Codec | undefined;
  /** Sizes and times of files; see {@link FileLimits}. */
  readonly files?: FileLimits | undefined;
  /** Settings of the store by Kafka's names, such as `log.retention.check.interval.ms`. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** The time in milliseconds since 1970, for the times of records and for what is kept. Default `Date.now`. */
  readonly clock?: (() => number) | undefined;
  /** Told once when a sync failed and nothing can be made durable any more: close the store, and open it anew. */
  readonly onFailure?: ((error: LogError) => void) | undefined;
}

/** The embedded store. */
export class LogStore implements Store {
  readonly url: string;
  readonly #engine: Engine;
  readonly #broker: Broker;
  readonly #readings: LocalReadings;
  readonly #subscriptions: StoreSubscriptions;
  /** Ends all readers when the store is closed or fails. */
  readonly #ending: AbortController;
  #closing: Promise<void> | undefined;

  private constructor(url: string, engine: Engine, ending: AbortController) {
    this.url = url;
    this.#engine = engine;
    this.#broker = engine.broker;
    this.#ending = ending;
    this.#readings = new LocalReadings(this.#broker, ending.signal);
    this.#subscriptions = new StoreSubscriptions(this.#readings);
  }

  /** @throws LogError as the opening of the engine. */
  static async open(machine: Env, url: string, options: StoreOptions = {}): Promise<LogStore> {
    const ending = new AbortController();
    const { durability = "fsync", files, settings, compression, clock } = options;
    const onFatal = (error: LogError): void => {
      ending.abort(error);
      options.onFailure?.(error);
    };
    const engine = await openEngine(machine, url, {
      durability,
      files,
      settings,
      compression,
      clock,
      onFatal,
    });
    return new LogStore(url, engine, ending);
  }

  /** As the interface types it: by schema, codec or neither. */
  readonly topic: Store["topic"] = vouched(this.#topic.bind(this));

  async #topic(name: string, options: AnyTopicOptions = {}): Promise<Topic<never, unknown>> {
    this.#refuseIfEnded();
    const values = new TypedValues(name, options, chunkTexts);
    const core = await this.#core(name, options);
    return new LocalTopic(core, values, this.#ending.signal, (how) =>
      this.#broker.compactTopic({ name }, how),
    );
  }

  async topics(): Promise<string[]> {
    this.#refuseIfEnded();
    return this.#broker.listTopics().flatMap(({ name, isInternal }) => (isInternal ? [] : [name]));
  }

  async deleteTopic(name: string): Promise<void> {
    this.#refuseIfEnded();
    const [deleted] = await this.#broker.deleteTopics([{ name }]);
    refuseFault(deleted);
  }

  subscribe<const Topics extends readonly ReadableTopic<unknown>[]>(
    options: SubscribeOptions<Topics>,
    handler: (batch: RecordBatch<RecordOf<Topics>>) => void | Promise<void>,
  ): Subscription {
    this.#refuseIfEnded();
    // The records are of the topics that were given, and so of the type that was inferred of them.
    return this.#subscriptions.begin(options, vouched(handler));
  }

  async position(group: string): Promise<Position> {
    this.#refuseIfEnded();
    return this.#readings.stored(group);
  }

  async stats(): Promise<StoreStats> {
    return { ...this.#broker.stats(), metrics: readMetrics(this.#engine.metrics) };
  }

  async checkpoint(): Promise<void> {
    this.#refuseIfEnded();
    await this.#broker.checkpoint();
  }

  async backup(to: string, options: BackupOptions = {}): Promise<BackupReport> {
    this.#refuseIfEnded();
    const { env, directory } = this.#engine;
    const from = {
      env,
      directory,
      place: this.url,
      ending: this.#ending.signal,
      // What was acknowledged is in the files, and more is not promised.
      settle: () => Promise.resolve(),
      checkpoint: () => this.checkpoint(),
      counts: () => {
        const { store, walBytes } = this.#broker.stats();
        return { frames: store.frames, walBytes };
      },
    };
    return backupTo(from, to, options);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#subscriptions.close();
    this.#ending.abort(new LogError("closed", `${this.url} is closed`));
    await this.#broker.close();
  }

  #refuseIfEnded(): void {
    const { signal } = this.#ending;
    if (!signal.aborted) return;
    throw abortError(signal);
  }

  async #core(name: string, options: AnyTopicOptions): Promise<TopicWriter> {
    const topic = await ensureTopic(this.#broker, name, options);
    refuseOtherCount(name, topic.partitions.length, options.partitions);
    return this.#broker.writer(topic);
  }
}
