import { api, array, int16, int32, string } from "../codec/schema.ts";

export const offsetDelete = api(
  [47, "OffsetDelete"],
  { min: 0, max: 0 },
  {
    groupId: string,
    topics: array({ name: string, partitions: array({ partitionIndex: int32 }) }),
  },
  {
    errorCode: int16,
    throttleTimeMs: int32.default(0),
    topics: array({ name: string, partitions: array({ partitionIndex: int32, errorCode: int16 }) }),
  },
);
