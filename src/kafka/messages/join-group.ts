import { api, array, bool, bytes, int16, int32, string } from "../codec/schema.ts";

export const joinGroup = api(
  [11, "JoinGroup"],
  { min: 0, max: 9, flexible: 6 },
  {
    groupId: string,
    sessionTimeoutMs: int32,
    rebalanceTimeoutMs: int32.since(1).default(-1),
    // Empty from a new member; it may be sent back with an id to come again with.
    memberId: string,
    groupInstanceId: string.since(5).nullable().essential(),
    protocolType: string,
    protocols: array({ name: string, metadata: bytes }),
    reason: string.since(8).nullable(),
  },
  {
    throttleTimeMs: int32.since(2).default(0),
    errorCode: int16,
    generationId: int32.default(-1),
    protocolType: string.since(7).nullable(),
    // Null from version 7 on, empty before, where there is none.
    protocolName: string.nullable(7),
    leader: string,
    skipAssignment: bool.since(9).default(false),
    memberId: string,
    members: array({
      memberId: string,
      groupInstanceId: string.since(5).nullable(),
      metadata: bytes,
    }),
  },
);
