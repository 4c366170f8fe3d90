import type { RequestOf, ResponseBody } from "../registry.ts";
import type { Served } from "./served.ts";
import { errorCodeOf, invalidRequest, known, outcomeOf } from "./wire.ts";

export async function initProducerId(
  { broker }: Served,
  request: RequestOf<"InitProducerId">,
): Promise<ResponseBody<"InitProducerId">> {
  const { transactionalId, producerId, producerEpoch } = request;
  // The two are given together or not at all, and an empty transactional id is a mistake.
  if (transactionalId === "" || producerId < 0 !== producerEpoch < 0) return failed(invalidRequest);
  try {
    const identity = await broker.initProducerId({
      transactionalId,
      producerId: known(producerId),
      producerEpoch: known(producerEpoch),
    });
    return { errorCode: 0, ...identity };
  } catch (thrown) {
    return failed(errorCodeOf(outcomeOf(thrown)));
  }
}

function failed(errorCode: number): ResponseBody<"InitProducerId"> {
  return { errorCode, producerId: -1, producerEpoch: -1 };
}
