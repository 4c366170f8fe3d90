import { api, array, bool, int16, int32, int8, string } from "../codec/schema.ts";

export const alterConfigs = api(
  [33, "AlterConfigs"],
  { min: 0, max: 2, flexible: 2 },
  {
    resources: array({
      resourceType: int8,
      resourceName: string,
      // All of them: what is not named here goes back to its default.
      configs: array({ name: string, value: string.nullable() }),
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
