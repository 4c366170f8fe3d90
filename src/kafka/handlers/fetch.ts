import type { FetchedPartition, FetchItem } from "../../broker/index.ts";
import type { ErrorCode } from "../../errors/index.ts";
import type { Partition } from "../../partitions/index.ts";
import type { Exchange } from "../exchange.ts";
import type { RequestOf, ResponseBody } from "../registry.ts";
import { type FetchScope, type FetchTarget, versionOfTopicIds } from "./fetch-sessions.ts";
import type { Served } from "./served.ts";
import { known, numberOf } from "./wire.ts";

type FetchRequest = RequestOf<"Fetch">;
type FetchResponse = ResponseBody<"Fetch">;
type TopicAnswer = FetchResponse["responses"][number];
type PartitionAnswer = TopicAnswer["partitions"][number];
type Diverging = NonNullable<PartitionAnswer["divergingEpoch"]>;

/** Sessions, and with them an error of the whole answer. */
const versionOfAnswerErrors = 7;
/** A replica says who it is elsewhere. */
const versionOfReplicaState = 15;
/** A client with an old leader epoch is told the new one at once. */
const versionOfLeaderHints = 16;
const readCommitted = 1;

/** A partition of the answer: what the broker is asked for it, or why it is not asked. */
interface Lookup {
  readonly target: FetchTarget;
  readonly partition: Partition | undefined;
  readonly code: ErrorCode | undefined;
  readonly diverging: Diverging | undefined;
}

/** Reads what is there; waits where that is less than the client wants at least. */
// hot: once for every fetch request; guarded by bench/server.
export function fetch(
  served: Served,
  request: FetchRequest,
  exchange: Exchange<"Fetch">,
): FetchResponse | undefined {
  if (isReplica(request, exchange.version)) return refuseReplica(request, exchange.version);
  const scope = served.fetchSessions.scopeOf(request, exchange.version);
  if (scope.kind === "refused") return { errorCode: numberOf(scope.code), responses: [] };
  const { targets } = scope;
  const lookups = targets.map((target) => lookUp(served, target, exchange.version));
  const items: FetchItem[] = [];
  let isDiverging = false;
  for (const { target, partition, diverging } of lookups) {
    if (diverging !== undefined) isDiverging = true;
    if (partition === undefined) continue;
    items.push({
      partition,
      fetchOffset: target.fetchOffset,
      bytesMax: target.bytesMax,
      currentLeaderEpoch: known(target.currentLeaderEpoch),
    });
  }
  const reading = served.broker.fetch(
    {
      items,
      bytesMin: isDiverging ? 0 : request.minBytes,
      bytesMax: request.maxBytes,
      waitMsMax: request.maxWaitMs,
    },
    (fetched) => reply({ served, scope, lookups, request, exchange }, fetched),
  );
  if (!reading.isDone) {
    exchange.onGone = () => {
      reading.cancel();
      exchange.sendNothing();
    };
  }
  return undefined;
}

/** Other brokers do not copy from here. */
function isReplica({ replicaId, replicaState }: FetchRequest, version: number): boolean {
  return (version < versionOfReplicaState ? replicaId : replicaState.replicaId) >= 0;
}

function refuseReplica({ topics }: FetchRequest, version: number): FetchResponse {
  const errorCode = numberOf("not_allowed");
  if (version >= versionOfAnswerErrors) return { errorCode, responses: [] };
  return {
    responses: topics.map(({ topic, topicId, partitions }) => ({
      topic,
      topicId,
      partitions: partitions.map(({ partition }) => failed(partition, errorCode)),
    })),
  };
}

function lookUp({ broker }: Served, target: FetchTarget, version: number): Lookup {
  const byId = version >= versionOfTopicIds;
  const topic = byId ? broker.topicById(target.topicId) : broker.topicNamed(target.topic);
  if (topic === undefined) {
    return faulty(target, byId ? "topic_id_not_found" : "topic_not_found");
  }
  const partition = topic.partitions[target.index];
  if (partition === undefined) return faulty(target, "partition_not_found");
  if (target.lastFetchedEpoch < 0) {
    return { target, partition, code: undefined, diverging: undefined };
  }
  return compared(target, partition);
}

/** A client that read records which are not here, after a loss of data, is told where its log and this one part. */
function compared(target: FetchTarget, partition: Partition): Lookup {
  const fault = partition.epochFault(known(target.currentLeaderEpoch));
  if (fault !== undefined) return { target, partition, code: undefined, diverging: undefined };
  const { lastFetchedEpoch, fetchOffset } = target;
  const end = partition.endOffsetForEpoch(lastFetchedEpoch);
  if (end === undefined) return faulty(target, "offset_out_of_range");
  const { leaderEpoch: epoch, endOffset } = end;
  if (epoch >= lastFetchedEpoch && endOffset >= fetchOffset) {
    return { target, partition, code: undefined, diverging: undefined };
  }
  return { target, partition: undefined, code: undefined, diverging: { epoch, endOffset } };
}

