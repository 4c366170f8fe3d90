import type { LogError } from "../errors/index.ts";
import type { Address, Env } from "../env/index.ts";
import type { Partition } from "../partitions/index.ts";
import type { ItemOutcome, TopicRef } from "./answers.ts";
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
  ProducersAnswer,
} from "./record-verbs.ts";
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
}

/** Every verb of the product, once. All but {@link Broker.fetch} and the look-ups are safe to call at any rate a client can reach. */
export declare class Broker {
  private constructor();
  /** @throws LogError as the store's opening, and invalid_config. */
  static open(env: Env, options: BrokerOptions): Promise<Broker>;
  /** Ends waits, writes what is open, leaves a clean end. Idempotent. */
  close(): Promise<void>;

  readonly clusterId: string;
  readonly nodeId: number;

  // hot: look-ups of produce and fetch.
  topicNamed(name: string): OpenTopic | undefined;
  topicById(topicId: string): OpenTopic | undefined;
  partition(topicName: string, index: number): Partition | undefined;
  partitionById(topicId: string, index: number): Partition | undefined;

  describeCluster(): ClusterDescription;
  /** Every topic that clients may see, in the order of their names. */
  listTopics(): readonly OpenTopic[];
  /** In the order of `topics`; unknown ones carry topic_not_found or topic_id_not_found. */
  describeTopics(topics: readonly TopicRef[]): TopicDescription[];
  createTopics(topics: readonly NewTopic[], options?: CreateOptions): Promise<CreatedTopic[]>;
  /** For clients that ask for a topic that is not there; refuses where `auto.create.topics.enable` is false. One that exists is a success. */
  autoCreateTopic(name: string): Promise<ItemOutcome>;
  deleteTopics(topics: readonly TopicRef[]): Promise<DeletedTopic[]>;
  createPartitions(
    topics: readonly MorePartitions[],
    options?: CreateOptions,
  ): Promise<GrownTopic[]>;
  describeConfigs(queries: readonly ConfigQuery[]): ConfigDescription[];
  alterConfigs(changes: readonly ConfigChange[], options?: CreateOptions): Promise<ChangedConfig[]>;
  replaceConfigs(
    replacements: readonly ConfigReplacement[],
    options?: CreateOptions,
  ): Promise<ChangedConfig[]>;
  /** Undefined asks for everything. */
  describeLogDirs(queries: readonly LogDirQuery[] | undefined): LogDirDescription[];

  /**
   * Reads, or waits until there is enough to read. `done` is called once, and may be called before
   * this returns.
   */
  fetch(request: FetchRequest, done: (answer: FetchedPartition[]) => void): Fetching;
  listOffsets(queries: readonly OffsetQuery[]): Promise<ListedOffset[]>;
  deleteRecords(items: readonly DeleteRecordsItem[]): Promise<DeletedRecords[]>;
  offsetsForLeaderEpochs(queries: readonly EpochQuery[]): EpochAnswer[];
  /** @throws LogError unsupported with a transactional id, storage_full. */
  initProducerId(request: InitProducerIdRequest): Promise<ProducerIdentity>;
  describeProducers(items: readonly OffsetItem[]): ProducersAnswer[];

  /** The coordinator of each group. */
  findCoordinators(groupIds: readonly string[]): CoordinatorAnswer[];
  /** Waits for the other members. */
  joinGroup(request: JoinGroupRequest): Promise<JoinedGroup>;
  syncGroup(request: SyncGroupRequest): Promise<SyncedGroup>;
  heartbeat(request: HeartbeatRequest): Promise<ItemOutcome>;
  leaveGroup(request: LeaveGroupRequest): Promise<LeftGroup>;
  /** In the order of the request's offsets. */
  commitOffsets(request: CommitOffsetsRequest): Promise<ItemOutcome[]>;
  fetchOffsets(request: FetchOffsetsRequest): Promise<GroupOffsets>;
  describeGroups(groupIds: readonly string[]): Promise<GroupDescription[]>;
  listGroups(query?: ListGroupsQuery): GroupListing[];
  deleteGroups(groupIds: readonly string[]): Promise<DeletedGroup[]>;
  deleteOffsets(groupId: string, items: readonly OffsetItem[]): Promise<DeletedOffsets>;
}
