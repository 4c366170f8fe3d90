import { api, array, int16, int32, int8, string } from "../codec/schema.ts";

export const findCoordinator = api(
  [10, "FindCoordinator"],
  { min: 0, max: 6, flexible: 3 },
  {
    // One key until version 3, many from 4 on, in the answer too.
    key: string.until(3).default("").essential(),
    // 0 a group, 1 a transactional id.
    keyType: int8.since(1).default(0).essential(),
    coordinatorKeys: array(string).since(4).default([]).essential(),
  },
  {
    throttleTimeMs: int32.since(1).default(0),
    errorCode: int16.until(3).default(0),
    errorMessage: string.since(1).until(3).nullable(),
    nodeId: int32.until(3).default(0),
    host: string.until(3).default(""),
    port: int32.until(3).default(0),
    coordinators: array({
      key: string,
      nodeId: int32,
      host: string,
      port: int32,
      errorCode: int16,
      errorMessage: string.nullable(),
    })
      .since(4)
      .default([]),
  },
);
