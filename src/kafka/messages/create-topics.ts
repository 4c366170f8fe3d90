import { api, array, bool, int16, int32, int8, string, uuid } from "../codec/schema.ts";

export const createTopics = api(
  [19, "CreateTopics"],
  { min: 2, max: 7, flexible: 5 },
  {
    topics: array({
      name: string,
      // -1 for the default of the server, and also where there are assignments.
      numPartitions: int32,
      replicationFactor: int16,
      assignments: array({ partitionIndex: int32, brokerIds: array(int32) }),
      configs: array({ name: string, value: string.nullable() }),
    }),
    timeoutMs: int32.default(60000),
    validateOnly: bool.default(false),
  },
  {
    throttleTimeMs: int32.default(0),
    topics: array({
      name: string,
      topicId: uuid.since(7),
      errorCode: int16,
      errorMessage: string.nullable(),
      topicConfigErrorCode: int16.since(5).tag(0),
      numPartitions: int32.since(5).default(-1),
      replicationFactor: int16.since(5).default(-1),
      configs: array({
        name: string,
        value: string.nullable(),
        readOnly: bool,
        configSource: int8.default(-1),
        isSensitive: bool,
      })
        .since(5)
        .nullable(),
    }),
  },
);
