import assert from "node:assert/strict";
import { test } from "node:test";

import type { RequestBody, ResponseOf } from "../registry.ts";
import { batchOf, KafkaWorld, type RawClient } from "./kafka-world.test.ts";
import { numberOf } from "./wire.ts";

type FetchBody = RequestBody<"Fetch">;
type Wanted = FetchBody["topics"][number]["partitions"][number];

const wanted = (partition: number, more: Partial<Wanted> = {}): Wanted => ({
  partition,
  fetchOffset: 0,
  partitionMaxBytes: 1_000_000,
  ...more,
});

/** A request for partitions of the topic `orders`. */
function fromOrders(partitions: readonly Wanted[], more: Partial<FetchBody> = {}): FetchBody {
  return { maxWaitMs: 0, minBytes: 1, topics: [{ topic: "orders", partitions }], ...more };
}

class Shop implements AsyncDisposable {
  readonly world: KafkaWorld;
  readonly client: RawClient;

  constructor(world: KafkaWorld, client: RawClient) {
    this.world = world;
    this.client = client;
  }

  static async open(): Promise<Shop> {
    const world = await KafkaWorld.open();
    await world.broker.createTopics([{ name: "orders", partitionCount: 3 }]);
    return new Shop(world, await world.client());
  }

  /** By a connection of its own, so that it passes whoever waits. */
  async append(index: number, values: readonly string[]): Promise<void> {
    const producer = await this.world.client();
    const partitionData = [{ index, records: batchOf(values) }];
    const topicData = [{ name: "orders", partitionData }];
    await producer.ask("Produce", 9, { acks: 1, timeoutMs: 1000, topicData });
    producer.close();
  }

  fetch(version: number, body: FetchBody): Promise<ResponseOf<"Fetch">> {
    return this.client.ask("Fetch", version, body);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }
}

/** Partition index, error and bytes of records of each partition in an answer. */
function shown({ responses }: ResponseOf<"Fetch">): [number, number, boolean][] {
  return responses.flatMap(({ partitions }) =>
    partitions.map((one): [number, number, boolean] => [
      one.partitionIndex,
      one.errorCode,
      (one.records?.length ?? 0) > 0,
    ]),
  );
}

test("each partition that cannot be read says why", async () => {
  await using shop = await Shop.open();
  await shop.append(0, ["a", "b"]);
  const answer = await shop.fetch(
    12,
    fromOrders([
      wanted(0, { fetchOffset: 5 }),
      wanted(9),
      wanted(1, { currentLeaderEpoch: 0 }),
      wanted(2, { currentLeaderEpoch: 8 }),
    ]),
  );
  assert.deepEqual(shown(answer), [
    [0, numberOf("offset_out_of_range"), false],
    [9, numberOf("partition_not_found"), false],
    [1, numberOf("leader_epoch_fenced"), false],
    [2, numberOf("leader_epoch_unknown"), false],
  ]);
  assert.equal(answer.responses[0]?.partitions[0]?.highWatermark, -1);
});

test("a client with an old leader epoch is told the new leader at once", async () => {
  await using shop = await Shop.open();
  const topicId = shop.world.topicId("orders");
  const topics = [{ topicId, partitions: [wanted(0, { currentLeaderEpoch: 0 })] }];
  const answer = await shop.fetch(16, fromOrders([], { topics }));
  const [partition] = answer.responses[0]?.partitions ?? [];
  assert.deepEqual(partition?.currentLeader, { leaderId: 1, leaderEpoch: 1 });
  assert.deepEqual(answer.nodeEndpoints, [
    { nodeId: 1, host: "127.0.0.1", port: shop.world.listener.port, rack: undefined },
  ]);
});

test("topics go by their ids from version 13 on", async () => {
  await using shop = await Shop.open();
  await shop.append(0, ["a"]);
  const unknown = "11111111-2222-4333-8444-555555555555";
  const topics = [
    { topicId: shop.world.topicId("orders"), partitions: [wanted(0)] },
    { topicId: unknown, partitions: [wanted(0)] },
  ];
  const answer = await shop.fetch(13, fromOrders([], { topics }));
  assert.deepEqual(shown(answer), [
    [0, 0, true],
    [0, numberOf("topic_id_not_found"), false],
  ]);
  assert.equal(answer.responses[1]?.topicId, unknown);
});

test("a reader of committed records hears that nothing was aborted", async () => {
  await using shop = await Shop.open();
  await shop.append(0, ["a"]);
  for (const [isolationLevel, aborted] of [
    [0, undefined],
    [1, []],
  ] as const) {
    const answer = await shop.fetch(11, fromOrders([wanted(0)], { isolationLevel }));
    const [partition] = answer.responses[0]?.partitions ?? [];
    assert.deepEqual(partition?.abortedTransactions, aborted);
    assert.equal(partition?.lastStableOffset, 1);
    assert.equal(partition?.preferredReadReplica, -1);
  }
});

test("other brokers cannot copy from here", async () => {
  await using shop = await Shop.open();
  const refused = numberOf("not_allowed");
  const old = await shop.fetch(5, fromOrders([wanted(0)], { replicaId: 2 }));
  assert.deepEqual(shown(old), [[0, refused, false]]);
  assert.equal((await shop.fetch(8, fromOrders([wanted(0)], { replicaId: 2 }))).errorCode, refused);
  const newer = fromOrders([], { replicaState: { replicaId: 2 } });
  assert.equal((await shop.fetch(17, newer)).errorCode, refused);
});