function faulty(target: FetchTarget, code: ErrorCode): Lookup {
  return { target, partition: undefined, code, diverging: undefined };
}

interface Pending {
  readonly served: Served;
  readonly scope: Exclude<FetchScope, { kind: "refused" }>;
  readonly lookups: readonly Lookup[];
  readonly request: FetchRequest;
  readonly exchange: Exchange<"Fetch">;
}

function reply(pending: Pending, fetched: readonly FetchedPartition[]): void {
  const { served, scope, lookups, exchange } = pending;
  const isCommitted = pending.request.isolationLevel === readCommitted;
  const responses: OpenTopicAnswer[] = [];
  let isHinted = false;
  let next = 0;
  for (const lookup of lookups) {
    const result = lookup.partition === undefined ? undefined : fetched[next++];
    const answer = answerOf(lookup, result, isCommitted);
    if (result?.errorCode === "leader_epoch_fenced" && exchange.version >= versionOfLeaderHints) {
      isHinted = true;
      const leaderEpoch = lookup.partition?.leaderEpoch ?? -1;
      answer.currentLeader = { leaderId: served.broker.nodeId, leaderEpoch };
    }
    if (isTold(scope, lookup, answer)) add(responses, lookup.target, answer);
  }
  const response = {
    sessionId: scope.kind === "session" ? scope.session.id : 0,
    responses,
    nodeEndpoints: isHinted ? served.broker.describeCluster().brokers : [],
  };
  exchange.send(response, () => {
    for (const { fetched: bytes } of fetched) bytes?.release();
  });
}

type OpenAnswer = { -readonly [Name in keyof PartitionAnswer]: PartitionAnswer[Name] };
interface OpenTopicAnswer extends TopicAnswer {
  readonly partitions: OpenAnswer[];
}

function answerOf(
  { target, partition, code, diverging }: Lookup,
  result: FetchedPartition | undefined,
  isCommitted: boolean,
): OpenAnswer {
  const { index } = target;
  if (code !== undefined) return failed(index, numberOf(code));
  if (diverging !== undefined) return { ...failed(index, 0), divergingEpoch: diverging };
  if (result === undefined || partition === undefined) return failed(index, numberOf("internal"));
  if (result.errorCode !== undefined) return failed(index, numberOf(result.errorCode));
  return {
    partitionIndex: index,
    errorCode: 0,
    highWatermark: result.highWatermark,
    lastStableOffset: result.lastStableOffset,
    logStartOffset: result.logStartOffset,
    // Nothing was aborted, which a reader of committed records wants to hear, and others do not.
    abortedTransactions: isCommitted ? noTransactions : undefined,
    records: result.fetched?.bytes ?? noRecords,
  };
}

function failed(partitionIndex: number, errorCode: number): OpenAnswer {
  return { partitionIndex, errorCode, highWatermark: -1, records: noRecords };
}

/** Whether the client must hear of a partition; remembers what it heard. */
function isTold(scope: Pending["scope"], lookup: Lookup, answer: PartitionAnswer): boolean {
  if (scope.kind === "alone") return true;
  const { target } = lookup;
  const hasRecords = answer.records !== noRecords;
  if (hasRecords) scope.session.toEnd(target);
  const { highWatermark, logStartOffset = -1 } = answer;
  const isNews =
    hasRecords ||
    answer.errorCode !== 0 ||
    answer.divergingEpoch !== undefined ||
    highWatermark !== target.toldHighWatermark ||
    logStartOffset !== target.toldLogStartOffset;
  target.toldHighWatermark = highWatermark;
  target.toldLogStartOffset = logStartOffset;
  return isNews || scope.isFirst;
}

/** Partitions lie below their topic: a new one is begun where the topic changes. */
function add(responses: OpenTopicAnswer[], target: FetchTarget, answer: OpenAnswer): void {
  const last = responses.at(-1);
  if (last?.topic === target.topic && last.topicId === target.topicId) {
    last.partitions.push(answer);
  } else {
    responses.push({ topic: target.topic, topicId: target.topicId, partitions: [answer] });
  }
}

const noRecords = new Uint8Array(0);
const noTransactions: NonNullable<PartitionAnswer["abortedTransactions"]> = [];
