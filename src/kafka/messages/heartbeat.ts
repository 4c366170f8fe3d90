import { api, int16, int32, string } from "../codec/schema.ts";

export const heartbeat = api(
  [12, "Heartbeat"],
  { min: 0, max: 4, flexible: 4 },
  {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupInstanceId: string.since(3).nullable().essential(),
  },
  { throttleTimeMs: int32.since(1).default(0), errorCode: int16 },
);