test("where the client's records of an epoch are not ours it is told where they part", async () => {
  await using shop = await Shop.open();
  await shop.append(0, ["a", "b"]);
  // It says that it read up to 9 in epoch 1; here that epoch ends at 2.
  const ahead = fromOrders([wanted(0, { fetchOffset: 9, lastFetchedEpoch: 1 })]);
  const [partition] = (await shop.fetch(12, ahead)).responses[0]?.partitions ?? [];
  assert.deepEqual(partition?.divergingEpoch, { epoch: 1, endOffset: 2 });
  assert.equal(partition?.errorCode, 0);
  const same = fromOrders([wanted(0, { fetchOffset: 1, lastFetchedEpoch: 1 })]);
  assert.deepEqual(shown(await shop.fetch(12, same)), [[0, 0, true]]);
  const unheard = fromOrders([wanted(0, { fetchOffset: 1, lastFetchedEpoch: 5 })]);
  const outOfRange = numberOf("offset_out_of_range");
  assert.deepEqual(shown(await shop.fetch(12, unheard)), [[0, outOfRange, false]]);
});

test("a fetch waits for its bytes, and a request behind it is answered after it", async () => {
  await using shop = await Shop.open();
  const waiting = shop.fetch(11, fromOrders([wanted(0)], { maxWaitMs: 20_000 }));
  const behind = shop.client.ask("ApiVersions", 0, {});
  await shop.append(0, ["late"]);
  assert.deepEqual(shown(await waiting), [[0, 0, true]]);
  assert.equal((await behind).errorCode, 0);
});

test("a fetch whose client went away does not wait on", async () => {
  await using shop = await Shop.open();
  const { broker } = shop.world;
  shop.client.tell("Fetch", 11, fromOrders([wanted(0)], { maxWaitMs: 60_000 }));
  while (broker.stats().waitingFetches === 0) await new Promise(setImmediate);
  shop.client.close();
  while (broker.stats().waitingFetches > 0) await new Promise(setImmediate);
});

test("a session answers with what changed, and reads whom it served last first to last", async () => {
  await using shop = await Shop.open();
  await shop.append(0, ["a"]);
  const opened = await shop.fetch(
    12,
    fromOrders([wanted(0), wanted(1), wanted(2)], { sessionId: 0, sessionEpoch: 0 }),
  );
  assert.notEqual(opened.sessionId, 0);
  assert.deepEqual(shown(opened), [
    [0, 0, true],
    [1, 0, false],
    [2, 0, false],
  ]);
  const { sessionId } = opened;
  const next = (sessionEpoch: number, more: Partial<FetchBody> = {}): FetchBody =>
    fromOrders([], { topics: [], sessionId, sessionEpoch, ...more });

  // The client goes on in partition 0; nothing is new.
  const topics = [{ topic: "orders", partitions: [wanted(0, { fetchOffset: 1 })] }];
  const quiet = await shop.fetch(12, next(1, { topics }));
  assert.deepEqual([quiet.errorCode, quiet.sessionId, shown(quiet)], [0, sessionId, []]);

  await shop.append(0, ["b"]);
  await shop.append(1, ["c"]);
  const both = await shop.fetch(12, next(2));
  assert.deepEqual(shown(both), [
    [1, 0, true],
    [0, 0, true],
  ]);

  // Partition 1 is forgotten, and has more all the same.
  await shop.append(1, ["d"]);
  const forgottenTopicsData = [{ topic: "orders", partitions: [1] }];
  const less = await shop.fetch(12, next(3, { topics, forgottenTopicsData }));
  assert.deepEqual(shown(less), [[0, 0, true]]);

  const wrongEpoch = await shop.fetch(12, next(9));
  assert.equal(wrongEpoch.errorCode, numberOf("fetch_session_epoch_invalid"));
  assert.deepEqual([wrongEpoch.sessionId, shown(wrongEpoch)], [0, []]);

  // Epoch -1 ends the session.
  await shop.fetch(12, next(-1));
  const gone = await shop.fetch(12, next(4));
  assert.equal(gone.errorCode, numberOf("fetch_session_not_found"));
});

test("a session of topic names is not gone on with by topic ids", async () => {
  await using shop = await Shop.open();
  const opened = await shop.fetch(12, fromOrders([wanted(0)], { sessionEpoch: 0 }));
  const { sessionId } = opened;
  const byId = fromOrders([], { topics: [], sessionId, sessionEpoch: 1 });
  const refused = await shop.fetch(13, byId);
  assert.equal(refused.errorCode, numberOf("fetch_session_epoch_invalid"));
});

test("an error in a session is told again in each answer", async () => {
  await using shop = await Shop.open();
  const opened = await shop.fetch(
    12,
    fromOrders([wanted(0, { fetchOffset: 77 }), wanted(1)], { sessionEpoch: 0 }),
  );
  const { sessionId } = opened;
  for (const sessionEpoch of [1, 2]) {
    const topics: FetchBody["topics"] = [];
    const again = await shop.fetch(12, fromOrders([], { topics, sessionId, sessionEpoch }));
    assert.deepEqual(shown(again), [[0, numberOf("offset_out_of_range"), false]]);
  }
});

test("a deleted topic is told to those who wait for it", async () => {
  await using shop = await Shop.open();
  const waiting = shop.fetch(11, fromOrders([wanted(0)], { maxWaitMs: 20_000 }));
  while (shop.world.broker.stats().waitingFetches === 0) await new Promise(setImmediate);
  await shop.world.broker.deleteTopics([{ name: "orders" }]);
  assert.deepEqual(shown(await waiting), [[0, numberOf("topic_not_found"), false]]);
});
