import { api, array, bool, int16, int32, int8, string } from "../codec/schema.ts";

export const describeCluster = api(
  [60, "DescribeCluster"],
  { min: 0, max: 2, flexible: 0 },
  {
    includeClusterAuthorizedOperations: bool,
    // 1 brokers, 2 controllers.
    endpointType: int8.since(1).default(1).essential(),
    includeFencedBrokers: bool.since(2).default(false).essential(),
  },
  {
    throttleTimeMs: int32.default(0),
    errorCode: int16,
    errorMessage: string.nullable(),
    endpointType: int8.since(1).default(1),
    clusterId: string,
    controllerId: int32.default(-1),
    brokers: array({
      brokerId: int32,
      host: string,
      port: int32,
      rack: string.nullable(),
      isFenced: bool.since(2),
    }),
    clusterAuthorizedOperations: int32.default(-2_147_483_648),
  },
);
