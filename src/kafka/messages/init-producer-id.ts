import { api, int16, int32, int64, string } from "../codec/schema.ts";

export const initProducerId = api(
  [22, "InitProducerId"],
  { min: 0, max: 5, flexible: 2 },
  {
    // Null from a producer that is idempotent and nothing else.
    transactionalId: string.nullable(),
    transactionTimeoutMs: int32,
    producerId: int64.since(3).default(-1).essential(),
    producerEpoch: int16.since(3).default(-1).essential(),
  },
  {
    throttleTimeMs: int32.default(0),
    errorCode: int16,
    producerId: int64.default(-1),
    producerEpoch: int16,
  },
);
