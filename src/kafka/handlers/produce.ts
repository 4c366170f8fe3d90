import type { OpenTopic } from "../../broker/index.ts";
import { LogError, type ErrorCode } from "../../errors/index.ts";
import { type AppendOutcome, type Refused, whenSettled } from "../../partitions/index.ts";
import type { Exchange } from "../exchange.ts";
import type { RequestOf, ResponseBody } from "../registry.ts";
import type { Served } from "./served.ts";
import { numberOf } from "./wire.ts";

type ProduceRequest = RequestOf<"Produce">;
type ProduceResponse = ResponseBody<"Produce">;
type TopicData = ProduceRequest["topicData"][number];
type PartitionData = TopicData["partitionData"][number];
type PartitionAnswer = ProduceResponse["responses"][number]["partitionResponses"][number];

/** The wire's number for acks other than -1, 0 and 1: no other door knows acks. */
const invalidRequiredAcks = 21;

/** Batches compressed with zstd came with this version. */
const versionOfZstd = 7;
const versionOfTopicIds = 13;

/**
 * Appends one batch to each partition of the request, and answers once what was appended is durable;
 * without a word when the producer asked for no answer.
 */
// hot: once for every produce request; guarded by bench/server.
export function produce(
  served: Served,
  request: ProduceRequest,
  exchange: Exchange<"Produce">,
): Promise<ProduceResponse> | ProduceResponse | undefined {
  const { acks, topicData } = request;
  if (acks !== 1 && acks !== 0 && acks !== -1) return refuseAcks(topicData);
  const outcomes = appendAll(served, request, exchange.version);
  if (acks === 0 && outcomes.some(isRefused)) return failAfter(outcomes);
  whenSettled(outcomes, () => {
    if (acks === 0) exchange.sendNothing();
    else exchange.send(responseOf(topicData, outcomes));
  });
  return undefined;
}

function appendAll(served: Served, request: ProduceRequest, version: number): AppendOutcome[] {
  const nowMs = served.env.clock.wallMs();
  const outcomes: AppendOutcome[] = [];
  for (const data of request.topicData) {
    const topic = topicOf(served, data, version);
    for (const partition of data.partitionData) {
      const refused = faultOf(request, partition, version);
      outcomes.push(refused ?? append(topic ?? noTopic(data, version), partition, nowMs));
    }
  }
  return outcomes;
}

function topicOf({ broker }: Served, data: TopicData, version: number): OpenTopic | undefined {
  return version < versionOfTopicIds
    ? broker.topicNamed(data.name)
    : broker.topicById(data.topicId);
}

function append(topic: OpenTopic | Refused, data: PartitionData, nowMs: number): AppendOutcome {
  if ("kind" in topic) return topic;
  const partition = topic.partitions[data.index];
  if (partition === undefined) {
    const count = topic.partitions.length;
    const reason = `topic "${topic.name}" has ${count} partitions, not one with index ${data.index}`;
    return refuse("partition_not_found", reason);
  }
  // A request without batches was refused before this.
  return partition.append(data.records ?? noBytes, nowMs);
}

/** What is wrong with a part of the request whatever its partition says. */
function faultOf(
  { transactionalId }: ProduceRequest,
  { records }: PartitionData,
  version: number,
): Refused | undefined {
  if (transactionalId !== undefined) {
    const advice = "transactions are not supported yet; use an idempotent producer without one";
    return refuse("unsupported", `transactional id "${transactionalId}": ${advice}`);
  }
  if (records === undefined || records.length === 0) {
    return refuse("batch_invalid", "one batch is expected; there is none");
  }
  if (version < versionOfZstd && isZstd(records)) {
    const reason = `batches compressed with zstd need Produce v${versionOfZstd}; this is v${version}`;
    return refuse("unsupported_compression", reason);
  }
  return undefined;
}

/** Where the low byte of a batch's attributes lies, and how zstd stands there. */
const attributesPosition = 22;
const codecMask = 0b111;
const codecZstd = 4;

function isZstd(batch: Uint8Array): boolean {
  return ((batch[attributesPosition] ?? 0) & codecMask) === codecZstd;
}

function noTopic({ name, topicId }: TopicData, version: number): Refused {
  return version < versionOfTopicIds
    ? refuse("topic_not_found", `there is no topic "${name}"`)
    : refuse("topic_id_not_found", `no topic has the id ${topicId}`);
}

function refuse(code: ErrorCode, reason: string): Refused {
  return { kind: "refused", code, reason };
}

function isRefused(outcome: AppendOutcome): boolean {
  return outcome.kind === "refused";
}

/** A producer that wants no answer learns of its mistake by losing the connection, once the rest of its batches need their memory no more. */
function failAfter(outcomes: readonly AppendOutcome[]): Promise<never> {
  const first = outcomes.find((outcome) => outcome.kind === "refused");
  const { code, reason } = first ?? refuse("internal", "nothing was refused");
  return new Promise((_, reject) => {
    whenSettled(outcomes, () => reject(new LogError(code, `Produce with acks=0: ${reason}`)));
  });
}

function responseOf(
  topicData: readonly TopicData[],
  outcomes: readonly AppendOutcome[],
): ProduceResponse {
  let next = 0;
  const responses = topicData.map(({ name, topicId, partitionData }) => ({
    name,
    topicId,
    partitionResponses: partitionData.map(({ index }) => answerOf(index, outcomes[next++])),
  }));
  return { responses };
}

function answerOf(index: number, outcome: AppendOutcome | undefined): PartitionAnswer {
  if (outcome === undefined) return failed(index, numberOf("internal"), undefined);
  if (outcome.kind === "refused") return failed(index, numberOf(outcome.code), outcome.reason);
  const { error } = outcome.frame;
  if (error !== undefined) return failed(index, numberOf(error.code), error.message);
  return {
    index,
    errorCode: 0,
    baseOffset: outcome.baseOffset,
    logAppendTimeMs: outcome.logAppendTimeMs ?? -1,
    logStartOffset: outcome.logStartOffset,
  };
}

function failed(index: number, errorCode: number, errorMessage?: string): PartitionAnswer {
  return { index, errorCode, baseOffset: -1, errorMessage };
}

function refuseAcks(topicData: readonly TopicData[]): ProduceResponse {
  const responses = topicData.map(({ name, topicId, partitionData }) => ({
    name,
    topicId,
    partitionResponses: partitionData.map(({ index }) => failed(index, invalidRequiredAcks)),
  }));
  return { responses };
}

const noBytes = new Uint8Array(0);
