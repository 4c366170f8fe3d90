import { api, array, int16, int32, string } from "../codec/schema.ts";

export const leaveGroup = api(
  [13, "LeaveGroup"],
  { min: 0, max: 5, flexible: 4 },
  {
    groupId: string,
    // One member until version 2, many from 3 on.
    memberId: string.until(2).default("").essential(),
    members: array({
      memberId: string,
      groupInstanceId: string.nullable(),
      reason: string.since(5).nullable(),
    })
      .since(3)
      .default([])
      .essential(),
  },
  {
    throttleTimeMs: int32.since(1).default(0),
    errorCode: int16,
    members: array({ memberId: string, groupInstanceId: string.nullable(), errorCode: int16 })
      .since(3)
      .default([]),
  },
);
