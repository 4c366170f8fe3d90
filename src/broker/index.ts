/**
 * Every verb of the product, once, in plain objects: topics, settings, records, offsets, groups.
 *
 * Promises that what is answered as done is durable, and that an error has a code of the closed list.
 * The only place where metadata commands are proposed. Refuses to know any protocol: sentinels like
 * -1, versions of messages and sessions of connections belong to the doors. Start reading at
 * `broker.ts`.
 */
export type { ItemOutcome, TopicRef } from "./answers.ts";
export type { BatchDraft, StoredRecord } from "./batch-draft.ts";
export { Broker, type BrokerOptions, type BrokerStats } from "./broker.ts";
export type {
  ClientIdentity,
  CommitItem,
  CommitOffsetsRequest,
  CommittedOffset,
  CoordinatorAnswer,
  DeletedGroup,
  DeletedOffsets,
  FetchOffsetsRequest,
  GroupDescription,
  GroupListing,
  GroupMember,
  GroupOffsets,
  GroupProtocol,
  GroupStateName,
  HeartbeatRequest,
  JoinedGroup,
  JoinedMember,
  JoinGroupRequest,
  LeaveGroupRequest,
  LeavingMember,
  LeftGroup,
  ListGroupsQuery,
  MemberAssignment,
  OffsetItem,
  SyncedGroup,
  SyncGroupRequest,
} from "./group-verbs.ts";
export { oldestOf, PartitionSource, type SourceRange, whenAdvanced } from "./partition-source.ts";
export type { ProducerSequence } from "./partition-writer.ts";
export { startOffset } from "./read-from.ts";
export type {
  DeletedRecords,
  DeleteRecordsItem,
  EpochAnswer,
  EpochQuery,
  FetchedPartition,
  Fetching,
  FetchItem,
  FetchRequest,
  InitProducerIdRequest,
  ListedOffset,
  OffsetQuery,
  OffsetSpec,
  ProducerIdentity,
  ProducerQuery,
  ProducersAnswer,
} from "./record-verbs.ts";
export type {
  BrokerDescription,
  ChangedConfig,
  ClusterDescription,
  ConfigChange,
  ConfigDescription,
  ConfigQuery,
  ConfigReplacement,
  ConfigResource,
  CreatedTopic,
  CreateOptions,
  DeletedTopic,
  GrownTopic,
  LogDirDescription,
  LogDirQuery,
  LogSize,
  MorePartitions,
  NewTopic,
  OpenTopic,
  PartitionAssignment,
  PartitionDescription,
  SettingChange,
  SettingDescription,
  SettingOrigin,
  SettingSynonym,
  TopicDescription,
} from "./topic-verbs.ts";
export type { AppendConditions, TopicWriter } from "./topic-writer.ts";
