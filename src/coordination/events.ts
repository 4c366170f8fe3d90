import type { ErrorCode } from "../errors/index.ts";

/**
 * Whoever waits for an answer: chosen by the caller, never twice. An event with a token is answered
 * once, in the same step or in a later one.
 */
export type Token = number;

/** What may happen to the groups of one coordinator. Times are of one monotone clock, but for those named `wallMs`. */
export type GroupEvent =
  | JoinEvent
  | SyncEvent
  | HeartbeatEvent
  | LeaveEvent
  | CommitEvent
  | DeleteGroupEvent
  | DeleteOffsetsEvent
  | TopicsDeletedEvent
  | TickEvent
  | ExpireEvent
  | LoadedEvent;

export interface JoinEvent {
  readonly kind: "join";
  readonly token: Token;
  readonly nowMs: number;
  readonly wallMs: number;
  readonly groupId: string;
  /** Undefined when the client has none yet. */
  readonly memberId: string | undefined;
  /** Name of a static member (`group.instance.id`). */
  readonly instanceId: string | undefined;
  /** Random; becomes part of the member id where one is given. */
  readonly uuid: string;
  readonly clientId: string;
  readonly clientHost: string;
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  readonly protocolType: string;
  /** What the member can do, the best first. */
  readonly protocols: readonly GroupProtocol[];
  /** Whether a dynamic member must come back with the id that it is given (JoinGroup from version 4). */
  readonly needsMemberId: boolean;
  /** Whether the client knows that a leader may be told to skip the assignment (JoinGroup from version 9). */
  readonly maySkipAssignment: boolean;
}

export interface GroupProtocol {
  readonly name: string;
  /** Opaque to the coordinator; handed to the leader. Copied, so it may lie in a reused buffer. */
  readonly metadata: Uint8Array;
  /** Topics subscribed to, where `metadata` could be read; undefined otherwise. */
  readonly topics: readonly string[] | undefined;
}

export interface SyncEvent {
  readonly kind: "sync";
  readonly token: Token;
  readonly nowMs: number;
  readonly groupId: string;
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly generation: number;
  /** Checked where given (SyncGroup from version 5). */
  readonly protocolType: string | undefined;
  readonly protocol: string | undefined;
  /** From the leader; empty from all others. Copied. */
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[];
}

export interface HeartbeatEvent {
  readonly kind: "heartbeat";
  readonly token: Token;
  readonly nowMs: number;
  readonly groupId: string;
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly generation: number;
}

export interface LeaveEvent {
  readonly kind: "leave";
  readonly token: Token;
  readonly nowMs: number;
  readonly wallMs: number;
  readonly groupId: string;
  readonly members: readonly MemberName[];
}

/** A member by its id, a static one also by its instance id alone. */
export interface MemberName {
  readonly memberId: string | undefined;
  readonly instanceId: string | undefined;
}

