import { api, array, bool, int16, int32, int64, string } from "../codec/schema.ts";

export const describeLogDirs = api(
  [35, "DescribeLogDirs"],
  { min: 1, max: 5, flexible: 2 },
  // Null asks for all topics.
  { topics: array({ topic: string, partitions: array(int32) }).nullable() },
  {
    throttleTimeMs: int32.default(0),
    errorCode: int16.since(3).default(0),
    results: array({
      errorCode: int16,
      logDir: string,
      topics: array({
        name: string,
        partitions: array({
          partitionIndex: int32,
          partitionSize: int64,
          offsetLag: int64,
          isFutureKey: bool,
        }),
      }),
      totalBytes: int64.since(4).default(-1),
      usableBytes: int64.since(4).default(-1),
      isCordoned: bool.since(5).default(false),
    }),
  },
);
