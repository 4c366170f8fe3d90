import { api, array, int16, int32, int64, string } from "../codec/schema.ts";

export const deleteRecords = api(
  [21, "DeleteRecords"],
  { min: 0, max: 2, flexible: 2 },
  {
    // Records below the offset go; -1 stands for the high watermark.
    topics: array({ name: string, partitions: array({ partitionIndex: int32, offset: int64 }) }),
    timeoutMs: int32,
  },
  {
    throttleTimeMs: int32.default(0),
    topics: array({
      name: string,
      partitions: array({ partitionIndex: int32, lowWatermark: int64, errorCode: int16 }),
    }),
  },
);