export interface CommitEvent {
  readonly kind: "commit";
  readonly token: Token;
  readonly nowMs: number;
  readonly wallMs: number;
  readonly groupId: string;
  /** Both undefined for a consumer that is in no group and only keeps its offsets here. */
  readonly memberId: string | undefined;
  readonly generation: number | undefined;
  readonly instanceId: string | undefined;
  /** Asked for by old clients (OffsetCommit 2 to 4); undefined leaves it to the coordinator. */
  readonly retentionMs: number | undefined;
  readonly offsets: readonly OffsetToCommit[];
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface OffsetToCommit extends TopicPartition {
  readonly offset: number;
  readonly leaderEpoch: number | undefined;
  readonly metadata: string;
}

export interface DeleteGroupEvent {
  readonly kind: "delete-group";
  readonly token: Token;
  readonly groupId: string;
}

export interface DeleteOffsetsEvent {
  readonly kind: "delete-offsets";
  readonly token: Token;
  readonly groupId: string;
  readonly partitions: readonly TopicPartition[];
}

/** Topics are gone: no group keeps offsets of them, or a new topic of that name would start there. */
interface TopicsDeletedEvent {
  readonly kind: "topics-deleted";
  readonly topics: readonly string[];
}

/** Time has passed; due when `nextDeadlineMs` says so. */
interface TickEvent {
  readonly kind: "tick";
  readonly nowMs: number;
  readonly wallMs: number;
}

/** Drops offsets and groups whose retention ended; due every few minutes. */
interface ExpireEvent {
  readonly kind: "expire";
  readonly wallMs: number;
}

/** All records are replayed and events follow: each restored member has its whole session timeout from now on. */
interface LoadedEvent {
  readonly kind: "loaded";
  readonly nowMs: number;
  readonly wallMs: number;
}

/**
 * What the caller does about a step: append all of `records`, and once they are durable give all of
 * `answers`. Steps keep their order: no answer overtakes the records of an earlier step.
 */
export interface Effects {
  /** Number of the step among those with records; 0 where there are none. */
  readonly seq: number;
  /** For the log of this coordinator, in their order. May be split over several batches. */
  readonly records: readonly EncodedRecord[];
  readonly answers: readonly Answered[];
}

export interface EncodedRecord {
  readonly key: Uint8Array;
  /** Undefined is a tombstone. */
  readonly value: Uint8Array | undefined;
}

export interface Answered {
  readonly token: Token;
  readonly answer: Answer;
}

export type Answer =
  | Joined
  | Synced
  | { readonly kind: "alive" }
  | Left
  | Committed
  | { readonly kind: "group-deleted" }
  | OffsetsDeleted
  | Refused;

export interface Joined {
  readonly kind: "joined";
  readonly memberId: string;
  readonly generation: number;
  readonly protocolType: string;
  readonly protocol: string;
  readonly leaderId: string;
  /** All members, for the leader to assign; empty for all others. */
  readonly members: readonly JoinedMember[];
  /** The leader of a group that did not rebalance: it leads, but has nothing to assign. */
  readonly skipAssignment: boolean;
}

export interface JoinedMember {
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly metadata: Uint8Array;
}

export interface Synced {
  readonly kind: "synced";
  readonly protocolType: string;
  readonly protocol: string;
  readonly assignment: Uint8Array;
}

interface Left {
  readonly kind: "left";
  /** In the order asked; `code` is undefined where the member left. */
  readonly members: readonly (MemberName & { readonly code: ErrorCode | undefined })[];
}

export interface Committed {
  readonly kind: "committed";
  /** In the order asked; `code` is undefined where the offset is stored. */
  readonly partitions: readonly (TopicPartition & { readonly code: ErrorCode | undefined })[];
}

interface OffsetsDeleted {
  readonly kind: "offsets-deleted";
  /** In the order asked; a member subscribes to the topic, so its offset stays. */
  readonly partitions: readonly (TopicPartition & { readonly isSubscribed: boolean })[];
}

export interface Refused {
  readonly kind: "refused";
  readonly code: ErrorCode;
  readonly message: string;
  /** With `member_id_required`: the id to come back with. */
  readonly memberId: string | undefined;
}

/** Named as clients know them. `Dead` is a group that is not there. */
export type GroupState = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable" | "Dead";

export interface GroupListing {
  readonly groupId: string;
  readonly state: GroupState;
  /** Undefined for a group that only keeps offsets. */
  readonly protocolType: string | undefined;
}

export interface GroupDescription extends GroupListing {
  readonly generation: number;
  readonly protocol: string | undefined;
  readonly members: readonly MemberDescription[];
}

export interface MemberDescription {
  readonly memberId: string;
  readonly instanceId: string | undefined;
  readonly clientId: string;
  readonly clientHost: string;
  /** Metadata and assignment are empty unless the group is stable. */
  readonly metadata: Uint8Array;
  readonly assignment: Uint8Array;
}

/** Every bound of a coordinator. */
export interface GroupLimits {
  /** How long an empty group waits for more members before its first rebalance ends. */
  readonly initialRebalanceDelayMs: number;
  readonly sessionTimeoutMsMin: number;
  readonly sessionTimeoutMsMax: number;
  readonly groupsMax: number;
  readonly membersPerGroupMax: number;
  /** Ids that were given out and have not joined yet. */
  readonly pendingMembersPerGroupMax: number;
  readonly offsetsPerGroupMax: number;
  /** Bytes of the metadata and assignments of all members of a group, which one record must hold. */
  readonly groupBytesMax: number;
  /** Counted in UTF-16 units, as other brokers count it. */
  readonly offsetMetadataLengthMax: number;
  readonly offsetsRetentionMs: number;
}

export const defaultGroupLimits: GroupLimits = {
  initialRebalanceDelayMs: 3_000,
  sessionTimeoutMsMin: 6_000,
  sessionTimeoutMsMax: 1_800_000,
  groupsMax: 100_000,
  membersPerGroupMax: 10_000,
  pendingMembersPerGroupMax: 1_000,
  offsetsPerGroupMax: 100_000,
  groupBytesMax: 700_000,
  offsetMetadataLengthMax: 4_096,
  offsetsRetentionMs: 7 * 24 * 3_600_000,
};
