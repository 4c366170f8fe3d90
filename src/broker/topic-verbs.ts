import type { Partition } from "../partitions/index.ts";
import type { TopicPolicy } from "../metadata/index.ts";
import type { ItemOutcome } from "./answers.ts";

/** A topic that is open here. Looked up for every produce and fetch, so it has no work in it. */
export interface OpenTopic {
  readonly name: string;
  readonly topicId: string;
  readonly isInternal: boolean;
  readonly policy: TopicPolicy;
  /** By partition index. */
  readonly partitions: readonly Partition[];
}

export interface ClusterDescription {
  readonly clusterId: string;
  readonly controllerId: number;
  readonly brokers: readonly BrokerDescription[];
}

export interface BrokerDescription {
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
  readonly rack: string | undefined;
}

export interface TopicDescription extends ItemOutcome {
  /** Undefined where the topic was asked for by an id that nothing has. */
  readonly name: string | undefined;
  readonly topicId: string | undefined;
  readonly isInternal: boolean;
  readonly partitions: readonly PartitionDescription[];
}

export interface PartitionDescription {
  readonly index: number;
  /** Node id. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly inSyncReplicas: readonly number[];
  readonly offlineReplicas: readonly number[];
}

export interface NewTopic {
  readonly name: string;
  /** Undefined takes `num.partitions`, or as many as `assignments` has. */
  readonly partitionCount?: number | undefined;
  /** Accepted from 1 on; undefined takes the default. What is stored here is stored once. */
  readonly replicationFactor?: number | undefined;
  /** Node ids for each partition index; they must be those of brokers that there are. */
  readonly assignments?: readonly PartitionAssignment[] | undefined;
  readonly settings?: ReadonlyMap<string, string> | undefined;
}

export interface PartitionAssignment {
  readonly index: number;
  readonly replicas: readonly number[];
}

export interface CreateOptions {
  /** Judges the call and changes nothing. */
  readonly validateOnly?: boolean | undefined;
}

export interface CreatedTopic extends ItemOutcome {
  readonly name: string;
  /** Undefined where nothing was created. */
  readonly topicId: string | undefined;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  /** What holds for the topic in effect; empty where nothing was created. */
  readonly settings: readonly SettingDescription[];
}

export interface DeletedTopic extends ItemOutcome {
  readonly name: string | undefined;
  readonly topicId: string | undefined;
}

export interface MorePartitions {
  readonly name: string;
  /** How many the topic has afterwards. */
  readonly partitionCount: number;
  /** Node ids of each new partition. */
  readonly assignments?: readonly (readonly number[])[] | undefined;
}

export interface GrownTopic extends ItemOutcome {
  readonly name: string;
}

/** `name` of a broker is its node id in decimal; the empty name means all brokers. */
export interface ConfigResource {
  readonly kind: "topic" | "broker";
  readonly name: string;
}

export interface ConfigQuery extends ConfigResource {
  /** Undefined asks for all settings. */
  readonly names?: readonly string[] | undefined;
}

export interface ConfigDescription extends ItemOutcome, ConfigResource {
  readonly settings: readonly SettingDescription[];
}

/** `broker` was set at run time for one broker, `broker-default` for all of them; `startup` is what this one was started with. */
export type SettingOrigin = "topic" | "broker" | "broker-default" | "startup" | "default";

export interface SettingDescription {
  readonly name: string;
  readonly value: string | undefined;
  readonly origin: SettingOrigin;
  readonly isReadOnly: boolean;
  readonly isSensitive: boolean;
  readonly type: "boolean" | "string" | "int" | "long" | "double" | "list";
  readonly documentation: string;
  /** Every place that has a value, the one that holds first. */
  readonly synonyms: readonly SettingSynonym[];
}

export interface SettingSynonym {
  readonly name: string;
  readonly value: string;
  readonly origin: SettingOrigin;
}

export type SettingChange =
  | { readonly kind: "set"; readonly name: string; readonly value: string }
  | { readonly kind: "delete"; readonly name: string }
  /** Adds to, or takes from, a setting that is a list. */
  | { readonly kind: "append"; readonly name: string; readonly value: string }
  | { readonly kind: "subtract"; readonly name: string; readonly value: string };

export interface ConfigChange extends ConfigResource {
  readonly changes: readonly SettingChange[];
}

/** Settings that are not named fall back to their defaults. */
export interface ConfigReplacement extends ConfigResource {
  readonly settings: ReadonlyMap<string, string>;
}

export interface ChangedConfig extends ItemOutcome, ConfigResource {}

export interface LogDirDescription extends ItemOutcome {
  readonly path: string;
  readonly freeBytes: number | undefined;
  readonly partitions: readonly LogSize[];
}

export interface LogSize {
  readonly topic: string;
  readonly partition: number;
  readonly sizeBytes: number;
}

export interface LogDirQuery {
  readonly topic: string;
  readonly partitions: readonly number[];
}
