/** A store behind a server's HTTP port. */
import { LogError } from "../errors/index.ts";
import { ClusterService, GroupService, TopicService } from "../proto/index.ts";
import {
  type AnyTopicOptions,
  type BackupReport,
  type BatchReader,
  type Position,
  type ReadableTopic,
  type RecordBatch,
  type RecordOf,
  refuseOtherCount,
  type Store,
  type StoreStats,
  StoreSubscriptions,
  type SubscribedReading,
  type SubscribeOptions,
  type Subscription,
  type SubscriptionSource,
  type Topic,
  topicSettings,
  TypedValues,
  vouched,
} from "../values/index.ts";
import type { Platform } from "./platform.ts";
import { type ReadSource, RemoteReader } from "./remote-reader.ts";
import { RemoteTopic, RemoteTopicCore } from "./remote-topic.ts";
import { type RemoteStoreOptions, Server } from "./server.ts";
import { TopicStream } from "./topic-stream.ts";
import { webTexts } from "./web-texts.ts";

export class RemoteStore implements Store {
  readonly url: string;
  readonly #server: Server;
  readonly #ending: AbortController;
  readonly #cores = new Map<string, RemoteTopicCore>();
  readonly #readings: RemoteReadings;
  readonly #subscriptions: StoreSubscriptions;
  #isClosing = false;
  #closing: Promise<void> | undefined;

  private constructor(url: string, server: Server, ending: AbortController) {
    this.url = url;
    this.#server = server;
    this.#ending = ending;
    this.#readings = new RemoteReadings(server);
    this.#subscriptions = new StoreSubscriptions(this.#readings);
  }

  /**
   * Meets the server once, so that a wrong address shows here.
   * @throws LogError invalid_argument, unreachable, protocol_violation.
   */
  static async open(
    url: string,
    options: RemoteStoreOptions = {},
    platform?: Platform,
  ): Promise<RemoteStore> {
    const ending = new AbortController();
    const server = await Server.open(url, { ...options, ending: ending.signal }, platform);
    return new RemoteStore(url, server, ending);
  }

  /** As the interface types it: by schema, codec or neither. */
  readonly topic: Store["topic"] = vouched(this.#topic.bind(this));

  async #topic(name: string, options: AnyTopicOptions = {}): Promise<Topic<never, unknown>> {
    this.#refuseIfClosed();
    const values = new TypedValues(name, options, webTexts);
    const core = await this.#core(name, options);
    return new RemoteTopic(core, values, () => this.#closedReason());
  }

  async topics(): Promise<string[]> {
    this.#refuseIfClosed();
    const { topics } = await this.#server.asked(TopicService.method.listTopics, {});
    return topics.flatMap(({ name, isInternal }) => (isInternal ? [] : [name]));
  }

  async deleteTopic(name: string): Promise<void> {
    this.#refuseIfClosed();
    await this.#server.unary(TopicService.method.deleteTopic, { topic: name });
    this.#cores.delete(name);
  }

  subscribe<const Topics extends readonly ReadableTopic<unknown>[]>(
    options: SubscribeOptions<Topics>,
    handler: (batch: RecordBatch<RecordOf<Topics>>) => void | Promise<void>,
  ): Subscription {
    this.#refuseIfClosed();
    // The records are of the topics that were given, and so of the type that was inferred of them.
    return this.#subscriptions.begin(options, vouched(handler));
  }

  async position(group: string): Promise<Position> {
    this.#refuseIfClosed();
    return this.#readings.stored(group);
  }

  async stats(): Promise<StoreStats> {
    this.#refuseIfClosed();
    const stats = await this.#server.asked(ClusterService.method.getStats, {});
    return {
      topics: stats.topics,
      partitions: stats.partitions,
      groups: stats.groups,
      walBytes: Number(stats.walBytes),
      store: {
        frames: Number(stats.frames),
        batches: Number(stats.batches),
        bytes: Number(stats.bytes),
        syncs: Number(stats.syncs),
        checkpoints: Number(stats.checkpoints),
        segments: Number(stats.segments),
        failedWrites: Number(stats.failedWrites),
        compactions: Number(stats.compactions),
        compactionBytesRead: Number(stats.compactionBytesRead),
        compactionBytesWritten: Number(stats.compactionBytesWritten),
        compactionRecordsRemoved: Number(stats.compactionRecordsRemoved),
        compactionMs: Number(stats.compactionMs),
      },
    };
  }

  async checkpoint(): Promise<void> {
    this.#refuseIfClosed();
    await this.#server.asked(ClusterService.method.checkpoint, {});
  }

  async backup(): Promise<BackupReport> {
    throw new LogError(
      "unsupported",
      `${this.url}: a backup is made where the server's directory is, by "cordwood storage backup"`,
    );
  }

  /** Waits for the answers to what was appended; every reader ends. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#isClosing = true;
    await this.#subscriptions.close();
    await Promise.all(Array.from(this.#cores.values(), (core) => core.drained()));
    this.#ending.abort(this.#closedReason());
  }

  #closedReason(): LogError | undefined {
    return this.#isClosing ? new LogError("closed", `${this.url} is closed`) : undefined;
  }

  #refuseIfClosed(): void {
    const reason = this.#closedReason();
    if (reason !== undefined) throw reason;
  }

  async #core(name: string, options: AnyTopicOptions): Promise<RemoteTopicCore> {
    const topic = await this.#ensured(name, options);
    refuseOtherCount(name, topic.partitionCount, options.partitions);
    const known = this.#cores.get(name);
    if (known?.topicId === topic.topicId && known.partitionCount === topic.partitionCount) {
      return known;
    }
    const core = new RemoteTopicCore(this.#server, topic);
    this.#cores.set(name, core);
    return core;
  }

  /** The topic of that name, made where there is none. */
  async #ensured(
    name: string,
    options: AnyTopicOptions,
  ): Promise<ConstructorParameters<typeof RemoteTopicCore>[1]> {
    for (;;) {
      const known = await unless("topic_not_found", () =>
        this.#server.asked(TopicService.method.describeTopic, { topic: name }),
      );
      if (known?.topic !== undefined) return known.topic;
      // Somebody else may be quicker, and so may we have been, where an answer was lost.
      const made = await unless("topic_exists", () =>
        this.#server.asked(TopicService.method.createTopic, {
          topic: name,
          partitionCount: options.partitions ?? 1,
          settings: Object.fromEntries(topicSettings(options)),
        }),
      );
      if (made?.topic !== undefined) return made.topic;
    }
  }
}

