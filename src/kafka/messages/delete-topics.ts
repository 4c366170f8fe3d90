import { api, array, int16, int32, string, uuid } from "../codec/schema.ts";

export const deleteTopics = api(
  [20, "DeleteTopics"],
  { min: 1, max: 6, flexible: 4 },
  {
    // By name or by id from version 6 on, one of them null or zero.
    topics: array({ name: string.nullable(), topicId: uuid }).since(6).default([]).essential(),
    topicNames: array(string).until(5).default([]),
    timeoutMs: int32,
  },
  {
    throttleTimeMs: int32.default(0),
    responses: array({
      name: string.nullable(6),
      topicId: uuid.since(6),
      errorCode: int16,
      errorMessage: string.since(5).nullable(),
    }),
  },
);
