import { api, array, int16, int32, string } from "../codec/schema.ts";

export const deleteGroups = api(
  [42, "DeleteGroups"],
  { min: 0, max: 3, flexible: 2 },
  { groupsNames: array(string) },
  {
    throttleTimeMs: int32.default(0),
    results: array({ groupId: string, errorCode: int16, errorMessage: string.since(3).nullable() }),
  },
);
