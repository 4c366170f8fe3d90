import { NIL_UUID } from "../../bytes/index.ts";
import type { CommittedOffset, GroupOffsets, ItemOutcome, TopicRef } from "../../broker/index.ts";
import type { Exchange } from "../exchange.ts";
import type { RequestOf, ResponseBody } from "../registry.ts";
import type { Served } from "./served.ts";
import { errorCodeOf, given, known, numberOf, runs } from "./wire.ts";

/** From this version on, commits and fetches of offsets name topics by their ids. */
const versionOfTopicIds = 10;

interface WireTopic {
  readonly name: string;
  readonly topicId: string;
}

function refOf({ name, topicId }: WireTopic, version: number): TopicRef {
  return version < versionOfTopicIds ? { name } : { topicId };
}

export async function offsetCommit(
  { broker }: Served,
  request: RequestOf<"OffsetCommit">,
  { version }: Exchange,
): Promise<ResponseBody<"OffsetCommit">> {
  const { topics } = request;
  const offsets = topics.flatMap((topic) =>
    topic.partitions.map((partition) => ({
      topic: refOf(topic, version),
      partition: partition.partitionIndex,
      offset: partition.committedOffset,
      leaderEpoch: known(partition.committedLeaderEpoch),
      metadata: partition.committedMetadata ?? "",
    })),
  );
  const committed = await broker.commitOffsets({
    groupId: request.groupId,
    generationId: known(request.generationIdOrMemberEpoch),
    memberId: given(request.memberId),
    groupInstanceId: request.groupInstanceId,
    offsets,
  });
  return { topics: inOrderOf(topics, committed) };
}

/** Outcomes that came in the order of the request, below their topics again. */
function inOrderOf<T extends { readonly partitions: readonly { partitionIndex: number }[] }>(
  topics: readonly T[],
  outcomes: readonly ItemOutcome[],
): (T & { partitions: { partitionIndex: number; errorCode: number }[] })[] {
  let next = 0;
  return topics.map((topic) => ({
    ...topic,
    partitions: topic.partitions.map(({ partitionIndex }) => {
      const outcome = outcomes[next++];
      const errorCode = outcome === undefined ? numberOf("internal") : errorCodeOf(outcome);
      return { partitionIndex, errorCode };
    }),
  }));
}

type FetchRequest = RequestOf<"OffsetFetch">;
type WantedGroup = FetchRequest["groups"][number];
type FetchResponse = ResponseBody<"OffsetFetch">;
type OffsetAnswer = NonNullable<FetchResponse["topics"]>[number]["partitions"][number];
type GroupAnswer = NonNullable<FetchResponse["groups"]>[number];

/** From this version on, an error of the whole group has a field of its own. */
const versionOfGroupErrors = 2;
/** From this version on, a request asks for many groups. */
const versionOfManyGroups = 8;

/**
 * Whether offsets are stable needs no asking: without transactions nothing pends. So the request's
 * `requireStable` is met as it is.
 */
export async function offsetFetch(
  { broker }: Served,
  request: FetchRequest,
  { version }: Exchange,
): Promise<FetchResponse> {
  const fetchGroup = (group: WantedGroup): Promise<GroupOffsets> =>
    broker.fetchOffsets({
      groupId: group.groupId,
      partitions: group.topics?.flatMap((topic) =>
        topic.partitionIndexes.map((partition) => ({ topic: refOf(topic, version), partition })),
      ),
      memberId: given(group.memberId),
      memberEpoch: known(group.memberEpoch),
    });
  if (version >= versionOfManyGroups) {
    const groups: GroupAnswer[] = [];
    for (const group of request.groups) {
      groups.push(groupAnswer(group, await fetchGroup(group), version));
    }
    return { groups };
  }
  const only = onlyGroup(request);
  const fetched = await fetchGroup(only);
  const { topics, errorCode = 0 } = groupAnswer(only, fetched, version);
  if (errorCode === 0 || version >= versionOfGroupErrors) return { topics, errorCode };
  return { topics: failedEach(only, errorCode) };
}

function onlyGroup({ groupId, topics }: FetchRequest): WantedGroup {
  return {
    groupId,
    memberId: undefined,
    memberEpoch: -1,
    topics: topics?.map((topic) => ({ ...topic, topicId: NIL_UUID })),
  };
}

function groupAnswer(group: WantedGroup, fetched: GroupOffsets, version: number): GroupAnswer {
  const { groupId } = group;
  const errorCode = errorCodeOf(fetched);
  if (errorCode !== 0) return { groupId, topics: [], errorCode };
  return {
    groupId,
    topics:
      group.topics === undefined
        ? everyTopic(fetched.offsets, version)
        : wantedTopics(group.topics, fetched.offsets),
  };
}

function wantedTopics(
  topics: NonNullable<WantedGroup["topics"]>,
  offsets: readonly CommittedOffset[],
): GroupAnswer["topics"] {
  let next = 0;
  return topics.map(({ name, topicId, partitionIndexes }) => ({
    name,
    topicId,
    partitions: partitionIndexes.map((index) => offsetAnswer(index, offsets[next++])),
  }));
}

function everyTopic(offsets: readonly CommittedOffset[], version: number): GroupAnswer["topics"] {
  // Where topics go by their ids, one that is gone has no name any more.
  const nameable = offsets.filter(
    ({ topicId }) => version < versionOfTopicIds || topicId !== undefined,
  );
  return runs(nameable, (left, right) => left.topic === right.topic).map((ofTopic) => ({
    name: ofTopic[0]?.topic ?? "",
    topicId: ofTopic[0]?.topicId ?? NIL_UUID,
    partitions: ofTopic.map((offset) => offsetAnswer(offset.partition, offset)),
  }));
}

function offsetAnswer(partitionIndex: number, offset: CommittedOffset | undefined): OffsetAnswer {
  if (offset === undefined) return failed(partitionIndex, numberOf("internal"));
  return {
    partitionIndex,
    committedOffset: offset.offset ?? -1,
    committedLeaderEpoch: offset.leaderEpoch ?? -1,
    metadata: offset.metadata,
    errorCode: errorCodeOf(offset),
  };
}

function failedEach(group: WantedGroup, errorCode: number): NonNullable<FetchResponse["topics"]> {
  return (group.topics ?? []).map(({ name, partitionIndexes }) => ({
    name,
    partitions: partitionIndexes.map((index) => failed(index, errorCode)),
  }));
}

function failed(partitionIndex: number, errorCode: number): OffsetAnswer {
  return { partitionIndex, committedOffset: -1, metadata: "", errorCode };
}

export async function offsetDelete(
  { broker }: Served,
  { groupId, topics }: RequestOf<"OffsetDelete">,
): Promise<ResponseBody<"OffsetDelete">> {
  const items = topics.flatMap(({ name, partitions }) =>
    partitions.map(({ partitionIndex }) => ({ topic: { name }, partition: partitionIndex })),
  );
  const deleted = await broker.deleteOffsets(groupId, items);
  const errorCode = errorCodeOf(deleted);
  return { errorCode, topics: errorCode === 0 ? inOrderOf(topics, deleted.items) : [] };
}
