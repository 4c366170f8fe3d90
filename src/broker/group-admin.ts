import {
  type Answer,
  type CommittedOffset as Committed,
  defaultGroupLimits,
  type GroupEvent,
  type GroupLimits,
  groupPartition,
  type TopicPartition,
} from "../coordination/index.ts";
import { invariant } from "../errors/index.ts";
import { fault, faultOf, type ItemFault, type ItemOutcome } from "./answers.ts";
import type { BrokerConfig } from "./broker-config.ts";
import { type CoordinatorParts, GroupCoordinator, type Moment } from "./group-coordinator.ts";
import type {
  CommitItem,
  CommitOffsetsRequest,
  CommittedOffset,
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
import type { PartitionFinder } from "./partition-finder.ts";
import type { OpenTopic } from "./topic-verbs.ts";

/** The topic that keeps the offsets and members of groups. Internal: clients may read it, only the broker writes it. */
export const groupsTopicName = "__consumer_offsets";
/** As tools expect that topic to be set. */
export const groupsTopicSettings: ReadonlyMap<string, string> = new Map([
  ["cleanup.policy", "compact"],
  ["compression.type", "producer"],
]);

export interface GroupAdminParts extends Omit<CoordinatorParts, "partition"> {
  readonly find: PartitionFinder;
  /** Makes the topic of groups, where it is not there. */
  readonly createTopic: () => Promise<ItemOutcome>;
}

/** The verbs of groups; each group is kept by the coordinator of its partition. */
export class GroupAdmin {
  readonly #parts: GroupAdminParts;
  /** By partition of the topic of groups; none before the topic is there. */
  #coordinators: readonly GroupCoordinator[] = [];

  constructor(parts: GroupAdminParts) {
    this.#parts = parts;
  }

  /** Opens the coordinators of the topic of groups: at start, or when it is made. */
  async openTopic(topic: OpenTopic): Promise<void> {
    const coordinators: GroupCoordinator[] = [];
    for (const partition of topic.partitions) {
      coordinators.push(await GroupCoordinator.open({ ...this.#parts, partition }));
    }
    this.#coordinators = coordinators;
  }

  dropOffsetsOfUnknownTopics(): void {
    const isKnown = (name: string): boolean => this.#parts.find.find({ name }) !== undefined;
    for (const coordinator of this.#coordinators) coordinator.dropOffsetsOfUnknown(isKnown);
  }

  /** Resolves once no group has offsets of the topic, durably, or the broker closes. */
  async topicDeleted(name: string): Promise<void> {
    await Promise.all(this.#coordinators.map((coordinator) => coordinator.dropOffsetsOf(name)));
  }

  expireOffsets(): void {
    for (const coordinator of this.#coordinators) {
      coordinator.tell(({ wallMs }) => ({ kind: "expire", wallMs }));
    }
  }

  async trimLogs(): Promise<void> {
    for (const coordinator of this.#coordinators) await coordinator.trim();
  }

  close(): void {
    for (const coordinator of this.#coordinators) coordinator.close();
  }

  get groupCount(): number {
    return this.#coordinators.reduce((sum, { groups }) => sum + groups.groupCount, 0);
  }

  async join(request: JoinGroupRequest): Promise<JoinedGroup> {
    const { groupId, client, groupInstanceId: instanceId } = request;
    const answer = await this.#ask(groupId, (token, moment, uuid) => ({
      kind: "join",
      token,
      ...moment,
      groupId,
      memberId: request.memberId,
      instanceId,
      uuid: uuid(),
      ...client,
      sessionTimeoutMs: request.sessionTimeoutMs,
      rebalanceTimeoutMs: request.rebalanceTimeoutMs,
      protocolType: request.protocolType,
      protocols: request.protocols.map(({ name, metadata, topics }) => ({
        name,
        metadata,
        topics,
      })),
      needsMemberId: request.requiresKnownMemberId,
      maySkipAssignment: request.supportsSkippingAssignment,
    }));
    if (answer.kind !== "joined") {
      const givenId = answer.kind === "refused" ? answer.memberId : undefined;
      const memberId = givenId ?? request.memberId ?? "";
      return { ...notJoined, memberId, ...refusal(answer) };
    }
    return {
      generationId: answer.generation,
      protocolType: answer.protocolType,
      protocolName: answer.protocol,
      leaderId: answer.leaderId,
      memberId: answer.memberId,
      skipsAssignment: answer.skipAssignment,
      members: answer.members.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.instanceId,
        metadata: member.metadata,
      })),
    };
  }

  async sync(request: SyncGroupRequest): Promise<SyncedGroup> {
    const answer = await this.#ask(request.groupId, (token, { nowMs }) => ({
      kind: "sync",
      token,
      nowMs,
      groupId: request.groupId,
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      generation: request.generationId,
      protocolType: request.protocolType,
      protocol: request.protocolName,
      assignments: request.assignments,
    }));
    if (answer.kind !== "synced") return { ...notSynced, ...refusal(answer) };
    const { protocolType, protocol: protocolName, assignment } = answer;
    return { protocolType, protocolName, assignment };
  }

  async heartbeat(request: HeartbeatRequest): Promise<ItemOutcome> {
    const answer = await this.#ask(request.groupId, (token, { nowMs }) => ({
      kind: "heartbeat",
      token,
      nowMs,
      groupId: request.groupId,
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      generation: request.generationId,
    }));
    return answer.kind === "alive" ? {} : refusal(answer);
  }

  async leave({ groupId, members }: LeaveGroupRequest): Promise<LeftGroup> {
    const names = members.map(({ memberId, groupInstanceId }) => ({
      memberId,
      instanceId: groupInstanceId,
    }));
    const answer = await this.#ask(groupId, (token, moment) => ({
      kind: "leave",
      token,
      ...moment,
      groupId,
      members: names,
    }));
    if (answer.kind !== "left") return { members: [], ...refusal(answer) };
    return {
      members: answer.members.map(({ memberId, instanceId: groupInstanceId, code }) => ({
        memberId,
        groupInstanceId,
        ...(code === undefined ? {} : fault(code, `the member cannot leave: ${code}`)),
      })),
    };
  }

  async commit(request: CommitOffsetsRequest): Promise<ItemOutcome[]> {
    const { groupId, offsets } = request;
    const places = offsets.map((item) => this.#placeOf(item));
    const wanted = offsets.flatMap(({ offset, leaderEpoch, metadata }, index) => {
      const place = places[index];
      return place === undefined || isFault(place)
        ? []
        : [{ ...place, offset, leaderEpoch, metadata }];
    });
    const answer = await this.#ask(groupId, (token, moment) => ({
      kind: "commit",
      token,
      ...moment,
      groupId,
      memberId: request.memberId,
      generation: request.generationId,
      instanceId: request.groupInstanceId,
      retentionMs: request.retentionMs,
      offsets: wanted,
    }));
    const committed = answer.kind === "committed" ? answer.partitions.values() : undefined;
    return places.map((place) => {
      if (isFault(place)) return place;
      if (committed === undefined) return refusal(answer);
      const code = committed.next().value?.code;
      return code === undefined ? {} : fault(code, `the offset was not stored: ${code}`);
    });
  }

  async fetchOffsets({ groupId, partitions }: FetchOffsetsRequest): Promise<GroupOffsets> {
    const coordinator = this.#coordinator(groupId);
    if (coordinator === undefined) {
      return { offsets: (partitions ?? []).map((item) => this.#offsetOf(item, undefined)) };
    }
    const offsets = await coordinator.read((groups) =>
      partitions === undefined
        ? [...groups.allCommitted(groupId)]
            .map(({ topic, partition, committed }) =>
              this.#offsetOf({ topic: { name: topic }, partition }, committed),
            )
            .toSorted(byTopicAndPartition)
        : partitions.map((item) => {
            const place = this.#placeOf(item);
            const committed = isFault(place)
              ? undefined
              : groups.committed(groupId, place.topic, place.partition);
            return this.#offsetOf(item, committed);
          }),
    );
    return { offsets };
  }

  describe(groupIds: readonly string[]): Promise<GroupDescription[]> {
    return Promise.all(groupIds.map((groupId) => this.#describe(groupId)));
  }

  list({ states = [], types = [] }: ListGroupsQuery = {}): GroupListing[] {
    const wantedStates = states.map((state) => state.toLowerCase());
    const wantedTypes = types.map((type) => type.toLowerCase());
    return this.#coordinators
      .flatMap(({ groups }) => groups.list())
      .map(({ groupId, protocolType, state }): GroupListing => ({
        groupId,
        protocolType: protocolType ?? "",
        state,
        groupType: "classic",
      }))
      .filter(({ state, groupType }) => {
        const hasState = states.length === 0 || wantedStates.includes(state.toLowerCase());
        return hasState && (types.length === 0 || wantedTypes.includes(groupType));
      })
      .toSorted((left, right) => (left.groupId < right.groupId ? -1 : 1));
  }

  delete(groupIds: readonly string[]): Promise<DeletedGroup[]> {
    const deleting = groupIds.map(async (groupId) => {
      const answer = await this.#askKnown(groupId, (token) => ({
        kind: "delete-group",
        token,
        groupId,
      }));
      return { groupId, ...(answer.kind === "group-deleted" ? {} : refusal(answer)) };
    });
    return Promise.all(deleting);
  }

  async deleteOffsets(groupId: string, items: readonly OffsetItem[]): Promise<DeletedOffsets> {
    const places = items.map((item) => this.#placeOf(item));
    const answer = await this.#askKnown(groupId, (token) => ({
      kind: "delete-offsets",
      token,
      groupId,
      partitions: places.filter((place): place is TopicPartition => !isFault(place)),
    }));
    if (answer.kind !== "offsets-deleted") {
      return { items: [], ...refusal(answer) };
    }
    const deleted = answer.partitions.values();
    return {
      items: places.map((place) => {
        if (isFault(place)) return place;
        const isSubscribed = deleted.next().value?.isSubscribed ?? false;
        return isSubscribed
          ? fault("group_not_empty", `a member of the group reads "${place.topic}"`)
          : {};
      }),
    };
  }

  async #describe(groupId: string): Promise<GroupDescription> {
    const found = await this.#coordinator(groupId)?.read((groups) => groups.describe(groupId));
    if (found === undefined) {
      return {
        groupId,
        state: "Dead",
        protocolType: "",
        protocolName: "",
        members: [],
        ...noSuchGroup(groupId),
      };
    }
    return {
      groupId,
      state: found.state,
      protocolType: found.protocolType ?? "",
      protocolName: found.protocol ?? "",
      members: found.members.map((member) => ({
        memberId: member.memberId,
        groupInstanceId: member.instanceId,
        client: { clientId: member.clientId, clientHost: member.clientHost },
        metadata: member.metadata,
        assignment: member.assignment,
      })),
    };
  }

  /** Undefined before the topic of groups is there. */
  #coordinator(groupId: string): GroupCoordinator | undefined {
    const count = this.#coordinators.length;
    return count === 0 ? undefined : this.#coordinators[groupPartition(groupId, count)];
  }

  async #ask(
    groupId: string,
    make: (token: number, moment: Moment, uuid: () => string) => GroupEvent,
  ): Promise<Answer> {
    if (this.#coordinators.length === 0) {
      const { errorCode, errorMessage } = await this.#parts.createTopic();
      if (errorCode !== undefined) {
        const message = `the topic of groups cannot be made: ${errorMessage}`;
        return { kind: "refused", code: "coordinator_unavailable", message, memberId: undefined };
      }
    }
    const coordinator = this.#coordinator(groupId);
    invariant(coordinator !== undefined, "the topic of groups has coordinators once it is made");
    return coordinator.ask((token, moment) => make(token, moment, () => coordinator.uuid()));
  }

  /** For what makes no sense without the group. */
  async #askKnown(groupId: string, make: (token: number) => GroupEvent): Promise<Answer> {
    const coordinator = this.#coordinator(groupId);
    if (coordinator !== undefined) return coordinator.ask(make);
    const { errorCode: code, errorMessage: message } = noSuchGroup(groupId);
    return { kind: "refused", code, message, memberId: undefined };
  }

  #placeOf({ topic, partition }: OffsetItem | CommitItem): TopicPartition | ItemFault {
    try {
      const found = this.#parts.find.topic(topic);
      this.#parts.find.partition(topic, partition);
      return { topic: found.name, partition };
    } catch (thrown) {
      return faultOf(thrown);
    }
  }

  #offsetOf({ topic, partition }: OffsetItem, committed: Committed | undefined): CommittedOffset {
    const found = this.#parts.find.find(topic);
    return {
      topic: found?.name ?? topic.name ?? "",
      topicId: found?.topicId ?? topic.topicId,
      partition,
      offset: committed?.offset,
      leaderEpoch: committed?.leaderEpoch,
      metadata: committed?.metadata ?? "",
      ...(found === undefined && topic.topicId !== undefined
        ? fault("topic_id_not_found", `no topic has the id ${topic.topicId}`)
        : {}),
    };
  }
}

