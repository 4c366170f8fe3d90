import assert from "node:assert/strict";
import { test } from "node:test";

import { NIL_UUID } from "../../bytes/index.ts";
import type { RequestBody, ResponseOf } from "../registry.ts";
import { batchOf, KafkaWorld, type RawClient } from "./kafka-world.test.ts";
import { numberOf } from "./wire.ts";

type PartitionAnswer = ResponseOf<"Produce">["responses"][number]["partitionResponses"][number];

function toOrders(
  records: Uint8Array | undefined,
  more: Partial<RequestBody<"Produce">> = {},
): RequestBody<"Produce"> {
  const topicData = [{ name: "orders", partitionData: [{ index: 0, records }] }];
  return { acks: -1, timeoutMs: 1000, topicData, ...more };
}

async function open(): Promise<{ world: KafkaWorld; client: RawClient }> {
  const world = await KafkaWorld.open();
  await world.broker.createTopics([{ name: "orders", partitionCount: 2 }]);
  return { world, client: await world.client() };
}

function only({ responses }: ResponseOf<"Produce">): PartitionAnswer {
  const [partition, ...others] = responses.flatMap(({ partitionResponses }) => partitionResponses);
  assert.ok(partition !== undefined && others.length === 0, "one partition is answered");
  return partition;
}

const refusals: readonly {
  readonly why: string;
  readonly body: RequestBody<"Produce">;
  readonly version: number;
  readonly code: number;
}[] = [
  {
    why: "acks are -1, 0 or 1",
    body: toOrders(batchOf(["a"]), { acks: 2 }),
    version: 8,
    code: 21,
  },
  {
    why: "a transactional id is refused by name, whatever the batch",
    body: toOrders(batchOf(["a"]), { transactionalId: "t" }),
    version: 9,
    code: numberOf("unsupported"),
  },
  {
    why: "a transactional batch is refused",
    body: toOrders(
      batchOf(["a"], { isTransactional: true, producerId: 1, producerEpoch: 0, baseSequence: 0 }),
    ),
    version: 9,
    code: numberOf("unsupported"),
  },
  {
    why: "no batch at all is an invalid record",
    body: toOrders(undefined),
    version: 9,
    code: numberOf("batch_invalid"),
  },
  {
    why: "two batches for one partition are an invalid record",
    body: toOrders(Buffer.concat([batchOf(["a"]), batchOf(["b"])])),
    version: 9,
    code: numberOf("batch_invalid"),
  },
  {
    why: "a batch whose checksum is wrong is corrupt",
    body: toOrders(batchOf(["a"]).fill(7, 62)),
    version: 9,
    code: numberOf("batch_corrupt"),
  },
  {
    why: "zstd needs a version that knows it",
    body: toOrders(batchOf(["a".repeat(500)], { codec: "zstd" })),
    version: 6,
    code: numberOf("unsupported_compression"),
  },
  {
    why: "a topic that is not there",
    body: {
      ...toOrders(undefined),
      topicData: [{ name: "none", partitionData: [{ index: 0, records: batchOf(["a"]) }] }],
    },
    version: 12,
    code: numberOf("topic_not_found"),
  },
  {
    why: "an id that no topic has",
    body: {
      ...toOrders(undefined),
      topicData: [
        {
          name: "",
          topicId: "11111111-2222-4333-8444-555555555555",
          partitionData: [{ index: 0, records: batchOf(["a"]) }],
        },
      ],
    },
    version: 13,
    code: numberOf("topic_id_not_found"),
  },
  {
    why: "a partition that the topic does not have",
    body: {
      ...toOrders(undefined),
      topicData: [{ name: "orders", partitionData: [{ index: 2, records: batchOf(["a"]) }] }],
    },
    version: 9,
    code: numberOf("partition_not_found"),
  },
];

test("what cannot be appended is refused with its number, and nothing is appended", async () => {
  const { world, client } = await open();
  await using _ = world;
  for (const { why, body, version, code } of refusals) {
    const answer = only(await client.ask("Produce", version, body));
    assert.equal(answer.errorCode, code, why);
    assert.equal(answer.baseOffset, -1, why);
    assert.equal(answer.logStartOffset, -1, why);
  }
  assert.equal(world.broker.partition("orders", 0)?.logEndOffset, 0);
});

