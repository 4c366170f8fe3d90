import { NIL_UUID } from "../../bytes/index.ts";
import { api, array, int16, int32, int64, string, uuid } from "../codec/schema.ts";

export const offsetCommit = api(
  [8, "OffsetCommit"],
  { min: 2, max: 10, flexible: 8 },
  {
    groupId: string,
    // -1 with an empty member id comes from a consumer that assigned itself.
    generationIdOrMemberEpoch: int32.default(-1),
    memberId: string,
    groupInstanceId: string.since(7).nullable().essential(),
    retentionTimeMs: int64.until(4).default(-1),
    topics: array({
      name: string.until(9).default(""),
      topicId: uuid.since(10).default(NIL_UUID),
      partitions: array({
        partitionIndex: int32,
        committedOffset: int64,
        committedLeaderEpoch: int32.since(6).default(-1),
        committedMetadata: string.nullable(),
      }),
    }),
  },
  {
    throttleTimeMs: int32.since(3).default(0),
    topics: array({
      name: string.until(9),
      topicId: uuid.since(10),
      partitions: array({ partitionIndex: int32, errorCode: int16 }),
    }),
  },
);
