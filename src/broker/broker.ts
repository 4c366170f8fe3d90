import type { Address, Env } from "../env/index.ts";
import type { LogError } from "../errors/index.ts";
import type { Applied } from "../metadata/index.ts";
import { MetricRegistry } from "../metrics/index.ts";
import { type Partition, Partitions } from "../partitions/index.ts";
import type { Codec } from "../records/index.ts";
import type { StoreOptions, StoreStats } from "../storage/index.ts";
import type { CompactedPartition, CompactTopicOptions } from "../values/index.ts";
import type { ItemOutcome, TopicRef } from "./answers.ts";
import { BrokerConfig } from "./broker-config.ts";
import { CompactionAdmin } from "./compaction-admin.ts";
import { type BrokerMetrics, registerMetrics } from "./broker-metrics.ts";
import { ConfigAdmin } from "./config-admin.ts";
import { GroupAdmin, groupLimitsOf, groupsTopicName } from "./group-admin.ts";
import type {
  CommitOffsetsRequest,
  CoordinatorAnswer,
  DeletedGroup,
  DeletedOffsets,
  FetchOffsetsRequest,
  GroupDescription,
  GroupListing,
  GroupOffsets,
  HeartbeatRequest,
  JoinedGroup,
  JoinGroupRequest,
  LeaveGroupRequest,
  LeftGroup,
  ListGroupsQuery,
  OffsetItem,
  SyncedGroup,
  SyncGroupRequest,
} from "./group-verbs.ts";
import { PartitionsFetch, type FetchShare } from "./fetching.ts";
import { describeLogDirs } from "./log-dirs.ts";
import { Maintenance } from "./maintenance.ts";
import { MetadataLog } from "./metadata-log.ts";
import { OpenTopics } from "./open-topics.ts";
import { PartitionFinder } from "./partition-finder.ts";
import { WriteTurn } from "./partition-writer.ts";
import { RecordAdmin } from "./record-admin.ts";
import type {
  DeletedRecords,
  DeleteRecordsItem,
  EpochAnswer,
  EpochQuery,
  FetchedPartition,
  Fetching,
  FetchRequest,
  InitProducerIdRequest,
  ListedOffset,
  OffsetQuery,
  ProducerIdentity,
  ProducerQuery,
  ProducersAnswer,
} from "./record-verbs.ts";
import { TopicAdmin } from "./topic-admin.ts";
import type {
  ChangedConfig,
  ClusterDescription,
  ConfigChange,
  ConfigDescription,
  ConfigQuery,
  ConfigReplacement,
  CreatedTopic,
  CreateOptions,
  DeletedTopic,
  GrownTopic,
  LogDirDescription,
  LogDirQuery,
  MorePartitions,
  NewTopic,
  OpenTopic,
  TopicDescription,
} from "./topic-verbs.ts";

import { TopicWriter } from "./topic-writer.ts";

/** Partitions looked at in one turn of the event loop by work in the background. */
const partitionsPerTurn = 500;

export interface BrokerOptions {
  readonly directory: string;
  /** `fsync` (the default): acknowledged is on the disk. `os`: acknowledged is with the operating system. */
  readonly durability?: "fsync" | "os" | undefined;
  readonly nodeId?: number | undefined;
  /** Where clients reach this broker; asked each time, because a port is known only once it listens. */
  readonly advertised: () => Address;
  /** Settings of the broker at its start, by Kafka's names. */
  readonly settings?: ReadonlyMap<string, string> | undefined;
  /** Called once, when nothing may be acknowledged any more and the process must end. */
  readonly onFatal: (error: LogError) => void;
  /** How the batches are compressed that are made here of single records. Default `none`. */
  readonly compression?: Codec | undefined;
  /** How large the store's files get and when it makes checkpoints; its own defaults where absent. */
  readonly storage?: Partial<Omit<StoreOptions, "directory" | "durability">> | undefined;
  /** Takes the metrics of the broker; they are registered while it opens. */
  readonly metrics?: MetricRegistry | undefined;
}

/**
 * Every verb of the product, once. Answers in plain objects; where a call can half fail, each item
 * has its own error. Whatever is answered as done is durable.
 *
 * @example
 * const broker = await Broker.open(nodeEnv(), { directory: "./data", advertised, onFatal });
 * await broker.createTopics([{ name: "orders", partitionCount: 3 }]);
 * const outcome = broker.partition("orders", 0)?.append(batch, Date.now());
 */