test("one partition fails alone; the others of the request are appended", async () => {
  const { world, client } = await open();
  await using _ = world;
  const partitionData = [
    { index: 0, records: batchOf(["a"]) },
    { index: 7, records: batchOf(["b"]) },
    { index: 1, records: batchOf(["c", "d"]) },
  ];
  const body = toOrders(undefined, { topicData: [{ name: "orders", partitionData }] });
  const { responses } = await client.ask("Produce", 9, body);
  const shown = responses[0]?.partitionResponses.map((one) => [one.index, one.errorCode]);
  assert.deepEqual(shown, [
    [0, 0],
    [7, numberOf("partition_not_found")],
    [1, 0],
  ]);
  assert.match(responses[0]?.partitionResponses[1]?.errorMessage ?? "", /not one with index 7/);
  assert.equal(world.broker.partition("orders", 1)?.highWatermark, 2);
});

test("with acks 0 nothing is answered, and the next answer belongs to the next request", async () => {
  const { world, client } = await open();
  await using _ = world;
  client.tell("Produce", 9, toOrders(batchOf(["a"]), { acks: 0 }));
  const answer = only(await client.ask("Produce", 9, toOrders(batchOf(["b"]))));
  assert.equal(answer.baseOffset, 1, "the first is there");
});

test("a mistake with acks 0 closes the connection, and what was right is appended", async () => {
  const { world, client } = await open();
  await using _ = world;
  const partitionData = [
    { index: 0, records: batchOf(["a"]) },
    { index: 9, records: batchOf(["b"]) },
  ];
  const topicData = [{ name: "orders", partitionData }];
  client.tell("Produce", 9, toOrders(undefined, { acks: 0, topicData }));
  await client.closed;
  assert.equal(world.broker.partition("orders", 0)?.highWatermark, 1);
});

test("a batch sent again by an idempotent producer is answered with its first offset", async () => {
  const { world, client } = await open();
  await using _ = world;
  const { producerId, producerEpoch } = await client.ask("InitProducerId", 4, {
    transactionTimeoutMs: 0,
  });
  const batch = (): Uint8Array =>
    batchOf(["a", "b"], { producerId, producerEpoch, baseSequence: 0 });
  await client.ask("Produce", 9, toOrders(batchOf(["before"])));
  const first = only(await client.ask("Produce", 9, toOrders(batch())));
  const again = only(await client.ask("Produce", 9, toOrders(batch())));
  assert.deepEqual([first.baseOffset, again.baseOffset, again.errorCode], [1, 1, 0]);
  const gap = batchOf(["z"], { producerId, producerEpoch, baseSequence: 9 });
  const refused = only(await client.ask("Produce", 9, toOrders(gap)));
  assert.equal(refused.errorCode, numberOf("sequence_out_of_order"));
});

test("a topic with log append time tells the time in the answer", async () => {
  const { world, client } = await open();
  await using _ = world;
  await world.broker.createTopics([
    { name: "timed", settings: new Map([["message.timestamp.type", "LogAppendTime"]]) },
  ]);
  const partitionData = [{ index: 0, records: batchOf(["a"]) }];
  const sinceMs = world.env.clock.wallMs();
  const topicData = [{ name: "timed", topicId: NIL_UUID, partitionData }];
  const answer = only(await client.ask("Produce", 9, toOrders(undefined, { topicData })));
  assert.ok(answer.logAppendTimeMs >= sinceMs);
});

test("producer ids are refused for transactions, by an error that is no retry", async () => {
  const { world, client } = await open();
  await using _ = world;
  const ask = (more: Partial<RequestBody<"InitProducerId">>) =>
    client.ask("InitProducerId", 4, { transactionTimeoutMs: 1000, ...more });
  const refused = await ask({ transactionalId: "t" });
  assert.deepEqual(
    [refused.errorCode, refused.producerId, refused.producerEpoch],
    [numberOf("unsupported"), -1, -1],
  );
  assert.equal((await ask({ transactionalId: "" })).errorCode, numberOf("invalid_argument"));
  assert.equal((await ask({ producerId: 5 })).errorCode, numberOf("invalid_argument"));
  const coordinator = await client.ask("FindCoordinator", 4, {
    keyType: 1,
    coordinatorKeys: ["t"],
  });
  const [answer] = coordinator.coordinators;
  assert.equal(answer?.errorCode, numberOf("unsupported"));
  assert.match(answer?.errorMessage ?? "", /transactions are not supported/);
});
