import { api, array, bool, int16, int32, string, struct, uuid } from "../codec/schema.ts";

export const describeTopicPartitions = api(
  [75, "DescribeTopicPartitions"],
  { min: 0, max: 0, flexible: 0 },
  {
    topics: array({ name: string }),
    responsePartitionLimit: int32.default(2000),
    cursor: struct({ topicName: string, partitionIndex: int32 }).nullable(),
  },
  {
    throttleTimeMs: int32.default(0),
    topics: array({
      errorCode: int16,
      name: string.nullable(),
      topicId: uuid,
      isInternal: bool.default(false),
      partitions: array({
        errorCode: int16,
        partitionIndex: int32,
        leaderId: int32,
        leaderEpoch: int32.default(-1),
        replicaNodes: array(int32),
        isrNodes: array(int32),
        eligibleLeaderReplicas: array(int32).nullable(),
        lastKnownElr: array(int32).nullable(),
        offlineReplicas: array(int32),
      }),
      topicAuthorizedOperations: int32.default(-2_147_483_648),
    }),
    nextCursor: struct({ topicName: string, partitionIndex: int32 }).nullable(),
  },
);
