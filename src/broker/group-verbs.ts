import type { ErrorCode } from "../errors/index.ts";
import type { ItemOutcome, TopicRef } from "./answers.ts";

/** Who sends a request, as the members of a group are shown. */
export interface ClientIdentity {
  readonly clientId: string;
  readonly clientHost: string;
}

export interface JoinGroupRequest {
  readonly groupId: string;
  /** Undefined for a member that has no id yet. */
  readonly memberId: string | undefined;
  readonly groupInstanceId: string | undefined;
  readonly protocolType: string;
  readonly protocols: readonly GroupProtocol[];
  readonly sessionTimeoutMs: number;
  readonly rebalanceTimeoutMs: number;
  /** Whether a member without id is sent back to come with one (JoinGroup from version 4 on). */
  readonly requiresKnownMemberId: boolean;
  /** Whether the answer may tell a static leader to skip its assignment (JoinGroup from version 9 on). */
  readonly supportsSkippingAssignment: boolean;
  readonly client: ClientIdentity;
  readonly reason?: string | undefined;
}

export interface GroupProtocol {
  readonly name: string;
  readonly metadata: Uint8Array;
  /** Topics that the member subscribes to, where the door can read them in `metadata`: their offsets are then kept from deletion. */
  readonly topics?: readonly string[] | undefined;
}

export interface JoinedGroup extends ItemOutcome {
  readonly generationId: number;
  readonly protocolType: string | undefined;
  readonly protocolName: string | undefined;
  readonly leaderId: string;
  /** Also set with the error `member_id_required`: the id to come with. */
  readonly memberId: string;
  readonly skipsAssignment: boolean;
  /** For the leader alone; empty for others. */
  readonly members: readonly JoinedMember[];
}

export interface JoinedMember {
  readonly memberId: string;
  readonly groupInstanceId: string | undefined;
  readonly metadata: Uint8Array;
}

export interface SyncGroupRequest {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | undefined;
  /** Undefined where the version does not name it; else it must be the group's. */
  readonly protocolType: string | undefined;
  readonly protocolName: string | undefined;
  readonly assignments: readonly MemberAssignment[];
}

export interface MemberAssignment {
  readonly memberId: string;
  readonly assignment: Uint8Array;
}

export interface SyncedGroup extends ItemOutcome {
  readonly protocolType: string | undefined;
  readonly protocolName: string | undefined;
  readonly assignment: Uint8Array;
}

export interface HeartbeatRequest {
  readonly groupId: string;
  readonly generationId: number;
  readonly memberId: string;
  readonly groupInstanceId: string | undefined;
}

export interface LeaveGroupRequest {
  readonly groupId: string;
  readonly members: readonly LeavingMember[];
}

export interface LeavingMember {
  /** Undefined where a static member is named by its instance id alone. */
  readonly memberId: string | undefined;
  readonly groupInstanceId: string | undefined;
  readonly reason?: string | undefined;
}

export interface LeftGroup extends ItemOutcome {
  /** One for each member of the request, in its order. */
  readonly members: readonly (ItemOutcome & {
    readonly memberId: string | undefined;
    readonly groupInstanceId: string | undefined;
  })[];
}

export interface CommitOffsetsRequest {
  readonly groupId: string;
  /** Not given, as the two that follow, where the offsets are committed from outside the group. */
  readonly generationId?: number | undefined;
  readonly memberId?: string | undefined;
  readonly groupInstanceId?: string | undefined;
  /** How long the offsets are kept, where an old client says so (OffsetCommit 2 to 4). */
  readonly retentionMs?: number | undefined;
  readonly offsets: readonly CommitItem[];
}

export interface CommitItem {
  readonly topic: TopicRef;
  readonly partition: number;
  readonly offset: number;
  readonly leaderEpoch: number | undefined;
  readonly metadata: string;
}

export interface FetchOffsetsRequest {
  readonly groupId: string;
  /** Undefined asks for everything that the group committed. */
  readonly partitions: readonly OffsetItem[] | undefined;
  /** Given by members of groups of the consumer protocol; undefined otherwise. */
  readonly memberId?: string | undefined;
  readonly memberEpoch?: number | undefined;
}

export interface OffsetItem {
  readonly topic: TopicRef;
  readonly partition: number;
}

export interface GroupOffsets extends ItemOutcome {
  /** In the order of the request; by topic and partition where everything was asked for. */
  readonly offsets: readonly CommittedOffset[];
}

/** Without offset, and without error, nothing was committed. */
export interface CommittedOffset extends ItemOutcome {
  readonly topic: string;
  readonly topicId: string | undefined;
  readonly partition: number;
  readonly offset: number | undefined;
  readonly leaderEpoch: number | undefined;
  readonly metadata: string;
}

export type GroupStateName =
  | "Empty"
  | "PreparingRebalance"
  | "CompletingRebalance"
  | "Stable"
  | "Dead";

/** A group that is not there has the state `Dead` and the error group_not_found. */
export interface GroupDescription extends ItemOutcome {
  readonly groupId: string;
  readonly state: GroupStateName;
  readonly protocolType: string;
  readonly protocolName: string;
  readonly members: readonly GroupMember[];
}

export interface GroupMember {
  readonly memberId: string;
  readonly groupInstanceId: string | undefined;
  readonly client: ClientIdentity;
  readonly metadata: Uint8Array;
  readonly assignment: Uint8Array;
}

export interface GroupListing {
  readonly groupId: string;
  readonly protocolType: string;
  readonly state: GroupStateName;
  readonly groupType: "classic" | "consumer";
}

export interface ListGroupsQuery {
  /** Compared without case; undefined or empty lists all. */
  readonly states?: readonly string[] | undefined;
  readonly types?: readonly string[] | undefined;
}

export interface DeletedGroup extends ItemOutcome {
  readonly groupId: string;
}

export interface DeletedOffsets {
  /** Of the whole call. */
  readonly errorCode?: ErrorCode;
  readonly errorMessage?: string;
  /** In the order of the request. */
  readonly items: readonly ItemOutcome[];
}

export interface CoordinatorAnswer extends ItemOutcome {
  readonly key: string;
  readonly nodeId: number;
  readonly host: string;
  readonly port: number;
}