/** What subscriptions ask of a server. */
class RemoteReadings implements SubscriptionSource {
  readonly ending: AbortSignal;
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
    this.ending = server.ending;
  }

  async stored(group: string): Promise<Position> {
    const { offsets } = await this.#server.asked(GroupService.method.fetchOffsets, { group });
    return Object.fromEntries(
      offsets.flatMap(({ committed }) =>
        committed === undefined
          ? []
          : [[`${committed.topic}/${committed.partition}`, Number(committed.offset)]],
      ),
    );
  }

  async store(group: string, position: Position): Promise<void> {
    const offsets = Object.entries(position).map(([name, offset]) => ({
      ...partitionNamed(name),
      offset: BigInt(offset),
    }));
    await this.#server.asked(GroupService.method.commitOffsets, { group, offsets });
  }

  read({ topics, ...reading }: SubscribedReading): BatchReader {
    const open = (signal: AbortSignal): ReadSource<unknown>[] =>
      topics.map((topic) => {
        // What has a name and can be read is one of our topics: nobody else makes them.
        const remote = vouched<RemoteTopic<never, unknown>>(topic);
        const offsets = new Map<number, number>();
        for (const [name, offset] of Object.entries(reading.position)) {
          const at = partitionNamed(name);
          if (at.topic === topic.name) offsets.set(at.partition, offset);
        }
        const { follow, deletions, skipsMissing, from } = reading;
        const range = {
          partitions: [],
          from: { at: { case: from, value: {} } },
          offsets,
          follow,
          limit: Infinity,
          deletions,
          skipsMissing,
        };
        const stream = new TopicStream(this.#server, topic.name, range, signal);
        return { stream, decode: (record) => remote.decode(record) };
      });
    return new RemoteReader({ open, limit: Infinity, signals: reading.signals });
  }
}

/** Of `topic/partition`, as positions have it. */
function partitionNamed(name: string): { readonly topic: string; readonly partition: number } {
  const slash = name.lastIndexOf("/");
  return { topic: name.slice(0, slash), partition: Number(name.slice(slash + 1)) };
}

/** What a call answers; undefined where it fails with that code. */
async function unless<T>(code: LogError["code"], call: () => Promise<T>): Promise<T | undefined> {
  try {
    return await call();
  } catch (thrown) {
    if (thrown instanceof LogError && thrown.code === code) return undefined;
    throw thrown;
  }
}
