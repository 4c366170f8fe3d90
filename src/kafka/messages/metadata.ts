import { NIL_UUID } from "../../bytes/index.ts";
import { api, array, bool, int16, int32, string, uuid } from "../codec/schema.ts";

export const metadata = api(
  [3, "Metadata"],
  { min: 0, max: 13, flexible: 9 },
  {
    // Null asks for all topics; in version 0 an empty list does, which later asks for none.
    topics: array({
      topicId: uuid.since(10).default(NIL_UUID),
      name: string.nullable(10),
    }).nullable(1),
    allowAutoTopicCreation: bool.since(4).default(true).essential(),
    includeClusterAuthorizedOperations: bool.since(8).until(10).default(false).essential(),
    includeTopicAuthorizedOperations: bool.since(8).default(false).essential(),
  },
  {
    throttleTimeMs: int32.since(3).default(0),
    brokers: array({ nodeId: int32, host: string, port: int32, rack: string.since(1).nullable() }),
    clusterId: string.since(2).nullable(),
    controllerId: int32.since(1).default(-1),
    topics: array({
      errorCode: int16,
      name: string.nullable(12),
      topicId: uuid.since(10),
      isInternal: bool.since(1).default(false),
      partitions: array({
        errorCode: int16,
        partitionIndex: int32,
        leaderId: int32,
        leaderEpoch: int32.since(7).default(-1),
        replicaNodes: array(int32),
        isrNodes: array(int32),
        offlineReplicas: array(int32).since(5).default([]),
      }),
      // The smallest int32 says that nobody asked.
      topicAuthorizedOperations: int32.since(8).default(-2_147_483_648),
    }),
    clusterAuthorizedOperations: int32.since(8).until(10).default(-2_147_483_648),
    errorCode: int16.since(13).default(0),
  },
);
