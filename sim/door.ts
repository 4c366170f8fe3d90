/** The ways in which a client of a world reaches the broker. */
import type { OpenTopic } from "../src/broker/index.ts";
import { outcomes as errorTable } from "../src/errors/index.ts";
import { BrokerConnection } from "../src/kafka/client/broker-connection.ts";
import { settled, whenSettled } from "../src/partitions/index.ts";
import type { Life } from "./life.ts";

type Partition = OpenTopic["partitions"][number];

/** What a producer is told of a batch. */
export type Answer =
  | { readonly kind: "acked"; readonly baseOffset: number }
  | { readonly kind: "failed"; readonly code: string };

export interface Door {
  produce(life: Life, partition: Partition, batch: Uint8Array): Promise<Answer>;
}

/** A call of the broker. */
export const directly: Door = {
  produce(life, partition, batch) {
    const outcome = partition.append(batch, life.env.clock.wallMs());
    return new Promise((resolve) => {
      whenSettled([outcome], () => {
        const error = settled(outcome);
        if (error === undefined && outcome.kind !== "refused") {
          resolve({ kind: "acked", baseOffset: outcome.baseOffset });
        } else {
          resolve({ kind: "failed", code: error?.code ?? outcome.kind });
        }
      });
    });
  },
};

const connectionOptions = { clientId: "sim", connectMsMax: 500, requestMsMax: 2_000 };

/** What one partition answered to a fetch. */
export interface WireFetch {
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly records: Uint8Array;
}

/** The Kafka protocol, over a network that loses and cuts: one connection at a time, made anew when it is gone. */
export class Wire implements Door {
  #life: Life | undefined;
  #opening: Promise<BrokerConnection> | undefined;

  async produce(life: Life, partition: Partition, records: Uint8Array): Promise<Answer> {
    const { topicId, index } = partition;
    const name = life.broker.topicById(topicId)?.name ?? "";
    try {
      const connection = await this.#connection(life);
      const { responses } = await connection.request("Produce", {
        transactionalId: undefined,
        acks: -1,
        timeoutMs: connectionOptions.requestMsMax,
        topicData: [{ name, topicId, partitionData: [{ index, records }] }],
      });
      const result = responses[0]?.partitionResponses[0];
      if (result === undefined) throw new Error("an answer without its partition");
      const { errorCode, baseOffset } = result;
      if (errorCode === 0) return { kind: "acked", baseOffset };
      return { kind: "failed", code: codeOf(errorCode) };
    } catch (error) {
      return failureOf(error);
    }
  }

  /** Undefined where no answer came. */
  async fetch(
    life: Life,
    partition: Partition,
    fetchOffset: number,
  ): Promise<WireFetch | undefined> {
    const { topicId, index } = partition;
    const topic = life.broker.topicById(topicId)?.name ?? "";
    try {
      const connection = await this.#connection(life);
      const { responses } = await connection.request("Fetch", {
        maxWaitMs: 50,
        minBytes: 1,
        topics: [
          {
            topic,
            topicId,
            partitions: [{ partition: index, fetchOffset, partitionMaxBytes: 20_000 }],
          },
        ],
      });
      const result = responses[0]?.partitions[0];
      if (result === undefined) throw new Error("an answer without its partition");
      const { errorCode, highWatermark, records } = result;
      return { errorCode, highWatermark, records: records?.slice() ?? new Uint8Array(0) };
    } catch (error) {
      failureOf(error);
      return undefined;
    }
  }

  async #connection(life: Life): Promise<BrokerConnection> {
    if (this.#life === life && this.#opening !== undefined) return this.#opening;
    this.#life = life;
    const opening = BrokerConnection.open(life.clientEnv, life.address, connectionOptions, () => {
      if (this.#opening === opening) this.#opening = undefined;
    });
    this.#opening = opening;
    return opening;
  }
}

function codeOf(errorCode: number): string {
  const found = Object.entries(errorTable).find(([, { kafka }]) => kafka === errorCode);
  return found?.[0] ?? `kafka ${errorCode}`;
}

/** A connection that is gone is an answer of its own; anything else is a fault of the product. */
function failureOf(error: unknown): Answer {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (["unreachable", "timeout", "closed"].includes(code)) return { kind: "failed", code };
  throw error;
}
