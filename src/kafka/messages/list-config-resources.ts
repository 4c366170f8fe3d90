import { api, array, int16, int32, int8, string } from "../codec/schema.ts";

export const listConfigResources = api(
  [74, "ListConfigResources"],
  { min: 0, max: 1, flexible: 0 },
  // Version 0 asks for client metrics alone, which are type 16.
  { resourceTypes: array(int8).since(1).default([]).essential() },
  {
    throttleTimeMs: int32.default(0),
    errorCode: int16,
    configResources: array({ resourceName: string, resourceType: int8.since(1).default(16) }),
  },
);
