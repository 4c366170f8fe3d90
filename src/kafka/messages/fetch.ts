import { NIL_UUID } from "../../bytes/index.ts";
import {
  api,
  array,
  int16,
  int32,
  int64,
  int8,
  records,
  string,
  struct,
  uuid,
} from "../codec/schema.ts";

export const fetch = api(
  [1, "Fetch"],
  { min: 4, max: 18, flexible: 12 },
  {
    clusterId: string.since(12).nullable().tag(0),
    // -1 from a consumer. Later versions put it into a tagged field that consumers leave out.
    replicaId: int32.until(14).default(-1).essential(),
    replicaState: struct({ replicaId: int32.default(-1), replicaEpoch: int64.default(-1) })
      .since(15)
      .tag(1)
      .essential(),
    maxWaitMs: int32,
    minBytes: int32,
    // Whole batches are sent: the first one of an answer also when it is larger than these limits.
    maxBytes: int32.default(0x7fff_ffff),
    isolationLevel: int8.default(0),
    // Session 0 with epoch 0 opens a session, epoch -1 asks for everything without one.
    sessionId: int32.since(7).default(0),
    sessionEpoch: int32.since(7).default(-1),
    topics: array({
      topic: string.until(12).default(""),
      topicId: uuid.since(13).default(NIL_UUID),
      partitions: array({
        partition: int32,
        currentLeaderEpoch: int32.since(9).default(-1),
        fetchOffset: int64,
        lastFetchedEpoch: int32.since(12).default(-1).essential(),
        logStartOffset: int64.since(5).default(-1),
        partitionMaxBytes: int32,
        replicaDirectoryId: uuid.since(17).tag(0),
        // Kafka says "unknown" with the largest int64; nobody sends it, being the default of a tag.
        highWatermark: int64.since(18).default(Number.MAX_SAFE_INTEGER).tag(1),
      }),
    }),
    forgottenTopicsData: array({
      topic: string.until(12).default(""),
      topicId: uuid.since(13).default(NIL_UUID),
      partitions: array(int32),
    })
      .since(7)
      .default([])
      .essential(),
    rackId: string.since(11).default(""),
  },
  {
    throttleTimeMs: int32.default(0),
    errorCode: int16.since(7).default(0),
    sessionId: int32.since(7).default(0),
    responses: array({
      topic: string.until(12),
      topicId: uuid.since(13),
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        highWatermark: int64,
        lastStableOffset: int64.default(-1),
        logStartOffset: int64.since(5).default(-1),
        divergingEpoch: struct({ epoch: int32.default(-1), endOffset: int64.default(-1) })
          .since(12)
          .tag(0),
        currentLeader: struct({ leaderId: int32.default(-1), leaderEpoch: int32.default(-1) })
          .since(12)
          .tag(1),
        snapshotId: struct({ endOffset: int64.default(-1), epoch: int32.default(-1) })
          .since(12)
          .tag(2),
        // Null for a reader of uncommitted records.
        abortedTransactions: array({ producerId: int64, firstOffset: int64 }).nullable(),
        preferredReadReplica: int32.since(11).default(-1),
        records: records.nullable(),
      }),
    }),
    nodeEndpoints: array({ nodeId: int32, host: string, port: int32, rack: string.nullable() })
      .since(16)
      .tag(0),
  },
);
