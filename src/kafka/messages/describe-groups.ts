import { api, array, bool, bytes, int16, int32, string } from "../codec/schema.ts";

export const describeGroups = api(
  [15, "DescribeGroups"],
  { min: 0, max: 6, flexible: 5 },
  { groups: array(string), includeAuthorizedOperations: bool.since(3).default(false).essential() },
  {
    throttleTimeMs: int32.since(1).default(0),
    groups: array({
      errorCode: int16,
      errorMessage: string.since(6).nullable(),
      groupId: string,
      groupState: string,
      protocolType: string,
      protocolData: string,
      members: array({
        memberId: string,
        groupInstanceId: string.since(4).nullable(),
        clientId: string,
        clientHost: string,
        memberMetadata: bytes,
        memberAssignment: bytes,
      }),
      authorizedOperations: int32.since(3).default(-2_147_483_648),
    }),
  },
);
