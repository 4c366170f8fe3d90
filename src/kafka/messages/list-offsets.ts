import { api, array, int16, int32, int64, int8, string } from "../codec/schema.ts";

export const listOffsets = api(
  [2, "ListOffsets"],
  { min: 1, max: 11, flexible: 6 },
  {
    replicaId: int32,
    isolationLevel: int8.since(2).default(0).essential(),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        currentLeaderEpoch: int32.since(4).default(-1),
        // A time, or -1 end, -2 start, -3 record of the largest time, -4 and -5 of tiered storage.
        timestamp: int64,
      }),
    }),
    timeoutMs: int32.since(10).default(0),
  },
  {
    throttleTimeMs: int32.since(2).default(0),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        errorCode: int16,
        timestamp: int64.default(-1),
        offset: int64.default(-1),
        leaderEpoch: int32.since(4).default(-1),
      }),
    }),
  },
);
