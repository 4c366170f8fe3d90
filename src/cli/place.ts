// What commands work on: a server, by HTTP or by Kafka's protocol, or a directory that no server holds.

import type { Env, EventLog } from "../env/index.ts";
import type {
  GroupMember,
  KafkaClient,
  OutgoingRecord,
  PartitionRange,
  Producer,
} from "../kafka/index.ts";
import type { CompactedPartition } from "../values/index.ts";
import { locationOf } from "./location.ts";

export interface Place extends AsyncDisposable {
  readonly env: Env;
  readonly client: PlaceClient;
  /** As the user named it. */
  readonly name: string;
}

export interface PlaceOptions {
  /** Whether a directory that is not there is made. */
  readonly mayCreate: boolean;
  readonly events: EventLog;
}

type Kafka = Pick<KafkaClient, "topics" | "offsets" | "groups">;

export interface ListedTopic {
  readonly name: string;
  readonly isInternal: boolean;
  readonly partitionCount: number;
}

export interface DescribedTopic {
  readonly name: string;
  readonly topicId: string;
  readonly isInternal: boolean;
  readonly partitions: readonly {
    readonly index: number;
    readonly leader: number | undefined;
    readonly leaderEpoch: number | undefined;
  }[];
}

export interface TopicSetting {
  readonly name: string;
  readonly value: string | undefined;
  /** Whether it was set for this topic itself. */
  readonly isOwn: boolean;
}

/** What commands do with topics. */
export interface PlaceTopics extends Pick<Kafka["topics"], "create" | "delete" | "grow" | "alter"> {
  /** In the order of their names. */
  list(): Promise<ListedTopic[]>;
  /** @throws LogError topic_not_found */
  describe(name: string): Promise<DescribedTopic>;
  settings(name: string): Promise<TopicSetting[]>;
  /** Removes records that a newer one of their key replaces, now. @throws LogError unsupported where only Kafka's protocol is spoken. */
  compact(name: string, signal: AbortSignal): Promise<CompactedPartition[]>;
  /** Bytes of each partition, of these topics at least. */
  sizes(names: readonly string[]): Promise<ReadonlyMap<string, ReadonlyMap<number, number>>>;
}

/** What commands ask of a place, whatever is spoken there. */
export interface PlaceClient {
  readonly topics: PlaceTopics;
  readonly offsets: Pick<Kafka["offsets"], "find" | "deleteBefore">;
  readonly groups: Pick<Kafka["groups"], "list" | "describe" | "positions" | "commit" | "delete">;
  produce(topic: string, options: ProduceOptions): Promise<PlaceProducer>;
  /** The records of all ranges, as they come; those of one partition in order. */
  read(
    ranges: readonly PartitionRange[],
    options: ReadOptions,
  ): AsyncGenerator<RecordRun, void, undefined>;
  member(options: MemberOptions): PlaceMember;
}

export type ProduceOptions = NonNullable<Parameters<KafkaClient["produce"]>[1]>;
export type PlaceProducer = Pick<Producer, "topic" | "flush" | "receipts"> & {
  /** Takes a record; where too many wait it answers a promise: the next record comes after that. */
  send(record: OutgoingRecord): Promise<void> | undefined;
};
export type PlaceMember = Pick<GroupMember, "join" | "commit" | "leave">;
export type MemberOptions = Parameters<KafkaClient["member"]>[0];

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Whether little is wanted, so that little should be asked for at a time. */
  readonly isFew: boolean;
}

/** Some records of one partition. */
export interface RecordRun {
  readonly topic: string;
  readonly partition: number;
  /** Where it begins, and where to go on when all of it is worked off. */
  readonly start: number;
  readonly next: number;
  /** Shows one record after another, each until `visit` returns; stops when that answers false, and then answers false. */
  each(visit: (record: ShownRecord) => boolean): boolean;
}

/** A record as it is printed. */
export interface ShownRecord {
  readonly offset: number;
  readonly timestamp: number;
  key(): Uint8Array | undefined;
  value(): Uint8Array | undefined;
  headers(): readonly { readonly key: string; readonly value: Uint8Array | undefined }[];
}

/** @throws LogError unreachable, directory_in_use, invalid_argument */
export async function openPlace(url: string, options: PlaceOptions): Promise<Place> {
  const location = locationOf(url);
  // What speaks Kafka, and the broker, are not loaded where HTTP is spoken.
  if (location.kind === "http") {
    const { openHttp } = await import("./http-place.ts");
    return openHttp(location.url, options);
  }
  const { openDirectory, openKafka } = await import("./kafka-place.ts");
  return location.kind === "directory"
    ? openDirectory(url, location.path, options)
    : openKafka(url, location.address, options);
}