/** The bounds of groups as the broker is set to. */
export function groupLimitsOf(config: BrokerConfig): Partial<GroupLimits> {
  const { membersPerGroupMax } = defaultGroupLimits;
  return {
    initialRebalanceDelayMs: config.number("group.initial.rebalance.delay.ms"),
    sessionTimeoutMsMin: config.number("group.min.session.timeout.ms"),
    sessionTimeoutMsMax: config.number("group.max.session.timeout.ms"),
    membersPerGroupMax: Math.min(membersPerGroupMax, config.number("group.max.size")),
    offsetMetadataLengthMax: config.number("offset.metadata.max.bytes"),
    offsetsRetentionMs: config.number("offsets.retention.minutes") * 60_000,
  };
}

const empty = new Uint8Array(0);

const notJoined: JoinedGroup = {
  generationId: -1,
  protocolType: undefined,
  protocolName: undefined,
  leaderId: "",
  memberId: "",
  skipsAssignment: false,
  members: [],
};

const notSynced: SyncedGroup = {
  protocolType: undefined,
  protocolName: undefined,
  assignment: empty,
};

function refusal(answer: Answer): ItemFault {
  invariant(answer.kind === "refused", "an event is answered in its kind, or refused");
  return fault(answer.code, answer.message);
}

function isFault(place: TopicPartition | ItemFault): place is ItemFault {
  return "errorCode" in place;
}

function noSuchGroup(groupId: string): ItemFault {
  return fault("group_not_found", `no group is named "${groupId}"`);
}

function byTopicAndPartition(left: CommittedOffset, right: CommittedOffset): number {
  if (left.topic === right.topic) return left.partition - right.partition;
  return left.topic < right.topic ? -1 : 1;
}
