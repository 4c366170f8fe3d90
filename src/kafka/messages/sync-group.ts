import { api, array, bytes, int16, int32, string } from "../codec/schema.ts";

export const syncGroup = api(
  [14, "SyncGroup"],
  { min: 0, max: 5, flexible: 4 },
  {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: string.since(3).nullable().essential(),
    protocolType: string.since(5).nullable(),
    protocolName: string.since(5).nullable(),
    assignments: array({ memberId: string, assignment: bytes }),
  },
  {
    throttleTimeMs: int32.since(1).default(0),
    errorCode: int16,
    protocolType: string.since(5).nullable(),
    protocolName: string.since(5).nullable(),
    assignment: bytes,
  },
);
