import { NIL_UUID } from "../../bytes/index.ts";
import type { Broker, ItemOutcome, TopicDescription, TopicRef } from "../../broker/index.ts";
import { checkTopicName } from "../../metadata/index.ts";
import type { Exchange } from "../exchange.ts";
import type { RequestOf, ResponseBody } from "../registry.ts";
import type { Served } from "./served.ts";
import {
  clusterOperations,
  errorCodeOf,
  invalidRequest,
  numberOf,
  operationsNotAsked,
  topicOperations,
} from "./wire.ts";

type MetadataRequest = RequestOf<"Metadata">;
type MetadataTopic = ResponseBody<"Metadata">["topics"][number];

/** Versions 10 and 11 have the field, but a topic can be asked for by its id from here on only. */
const versionOfTopicIds = 12;

export async function metadata(
  { broker }: Served,
  request: MetadataRequest,
  { version }: Exchange,
): Promise<ResponseBody<"Metadata">> {
  const isWrong = version < versionOfTopicIds && (request.topics?.some(isById) ?? false);
  const topics = isWrong
    ? refusedTopics(request)
    : (await describedTopics(broker, request, version)).map((topic) =>
        metadataTopic(topic, request),
      );
  const { clusterId, controllerId, brokers } = broker.describeCluster();
  return {
    brokers,
    clusterId,
    controllerId,
    topics,
    clusterAuthorizedOperations: request.includeClusterAuthorizedOperations
      ? clusterOperations
      : operationsNotAsked,
  };
}

function isById({ name, topicId }: { name: string | undefined; topicId: string }): boolean {
  return name === undefined || topicId !== NIL_UUID;
}

function refusedTopics({ topics }: MetadataRequest): MetadataTopic[] {
  return (topics ?? []).map(({ name = "", topicId }) => ({
    errorCode: invalidRequest,
    name,
    topicId,
    partitions: [],
  }));
}

async function describedTopics(
  broker: Broker,
  { topics, allowAutoTopicCreation }: MetadataRequest,
  version: number,
): Promise<TopicDescription[]> {
  // The oldest version cannot say null, so its empty list asks for all.
  if (topics === undefined || (version === 0 && topics.length === 0)) {
    return broker.describeTopics(broker.listTopics().map(({ name }) => ({ name })));
  }
  const refs = topics.map(({ name, topicId }): TopicRef =>
    topicId !== NIL_UUID || name === undefined ? { topicId } : { name },
  );
  const faults = new Map<string, ItemOutcome>();
  for (const { name } of refs) {
    if (name === undefined || broker.topicNamed(name) !== undefined || faults.has(name)) continue;
    faults.set(name, await absence(broker, name, allowAutoTopicCreation));
  }
  return broker.describeTopics(refs).map((topic, index) => {
    const name = refs[index]?.name;
    if (topic.errorCode === undefined || name === undefined) return topic;
    return { ...topic, ...faults.get(name) };
  });
}

/** Makes a topic that is not there, or says why there is none; nothing to say where it is there now. */
async function absence(broker: Broker, name: string, mayCreate: boolean): Promise<ItemOutcome> {
  const rejected = checkTopicName(name);
  if (rejected !== undefined) return { errorCode: rejected.code, errorMessage: rejected.message };
  return mayCreate ? broker.autoCreateTopic(name) : {};
}

function metadataTopic(
  topic: TopicDescription,
  { includeTopicAuthorizedOperations }: MetadataRequest,
): MetadataTopic {
  const errorCode = errorCodeOf(topic);
  return {
    errorCode,
    name: topic.name,
    topicId: topic.topicId ?? NIL_UUID,
    isInternal: topic.isInternal,
    partitions: topic.partitions.map(partitionAnswer),
    topicAuthorizedOperations:
      includeTopicAuthorizedOperations && errorCode === 0 ? topicOperations : operationsNotAsked,
  };
}

/** What the two descriptions of a partition share. */
function partitionAnswer(
  partition: TopicDescription["partitions"][number],
): MetadataTopic["partitions"][number] {
  return {
    errorCode: 0,
    partitionIndex: partition.index,
    leaderId: partition.leader,
    leaderEpoch: partition.leaderEpoch,
    replicaNodes: partition.replicas,
    isrNodes: partition.inSyncReplicas,
    offlineReplicas: partition.offlineReplicas,
  };
}

type PagedRequest = RequestOf<"DescribeTopicPartitions">;
type PagedTopic = ResponseBody<"DescribeTopicPartitions">["topics"][number];

/** Most partitions of one page, whatever the client asks for. */
const partitionsPerPageMax = 2000;

/** Describes topics by name, in the order of their names, page by page. */
export function describeTopicPartitions(
  { broker }: Served,
  request: PagedRequest,
): ResponseBody<"DescribeTopicPartitions"> {
  const { topics, cursor } = request;
  if (cursor !== undefined && cursor.partitionIndex < 0) return refusedPage(request);
  const wanted =
    topics.length === 0
      ? broker.listTopics().map(({ name }) => name)
      : [...new Set(topics.map(({ name }) => name))].toSorted();
  const from = cursor?.topicName ?? "";
  const names = wanted.filter((name) => name >= from).map((name) => ({ name }));
  let left = Math.max(1, Math.min(request.responsePartitionLimit, partitionsPerPageMax));
  const page: PagedTopic[] = [];
  for (const topic of broker.describeTopics(names)) {
    const { name = "", partitions } = topic;
    const first = cursor?.topicName === name ? cursor.partitionIndex : 0;
    const shown = partitions.slice(first, first + left);
    if (shown.length === 0 && partitions.length > first) {
      return { topics: page, nextCursor: { topicName: name, partitionIndex: first } };
    }
    page.push(pagedTopic(topic, shown));
    left -= shown.length;
    const next = first + shown.length;
    if (next < partitions.length) {
      return { topics: page, nextCursor: { topicName: name, partitionIndex: next } };
    }
  }
  return { topics: page };
}

function pagedTopic(topic: TopicDescription, shown: TopicDescription["partitions"]): PagedTopic {
  const { name = "", topicId = NIL_UUID, isInternal } = topic;
  const isNameable = checkTopicName(name) === undefined;
  const errorCode = isNameable ? errorCodeOf(topic) : numberOf("invalid_topic_name");
  return {
    errorCode,
    name,
    topicId,
    isInternal,
    partitions: shown.map((partition) => ({
      ...partitionAnswer(partition),
      eligibleLeaderReplicas: [],
      lastKnownElr: [],
      offlineReplicas: partition.offlineReplicas,
    })),
    topicAuthorizedOperations: errorCode === 0 ? topicOperations : operationsNotAsked,
  };
}

function refusedPage({ topics }: PagedRequest): ResponseBody<"DescribeTopicPartitions"> {
  return {
    topics: topics.map(({ name }) => ({
      errorCode: invalidRequest,
      name,
      topicId: NIL_UUID,
      partitions: [],
    })),
  };
}
