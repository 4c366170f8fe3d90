import { NIL_UUID } from "../../bytes/index.ts";
import type { CreatedTopic, NewTopic, TopicRef } from "../../broker/index.ts";
import type { Exchange } from "../exchange.ts";
import type { RequestOf, ResponseBody } from "../registry.ts";
import { originNumber } from "./configs.ts";
import type { Served } from "./served.ts";
import { errorCodeOf, invalidRequest, known, numberOf, repeated } from "./wire.ts";

type WantedTopic = RequestOf<"CreateTopics">["topics"][number];
type CreatedAnswer = ResponseBody<"CreateTopics">["topics"][number];

export async function createTopics(
  { broker }: Served,
  { topics, validateOnly }: RequestOf<"CreateTopics">,
): Promise<ResponseBody<"CreateTopics">> {
  const twice = repeated(topics.map(({ name }) => name));
  const refused = new Map<string, CreatedAnswer>();
  const wanted = new Map<string, NewTopic>();
  for (const topic of topics) {
    const answer = twice.has(topic.name)
      ? notCreated(topic, invalidRequest, "the request creates this topic more than once")
      : creationFault(topic);
    if (answer === undefined) wanted.set(topic.name, newTopic(topic));
    else refused.set(topic.name, answer);
  }
  const created = await broker.createTopics([...wanted.values()], { validateOnly });
  const answers = created.map((topic) => createdAnswer(topic));
  return { topics: [...refused.values(), ...answers] };
}

function creationFault(topic: WantedTopic): CreatedAnswer | undefined {
  const { assignments, configs, numPartitions, replicationFactor } = topic;
  if (assignments.length > 0 && (numPartitions !== -1 || replicationFactor !== -1)) {
    const reason = "with assignments, the counts of partitions and replicas must be -1";
    return notCreated(topic, invalidRequest, reason);
  }
  if (repeated(assignments.map(({ partitionIndex }) => partitionIndex)).size > 0) {
    return notCreated(topic, invalidRequest, "a partition is assigned more than once");
  }
  if (numPartitions < -1) {
    const reason = `a topic cannot have ${numPartitions} partitions`;
    return notCreated(topic, numberOf("invalid_partitions"), reason);
  }
  if (replicationFactor < -1) {
    const reason = `a replication factor of ${replicationFactor} is not possible`;
    return notCreated(topic, numberOf("invalid_replication_factor"), reason);
  }
  const absent = configs.find(({ value }) => value === undefined);
  if (absent !== undefined) {
    const reason = `setting "${absent.name}" has no value`;
    return notCreated(topic, numberOf("invalid_config"), reason);
  }
  const [again] = repeated(configs.map(({ name }) => name));
  if (again === undefined) return undefined;
  return notCreated(topic, invalidRequest, `setting "${again}" is given more than once`);
}

function newTopic(topic: WantedTopic): NewTopic {
  const { name, assignments, configs } = topic;
  return {
    name,
    partitionCount: known(topic.numPartitions),
    replicationFactor: known(topic.replicationFactor),
    assignments:
      assignments.length === 0
        ? undefined
        : assignments.map(({ partitionIndex, brokerIds }) => ({
            index: partitionIndex,
            replicas: brokerIds,
          })),
    settings: new Map(configs.map((config) => [config.name, config.value ?? ""])),
  };
}

function notCreated({ name }: { name: string }, code: number, message?: string): CreatedAnswer {
  return { name, topicId: NIL_UUID, errorCode: code, errorMessage: message, configs: [] };
}

function createdAnswer(topic: CreatedTopic): CreatedAnswer {
  const errorCode = errorCodeOf(topic);
  if (errorCode !== 0) return notCreated(topic, errorCode, topic.errorMessage);
  return {
    name: topic.name,
    topicId: topic.topicId ?? NIL_UUID,
    errorCode,
    numPartitions: topic.partitionCount,
    replicationFactor: topic.replicationFactor,
    configs: topic.settings.map(({ name, value, isReadOnly, isSensitive, origin }) => ({
      name,
      value: isSensitive ? undefined : value,
      readOnly: isReadOnly,
      configSource: originNumber[origin],
      isSensitive,
    })),
  };
}

type DeletedAnswer = ResponseBody<"DeleteTopics">["responses"][number];

export async function deleteTopics(
  { broker }: Served,
  { topics, topicNames }: RequestOf<"DeleteTopics">,
  { version }: Exchange,
): Promise<ResponseBody<"DeleteTopics">> {
  const named: { name: string | undefined; topicId: string }[] =
    version >= 6 ? [...topics] : topicNames.map((name) => ({ name, topicId: NIL_UUID }));
  const twice = repeated(named.map(({ name, topicId }) => name ?? topicId));
  const refused: DeletedAnswer[] = [];
  const refs: TopicRef[] = [];
  for (const topic of named) {
    const { name, topicId } = topic;
    if (twice.has(name ?? topicId)) {
      refused.push(notDeleted(topic, "the request deletes this topic more than once"));
    } else if (name === undefined && topicId !== NIL_UUID) refs.push({ topicId });
    else if (name !== undefined && topicId === NIL_UUID) refs.push({ name });
    else refused.push(notDeleted(topic, "a topic is named by its name or by its id"));
  }
  const deleted = await broker.deleteTopics(refs);
  const answers = deleted.map((topic) => ({
    name: topic.name,
    topicId: topic.topicId ?? NIL_UUID,
    errorCode: errorCodeOf(topic),
    errorMessage: topic.errorMessage,
  }));
  return { responses: [...refused, ...answers] };
}

function notDeleted(
  { name, topicId }: { name: string | undefined; topicId: string },
  errorMessage: string,
): DeletedAnswer {
  return { name, topicId, errorCode: invalidRequest, errorMessage };
}

export async function createPartitions(
  { broker }: Served,
  { topics, validateOnly }: RequestOf<"CreatePartitions">,
): Promise<ResponseBody<"CreatePartitions">> {
  const twice = repeated(topics.map(({ name }) => name));
  const wanted = topics.filter(({ name }) => !twice.has(name));
  const grown = await broker.createPartitions(
    wanted.map(({ name, count, assignments }) => ({
      name,
      partitionCount: count,
      assignments: assignments?.map(({ brokerIds }) => brokerIds),
    })),
    { validateOnly },
  );
  const refused = [...twice].map((name) => ({
    name,
    errorCode: invalidRequest,
    errorMessage: "the request names this topic more than once",
  }));
  const answers = grown.map((topic) => ({
    name: topic.name,
    errorCode: errorCodeOf(topic),
    errorMessage: topic.errorMessage,
  }));
  return { results: [...refused, ...answers] };
}
