import { NIL_UUID } from "../../bytes/index.ts";
import { api, array, bool, int16, int32, int64, string, uuid } from "../codec/schema.ts";

export const offsetFetch = api(
  [9, "OffsetFetch"],
  { min: 1, max: 10, flexible: 6 },
  {
    // One group until version 7, many from 8 on. Null topics ask for all that the group committed.
    groupId: string.until(7).default("").essential(),
    topics: array({ name: string, partitionIndexes: array(int32) })
      .until(7)
      .nullable(2)
      .essential(),
    groups: array({
      groupId: string,
      memberId: string.since(9).nullable(),
      memberEpoch: int32.since(9).default(-1),
      topics: array({
        name: string.until(9).default(""),
        topicId: uuid.since(10).default(NIL_UUID),
        partitionIndexes: array(int32),
      }).nullable(),
    })
      .since(8)
      .default([])
      .essential(),
    requireStable: bool.since(7).default(false).essential(),
  },
  {
    throttleTimeMs: int32.since(3).default(0),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        // -1 where nothing was committed.
        committedOffset: int64,
        committedLeaderEpoch: int32.since(5).default(-1),
        metadata: string.nullable(),
        errorCode: int16,
      }),
    })
      .until(7)
      .default([]),
    errorCode: int16.since(2).until(7).default(0),
    groups: array({
      groupId: string,
      topics: array({
        name: string.until(9),
        topicId: uuid.since(10),
        partitions: array({
          partitionIndex: int32,
          committedOffset: int64,
          committedLeaderEpoch: int32.default(-1),
          metadata: string.nullable(),
          errorCode: int16,
        }),
      }),
      errorCode: int16.default(0),
    })
      .since(8)
      .default([]),
  },
);