export class Broker {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly #parts: BrokerParts;
  readonly #fetches: FetchShare;
  readonly #topicAdmin: TopicAdmin;
  readonly #configAdmin: ConfigAdmin;
  readonly #recordAdmin: RecordAdmin;
  readonly #groupAdmin: GroupAdmin;
  readonly #compactionAdmin: CompactionAdmin;
  /** What gathers single records into batches. */
  readonly #turn: WriteTurn;
  /** By id of the topic; those that were asked for. */
  readonly #writers = new Map<string, TopicWriter>();
  #closing: Promise<void> | undefined;

  private constructor(parts: BrokerParts) {
    const { env, partitions, metadata, topics, config, nodeId } = parts;
    this.#parts = parts;
    this.clusterId = partitions.store.storeId;
    this.nodeId = nodeId;
    this.#fetches = {
      env,
      bytesMax: config.number("fetch.max.bytes"),
      answered: parts.metrics.fetches,
      answeredBytes: parts.metrics.fetchedBytes,
      waiting: 0,
    };
    this.#turn = new WriteTurn(env, () => partitions.store.flush());
    this.#topicAdmin = new TopicAdmin({
      env,
      nodeId,
      metadata,
      topics,
      config,
      partitionCount: () => partitions.count,
    });
    this.#configAdmin = new ConfigAdmin({ nodeId, metadata, config });
    const find = new PartitionFinder(topics);
    this.#recordAdmin = new RecordAdmin(find, metadata);
    this.#compactionAdmin = new CompactionAdmin({ env, partitions, find, config });
    this.#groupAdmin = new GroupAdmin({
      env,
      store: partitions.store,
      limits: groupLimitsOf(config),
      find,
      createTopic: () => this.#topicAdmin.createGroupsTopic(),
    });
  }

  /** @throws LogError as the opening of the store, and invalid_config. */
  static async open(env: Env, options: BrokerOptions): Promise<Broker> {
    const nodeId = options.nodeId ?? 1;
    const startup = new Map([
      ["node.id", String(nodeId)],
      ["broker.id", String(nodeId)],
      ["log.dirs", options.directory],
      ...(options.settings ?? []),
    ]);
    let metadata: MetadataLog | undefined;
    const config = new BrokerConfig(startup, () => metadata?.state.brokerSettings ?? new Map());
    const { directory, durability = "fsync", onFatal } = options;
    let broker: Broker | undefined;
    const registry = options.metrics ?? new MetricRegistry();
    const metrics = registerMetrics(registry, () => broker?.stats());
    const observeSync = (ms: number): void => metrics.syncSeconds.record(ms / 1000);
    const store = { ...options.storage, directory, durability, observeSync };
    const counters = metrics.appended;
    const partitions = await Partitions.open(env, { store, onFatal, counters });
    try {
      metadata = await MetadataLog.open(partitions, () => env.clock.wallMs());
      const topics = new OpenTopics(partitions, config);
      for (const topic of metadata.state.topics()) await topics.open(topic);
      const dropped = partitions.dropUnopened();
      if (dropped > 0) env.events.info("dropped partitions of deleted topics", { count: dropped });
      const maintenance = new Maintenance(env);
      const state = { partitions, metadata, topics, config, maintenance, metrics };
      broker = new Broker({ env, options, nodeId, ...state });
      await broker.#start();
      return broker;
    } catch (error) {
      await partitions.close();
      throw error;
    }
  }

  /** Ends what waits, writes what is open, leaves a clean end. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { maintenance, metadata, partitions } = this.#parts;
    this.#turn.end();
    this.#groupAdmin.close();
    this.#compactionAdmin.close();
    await maintenance.close();
    await metadata.close();
    await partitions.close();
  }

  // hot: looked up for every partition of a produce or fetch request.

  topicNamed(name: string): OpenTopic | undefined {
    return this.#parts.topics.named(name);
  }

  topicById(topicId: string): OpenTopic | undefined {
    return this.#parts.topics.byId(topicId);
  }

  partition(topicName: string, index: number): Partition | undefined {
    return this.#parts.topics.named(topicName)?.partitions[index];
  }

  partitionById(topicId: string, index: number): Partition | undefined {
    return this.#parts.topics.byId(topicId)?.partitions[index];
  }

  /** Appends single records to a topic. */
  writer(topic: OpenTopic): TopicWriter {
    const known = this.#writers.get(topic.topicId);
    if (known !== undefined) return known;
    const writer = new TopicWriter(topic, this.#turn, this.#parts.options.compression ?? "none");
    this.#writers.set(topic.topicId, writer);
    return writer;
  }

  describeCluster(): ClusterDescription {
    const { host, port } = this.#parts.options.advertised();
    const { nodeId, clusterId } = this;
    const self = { nodeId, host, port, rack: undefined };
    return { clusterId, controllerId: nodeId, brokers: [self] };
  }

  /** Every topic that clients may see, in the order of their names. */
  listTopics(): readonly OpenTopic[] {
    return this.#parts.topics.all();
  }

  /** In the order of `topics`; unknown ones carry topic_not_found or topic_id_not_found. */
  describeTopics(topics: readonly TopicRef[]): TopicDescription[] {
    return this.#topicAdmin.describe(topics);
  }

  createTopics(topics: readonly NewTopic[], options?: CreateOptions): Promise<CreatedTopic[]> {
    return this.#topicAdmin.create(topics, options);
  }

  /** For clients that ask for a topic that is not there; refuses where `auto.create.topics.enable` is false. One that exists is a success. */
  autoCreateTopic(name: string): Promise<ItemOutcome> {
    return this.#topicAdmin.createOnDemand(name);
  }

  deleteTopics(topics: readonly TopicRef[]): Promise<DeletedTopic[]> {
    return this.#topicAdmin.delete(topics);
  }

  createPartitions(
    topics: readonly MorePartitions[],
    options?: CreateOptions,
  ): Promise<GrownTopic[]> {
    return this.#topicAdmin.grow(topics, options);
  }

  describeConfigs(queries: readonly ConfigQuery[]): ConfigDescription[] {
    return this.#configAdmin.describe(queries);
  }

  /** Changes single settings; what is not named stays. */
  alterConfigs(
    changes: readonly ConfigChange[],
    options?: CreateOptions,
  ): Promise<ChangedConfig[]> {
    return this.#configAdmin.alter(changes, options);
  }

  /** Sets exactly what is named; the rest falls back to its defaults. */
  replaceConfigs(
    replacements: readonly ConfigReplacement[],
    options?: CreateOptions,
  ): Promise<ChangedConfig[]> {
    return this.#configAdmin.replace(replacements, options);
  }

  /** Undefined asks for everything. */
  describeLogDirs(queries: readonly LogDirQuery[] | undefined): LogDirDescription[] {
    const { env, options, topics } = this.#parts;
    return describeLogDirs({ disk: env.disk, directory: options.directory, topics }, queries);
  }

  /**
   * Reads, or waits until there is enough to read. `done` is called once, and may be called before
   * this returns; it must not throw. Whoever gets the answer releases the bytes in it.
   */
  fetch(request: FetchRequest, done: (answer: FetchedPartition[]) => void): Fetching {
    const fetching = new PartitionsFetch(this.#fetches, request, done);
    fetching.start();
    return fetching;
  }

  /** In the order of `queries`, as all lists of answers here. */
  listOffsets(queries: readonly OffsetQuery[]): Promise<ListedOffset[]> {
    return this.#recordAdmin.listOffsets(queries);
  }

  deleteRecords(items: readonly DeleteRecordsItem[]): Promise<DeletedRecords[]> {
    return this.#recordAdmin.deleteRecords(items);
  }

  /**
   * Keeps the newest record of each key of a topic only, whatever its `cleanup.policy` is: it is asked
   * for. Resolves when that is durable, with what was done for each partition. Appending and reading
   * go on meanwhile.
   * @throws LogError topic_not_found, partition_not_found, not_allowed, cancelled, storage_full, data_corrupt.
   */
  compactTopic(topic: TopicRef, options: CompactTopicOptions = {}): Promise<CompactedPartition[]> {
    return this.#compactionAdmin.compactTopic(topic, options);
  }

  offsetsForLeaderEpochs(queries: readonly EpochQuery[]): EpochAnswer[] {
    return this.#recordAdmin.offsetsForLeaderEpochs(queries);
  }

  /** @throws LogError unsupported with a transactional id; storage_full, closed. */
  initProducerId(request: InitProducerIdRequest): Promise<ProducerIdentity> {
    return this.#recordAdmin.initProducerId(request);
  }

  describeProducers(items: readonly ProducerQuery[]): ProducersAnswer[] {
    return this.#recordAdmin.describeProducers(items);
  }

  /** The coordinator of each group. */
  findCoordinators(groupIds: readonly string[]): CoordinatorAnswer[] {
    const { host, port } = this.#parts.options.advertised();
    return groupIds.map((key) => ({ key, nodeId: this.nodeId, host, port }));
  }

  /** Answered when the group has come together: that waits for its other members. */
  joinGroup(request: JoinGroupRequest): Promise<JoinedGroup> {
    return this.#groupAdmin.join(request);
  }

  /** Answered when the leader has assigned. */
  syncGroup(request: SyncGroupRequest): Promise<SyncedGroup> {
    return this.#groupAdmin.sync(request);
  }

  heartbeat(request: HeartbeatRequest): Promise<ItemOutcome> {
    return this.#groupAdmin.heartbeat(request);
  }

  leaveGroup(request: LeaveGroupRequest): Promise<LeftGroup> {
    return this.#groupAdmin.leave(request);
  }

  commitOffsets(request: CommitOffsetsRequest): Promise<ItemOutcome[]> {
    return this.#groupAdmin.commit(request);
  }

  fetchOffsets(request: FetchOffsetsRequest): Promise<GroupOffsets> {
    return this.#groupAdmin.fetchOffsets(request);
  }

  describeGroups(groupIds: readonly string[]): Promise<GroupDescription[]> {
    return this.#groupAdmin.describe(groupIds);
  }

  /** In the order of their ids. */
  listGroups(query?: ListGroupsQuery): GroupListing[] {
    return this.#groupAdmin.list(query);
  }

  deleteGroups(groupIds: readonly string[]): Promise<DeletedGroup[]> {
    return this.#groupAdmin.delete(groupIds);
  }

  deleteOffsets(groupId: string, items: readonly OffsetItem[]): Promise<DeletedOffsets> {
    return this.#groupAdmin.deleteOffsets(groupId, items);
  }

  /** Makes segments of what only the write-ahead log has, which makes the next opening quick. */
  checkpoint(): Promise<void> {
    return this.#parts.partitions.store.checkpoint();
  }

  /** What the broker has to say about itself now. */
  stats(): BrokerStats {
    const { partitions, topics } = this.#parts;
    return {
      store: partitions.store.stats,
      walBytes: partitions.store.walBytes,
      topics: topics.all().length,
      partitions: partitions.count,
      groups: this.#groupAdmin.groupCount,
      waitingFetches: this.#fetches.waiting,
    };
  }

  async #start(): Promise<void> {
    const { metadata, topics, config, maintenance } = this.#parts;
    const groups = this.#groupAdmin;
    const groupsTopic = topics.named(groupsTopicName);
    if (groupsTopic !== undefined) await groups.openTopic(groupsTopic);
    metadata.onApplied = (applied) => this.#apply(applied);
    groups.dropOffsetsOfUnknownTopics();
    const retentionMs = config.number("log.retention.check.interval.ms");
    maintenance.every("retention", retentionMs, () => this.#tidyPartitions());
    const compactionMs = config.number("log.cleaner.backoff.ms");
    maintenance.every("compaction", compactionMs, () => this.#compactionAdmin.compactDue());
    const offsetsMs = config.number("offsets.retention.check.interval.ms");
    maintenance.every("retention of offsets", offsetsMs, () => {
      groups.expireOffsets();
      return groups.trimLogs();
    });
  }

  /** A durable change of the metadata becomes open partitions. */
  async #apply(applied: Applied): Promise<void> {
    const { topics } = this.#parts;
    switch (applied.kind) {
      case "topic-created":
        await topics.open(applied.topic);
        if (applied.topic.name === groupsTopicName) {
          await this.#groupAdmin.openTopic(topics.opened(applied.topic));
        }
        break;
      case "topic-deleted":
        this.#writers.delete(applied.topic.topicId);
        await topics.close(applied.topic);
        // Before the next change: a topic made anew with this name begins without offsets.
        await this.#groupAdmin.topicDeleted(applied.topic.name);
        break;
      case "partitions-added":
        await topics.grow(applied.topic);
        break;
      case "topic-settings-set":
        topics.configure(applied.topic);
        break;
      case "broker-settings-set":
        topics.configureAll();
        break;
      case "producer-ids-allocated":
      case "rejected":
        break;
    }
  }

  /** Removes old records and forgets silent producers, some partitions a turn. */
  async #tidyPartitions(): Promise<void> {
    const { env, partitions, config, maintenance } = this.#parts;
    const silentMs = config.number("producer.id.expiration.ms");
    let count = 0;
    // A copy, because topics come and go while the loop turns.
    for (const partition of Array.from(partitions.all())) {
      if (maintenance.isClosed) return;
      const nowMs = env.clock.wallMs();
      partition.retain(nowMs);
      partition.expireProducers(nowMs - silentMs);
      if (++count % partitionsPerTurn === 0) await partitions.turn();
    }
  }
}

export interface BrokerStats {
  readonly store: StoreStats;
  readonly walBytes: number;
  readonly topics: number;
  readonly partitions: number;
  readonly groups: number;
  readonly waitingFetches: number;
}

interface BrokerParts {
  readonly env: Env;
  readonly options: BrokerOptions;
  readonly nodeId: number;
  readonly partitions: Partitions;
  readonly metadata: MetadataLog;
  readonly topics: OpenTopics;
  readonly config: BrokerConfig;
  readonly maintenance: Maintenance;
  readonly metrics: BrokerMetrics;
}
