import { api, array, int16, int32, string } from "../codec/schema.ts";

export const listGroups = api(
  [16, "ListGroups"],
  { min: 0, max: 5, flexible: 3 },
  {
    statesFilter: array(string).since(4).default([]).essential(),
    typesFilter: array(string).since(5).default([]).essential(),
  },
  {
    throttleTimeMs: int32.since(1).default(0),
    errorCode: int16,
    groups: array({
      groupId: string,
      protocolType: string,
      groupState: string.since(4),
      groupType: string.since(5),
    }),
  },
);
