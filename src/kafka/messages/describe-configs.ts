import { api, array, bool, int16, int32, int8, string } from "../codec/schema.ts";

export const describeConfigs = api(
  [32, "DescribeConfigs"],
  { min: 1, max: 4, flexible: 4 },
  {
    resources: array({
      // 2 a topic, 4 a broker, 32 a group. No keys (null) ask for all.
      resourceType: int8,
      resourceName: string,
      configurationKeys: array(string).nullable(),
    }),
    includeSynonyms: bool.default(false),
    includeDocumentation: bool.since(3).default(false).essential(),
  },
  {
    throttleTimeMs: int32.default(0),
    results: array({
      errorCode: int16,
      errorMessage: string.nullable(),
      resourceType: int8,
      resourceName: string,
      configs: array({
        name: string,
        value: string.nullable(),
        readOnly: bool,
        configSource: int8.default(-1),
        isSensitive: bool,
        synonyms: array({ name: string, value: string.nullable(), source: int8 }),
        configType: int8.since(3).default(0),
        documentation: string.since(3).nullable(),
      }),
    }),
  },
);
