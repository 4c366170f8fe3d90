import { api, array, int16, int32, int64, string } from "../codec/schema.ts";

export const offsetForLeaderEpoch = api(
  [23, "OffsetForLeaderEpoch"],
  { min: 2, max: 4, flexible: 4 },
  {
    // -2 from a debugging consumer, -1 from any other.
    replicaId: int32.since(3).default(-2),
    topics: array({
      topic: string,
      partitions: array({
        partition: int32,
        currentLeaderEpoch: int32.default(-1),
        leaderEpoch: int32,
      }),
    }),
  },
  {
    throttleTimeMs: int32.default(0),
    topics: array({
      topic: string,
      partitions: array({
        errorCode: int16,
        partition: int32,
        leaderEpoch: int32.default(-1),
        endOffset: int64.default(-1),
      }),
    }),
  },
);
