import { LogError, outcomes } from "../../errors/index.ts";
import { decodeAlone } from "../codec/codec.ts";
import { consumerAssignment } from "../messages/consumer-protocol.ts";
import type { ResponseOf } from "../registry.ts";
import type { Cluster, RetryOptions } from "./cluster.ts";
import { mustSucceed } from "./errors.ts";
import type { TopicPartition } from "./offsets.ts";

export interface GroupSummary {
  readonly groupId: string;
  readonly protocolType: string;
  /** Empty where the server does not tell it in a list. */
  readonly state: string;
}

export interface GroupDetails {
  readonly groupId: string;
  readonly state: string;
  readonly protocolType: string;
  readonly protocolName: string;
  readonly members: readonly GroupMemberDetails[];
}

interface GroupMemberDetails {
  readonly memberId: string;
  readonly groupInstanceId: string | undefined;
  readonly clientId: string;
  readonly clientHost: string;
  /** Empty where the group is not one of consumers. */
  readonly assignment: readonly TopicPartition[];
}

export interface CommittedPosition extends TopicPartition {
  /** The offset to read next. */
  readonly offset: number;
  readonly metadata: string;
}

export interface PositionToCommit extends TopicPartition {
  readonly offset: number;
}

/** Whom a commit comes from; absent for one from outside of the group. */
interface CommitOrigin {
  readonly memberId: string;
  readonly generationId: number;
}

interface CommitOptions extends RetryOptions {
  readonly origin?: CommitOrigin;
}

/** Later versions name topics by their ids, which a group may outlive. */
const NAMED_COMMIT_VERSION_MAX = 9;
const NAMED_FETCH_VERSION_MAX = 9;

/** Consumer groups and what they committed. */
export class Groups {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** In the order of their ids. */
  async list(): Promise<GroupSummary[]> {
    const { groups } = await this.#cluster.retrying(async () => {
      const answer = await (await this.#cluster.any()).request("ListGroups", {});
      mustSucceed(answer.errorCode, "groups");
      return answer;
    });
    return groups
      .map(({ groupId, protocolType, groupState }) => ({
        groupId,
        protocolType,
        state: groupState,
      }))
      .toSorted((left, right) => (left.groupId < right.groupId ? -1 : 1));
  }

  /** @throws LogError group_not_found */
  async describe(groupId: string): Promise<GroupDetails> {
    return this.#cluster.retrying(async () => {
      const connection = await this.#cluster.coordinatorOf(groupId);
      const answer = await connection.request("DescribeGroups", { groups: [groupId] });
      const group = answer.groups[0];
      // Older versions describe what is not there as a dead group.
      const isThere = group !== undefined && (group.groupState !== "Dead" || group.errorCode !== 0);
      if (!isThere) throw new LogError("group_not_found", `group ${groupId}: not found`);
      mustSucceed(group.errorCode, `group ${groupId}`, group.errorMessage);
      return detailsOf(group);
    });
  }

  /** Everything the group committed, by topic and partition; nothing where there is no such group. */
  async positions(groupId: string): Promise<CommittedPosition[]> {
    return this.#cluster.retrying(async () => {
      const connection = await this.#cluster.coordinatorOf(groupId);
      const isBatched = (connection.versionOf("OffsetFetch") ?? 0) >= 8;
      const answer = await connection.request(
        "OffsetFetch",
        isBatched ? { groups: [{ groupId }] } : { groupId },
        { versionMax: NAMED_FETCH_VERSION_MAX },
      );
      const group = answer.groups[0] ?? answer;
      if (group.errorCode === outcomes.group_not_found.kafka) return [];
      mustSucceed(group.errorCode, `group ${groupId}`);
      return positionsOf(groupId, group.topics);
    });
  }

  /** @throws LogError generation_illegal, member_unknown, rebalance_in_progress, ... */
  async commit(
    groupId: string,
    positions: readonly PositionToCommit[],
    options: CommitOptions = {},
  ): Promise<void> {
    const { origin } = options;
    const commitOnce = async (): Promise<void> => {
      const connection = await this.#cluster.coordinatorOf(groupId);
      const answer = await connection.request(
        "OffsetCommit",
        {
          groupId,
          generationIdOrMemberEpoch: origin?.generationId ?? -1,
          memberId: origin?.memberId ?? "",
          topics: byTopic(positions).map(([name, ofTopic]) => ({
            name,
            partitions: ofTopic.map(({ partition, offset }) => ({
              partitionIndex: partition,
              committedOffset: offset,
              committedMetadata: "",
            })),
          })),
        },
        { versionMax: NAMED_COMMIT_VERSION_MAX },
      );
      for (const { name, partitions } of answer.topics) {
        for (const { partitionIndex, errorCode } of partitions) {
          mustSucceed(errorCode, `group ${groupId}, ${name}/${partitionIndex}`);
        }
      }
    };
    await this.#cluster.retrying(commitOnce, options);
  }

  /** @throws LogError group_not_found, group_not_empty */
  async delete(groupId: string): Promise<void> {
    await this.#cluster.retrying(async () => {
      const connection = await this.#cluster.coordinatorOf(groupId);
      const answer = await connection.request("DeleteGroups", { groupsNames: [groupId] });
      for (const { errorCode, errorMessage } of answer.results) {
        mustSucceed(errorCode, `group ${groupId}`, errorMessage);
      }
    });
  }
}

function detailsOf(group: ResponseOf<"DescribeGroups">["groups"][number]): GroupDetails {
  const isOfConsumers = group.protocolType === "consumer";
  return {
    groupId: group.groupId,
    state: group.groupState,
    protocolType: group.protocolType,
    protocolName: group.protocolData,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      assignment: isOfConsumers ? decodeAssignment(member.memberAssignment) : [],
    })),
  };
}

interface FetchedTopic {
  readonly name: string;
  readonly partitions: readonly {
    readonly partitionIndex: number;
    readonly committedOffset: number;
    readonly metadata: string | undefined;
    readonly errorCode: number;
  }[];
}

function positionsOf(groupId: string, topics: readonly FetchedTopic[]): CommittedPosition[] {
  const positions: CommittedPosition[] = [];
  for (const { name, partitions } of topics) {
    for (const { partitionIndex, committedOffset, metadata, errorCode } of partitions) {
      mustSucceed(errorCode, `group ${groupId}, ${name}/${partitionIndex}`);
      if (committedOffset < 0) continue;
      positions.push({
        topic: name,
        partition: partitionIndex,
        offset: committedOffset,
        metadata: metadata ?? "",
      });
    }
  }
  return positions.toSorted(inOrder);
}

/** By topic, then by partition. */
function inOrder(left: TopicPartition, right: TopicPartition): number {
  if (left.topic !== right.topic) return left.topic < right.topic ? -1 : 1;
  return left.partition - right.partition;
}

/** Items of the same topic together, topics in the order of their first item. */
export function byTopic<T extends TopicPartition>(items: readonly T[]): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(item.topic);
    if (group === undefined) groups.set(item.topic, [item]);
    else group.push(item);
  }
  return [...groups];
}

/** What a leader assigned to a member; a member without a part has no bytes at all. */
export function decodeAssignment(bytes: Uint8Array): TopicPartition[] {
  if (bytes.length < 2) return [];
  const version = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0);
  const known = Math.min(version, consumerAssignment.versionMax);
  const { assignedPartitions } = decodeAlone(consumerAssignment, known, bytes.subarray(2));
  return assignedPartitions.flatMap(({ topic, partitions }) =>
    partitions.map((partition) => ({ topic, partition })),
  );
}
