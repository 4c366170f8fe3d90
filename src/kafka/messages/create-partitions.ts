import { api, array, bool, int16, int32, string } from "../codec/schema.ts";

export const createPartitions = api(
  [37, "CreatePartitions"],
  { min: 0, max: 3, flexible: 2 },
  {
    topics: array({
      name: string,
      // The new number of partitions, not the difference.
      count: int32,
      assignments: array({ brokerIds: array(int32) }).nullable(),
    }),
    timeoutMs: int32,
    validateOnly: bool,
  },
  {
    throttleTimeMs: int32.default(0),
    results: array({ name: string, errorCode: int16, errorMessage: string.nullable() }),
  },
);
