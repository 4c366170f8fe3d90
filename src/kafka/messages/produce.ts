import { NIL_UUID } from "../../bytes/index.ts";
import { api, array, int16, int32, int64, records, string, struct, uuid } from "../codec/schema.ts";

export const produce = api(
  [0, "Produce"],
  { min: 3, max: 13, flexible: 9 },
  {
    transactionalId: string.nullable(),
    // -1 for all in-sync replicas; with 0 there is no answer at all, not even to an error.
    acks: int16,
    timeoutMs: int32,
    topicData: array({
      // From version 13 on topics are told by their id, here and in Fetch.
      name: string.until(12).default(""),
      topicId: uuid.since(13).default(NIL_UUID),
      partitionData: array({ index: int32, records: records.nullable() }),
    }),
  },
  {
    responses: array({
      name: string.until(12),
      topicId: uuid.since(13),
      partitionResponses: array({
        index: int32,
        errorCode: int16,
        // -1 with an error.
        baseOffset: int64,
        logAppendTimeMs: int64.default(-1),
        logStartOffset: int64.since(5).default(-1),
        recordErrors: array({ batchIndex: int32, batchIndexErrorMessage: string.nullable() })
          .since(8)
          .default([]),
        errorMessage: string.since(8).nullable(),
        currentLeader: struct({ leaderId: int32.default(-1), leaderEpoch: int32.default(-1) })
          .since(10)
          .tag(0),
      }),
    }),
    throttleTimeMs: int32.default(0),
    nodeEndpoints: array({ nodeId: int32, host: string, port: int32, rack: string.nullable() })
      .since(10)
      .tag(0),
  },
);
