import { api, array, bool, int16, int32, int8, string } from "../codec/schema.ts";

export const incrementalAlterConfigs = api(
  [44, "IncrementalAlterConfigs"],
  { min: 0, max: 1, flexible: 1 },
  {
    resources: array({
      resourceType: int8,
      resourceName: string,
      // Operations: 0 set, 1 delete, 2 append to a list, 3 subtract from it.
      configs: array({ name: string, configOperation: int8, value: string.nullable() }),
    }),
    validateOnly: bool,
  },
  {
    throttleTimeMs: int32.default(0),
    responses: array({
      errorCode: int16,
      errorMessage: string.nullable(),
      resourceType: int8,
      resourceName: string,
    }),
  },
);
