import assert from "node:assert/strict";
import { test } from "node:test";

import { MemoryDisk } from "../env/index.ts";
import { BatchBuilder } from "../records/index.ts";
import { BrokerWorld, fillingDisk } from "./broker-world.test.ts";
import type { OffsetSpec } from "./record-verbs.ts";

const orders = { name: "orders" };

test("offsets are listed by place, by time, and by the newest record", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders", 2);
  const startMs = world.env.clock.wallMs();
  await world.produce("orders", 0, ["a", "b"]);
  await world.pass(1000);
  await world.produce("orders", 0, ["c"]);
  await world.run(world.broker.deleteRecords([{ topic: orders, partition: 0, before: 1 }]));
  const list = async (spec: OffsetSpec, partition = 0): Promise<unknown> => {
    const [listed] = await world.run(
      world.broker.listOffsets([{ topic: orders, partition, spec }]),
    );
    return [listed?.offset, listed?.leaderEpoch, listed?.errorCode];
  };
  assert.deepEqual(await list({ kind: "earliest" }), [1, 1, undefined]);
  assert.deepEqual(await list({ kind: "earliest-local" }), [1, 1, undefined]);
  assert.deepEqual(await list({ kind: "latest" }), [3, 1, undefined]);
  assert.deepEqual(await list({ kind: "max-timestamp" }), [2, 1, undefined]);
  assert.deepEqual(await list({ kind: "time", timestampMs: startMs }), [1, 1, undefined]);
  assert.deepEqual(await list({ kind: "time", timestampMs: startMs + 500 }), [2, 1, undefined]);
  const none = [undefined, undefined, undefined];
  assert.deepEqual(await list({ kind: "time", timestampMs: startMs + 9_999_999 }), none);
  assert.deepEqual(await list({ kind: "max-timestamp" }, 1), none);
  assert.deepEqual(await list({ kind: "latest" }, 1), [0, undefined, undefined]);
  assert.deepEqual(await list({ kind: "latest" }, 2), [
    undefined,
    undefined,
    "partition_not_found",
  ]);
});

test("offsets of another epoch than the present are refused", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders");
  const reopened = await world.killAndOpen();
  const query = { topic: orders, partition: 0, spec: { kind: "latest" } } as const;
  const listed = await reopened.run(
    reopened.broker.listOffsets([
      { ...query, currentLeaderEpoch: 1 },
      { ...query, currentLeaderEpoch: 2 },
      { ...query, currentLeaderEpoch: 3 },
    ]),
  );
  assert.deepEqual(
    listed.map(({ errorCode }) => errorCode),
    ["leader_epoch_fenced", undefined, "leader_epoch_unknown"],
  );
});

test("records are deleted up to an offset or all of them, durably", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders", 2);
  await world.produce("orders", 0, ["a", "b", "c"]);
  await world.produce("orders", 1, ["d", "e"]);
  const deleted = await world.run(
    world.broker.deleteRecords([
      { topic: orders, partition: 0, before: 2 },
      { topic: orders, partition: 1, before: undefined },
      { topic: orders, partition: 1, before: 3 },
      { topic: { name: "gone" }, partition: 0, before: 1 },
    ]),
  );
  assert.deepEqual(
    deleted.map(({ logStartOffset, errorCode }) => [logStartOffset, errorCode]),
    [
      [2, undefined],
      [2, undefined],
      [undefined, "offset_out_of_range"],
      [undefined, "topic_not_found"],
    ],
  );
  const reopened = await world.killAndOpen();
  const starts = reopened.broker
    .topicNamed("orders")
    ?.partitions.map(({ logStartOffset }) => logStartOffset);
  assert.deepEqual(starts, [2, 2]);
});

test("records of a compacted topic and of the broker's own topics are not deleted by offset", async () => {
  const world = await BrokerWorld.open();
  const settings = new Map([["cleanup.policy", "compact"]]);
  await world.run(world.broker.createTopics([{ name: "table", settings }]));
  await world.run(world.broker.autoCreateTopic("__consumer_offsets"));
  const refused = await world.run(
    world.broker.deleteRecords([
      { topic: { name: "table" }, partition: 0, before: undefined },
      { topic: { name: "__consumer_offsets" }, partition: 0, before: undefined },
    ]),
  );
  assert.deepEqual(
    refused.map(({ errorCode }) => errorCode),
    ["not_allowed", "invalid_topic_name"],
  );
});

test("no producer id is given twice, whatever is killed in between", async () => {
  let world = await BrokerWorld.open();
  const seen = new Set<number>();
  for (let round = 0; round < 3; round++) {
    for (let count = 0; count < 1005; count++) {
      const { producerId, producerEpoch } = await world.run(world.broker.initProducerId({}));
      assert.equal(producerEpoch, 0);
      assert.ok(!seen.has(producerId), `${producerId} is new`);
      seen.add(producerId);
    }
    world = await world.killAndOpen();
  }
});

test("producer ids asked for together are all different, also across the end of a block", async () => {
  const world = await BrokerWorld.open();
  const asking = Array.from({ length: 2500 }, () => world.broker.initProducerId({}));
  const given = await world.run(Promise.all(asking));
  assert.equal(new Set(given.map(({ producerId }) => producerId)).size, 2500);
});

test("a transactional id is refused with a sentence that says so", async () => {
  const world = await BrokerWorld.open();
  await assert.rejects(world.broker.initProducerId({ transactionalId: "t" }), {
    code: "unsupported",
    message: /transactions are not supported yet/,
  });
});

test("epochs end where the next one begins, and one that is newer than all is not known", async () => {
  const first = await BrokerWorld.open();
  await first.createTopic("orders");
  await first.produce("orders", 0, ["a", "b"]);
  const world = await first.killAndOpen();
  await world.produce("orders", 0, ["c"]);
  const query = (leaderEpoch: number): unknown => {
    const [end] = world.broker.offsetsForLeaderEpochs([
      { topic: orders, partition: 0, leaderEpoch },
    ]);
    return [end?.leaderEpoch, end?.endOffset, end?.errorCode];
  };
  assert.deepEqual(query(1), [1, 2, undefined]);
  assert.deepEqual(query(2), [2, 3, undefined]);
  assert.deepEqual(query(3), [undefined, undefined, undefined]);
  const [gone] = world.broker.offsetsForLeaderEpochs([
    { topic: { name: "gone" }, partition: 0, leaderEpoch: 1 },
  ]);
  assert.equal(gone?.errorCode, "topic_not_found");
});

test("old records go when their time is over, and those that are kept stay", async () => {
  const world = await BrokerWorld.open({
    settings: { "log.retention.check.interval.ms": "60000" },
  });
  const settings = new Map([["retention.ms", "1000000"]]);
  await world.run(world.broker.createTopics([{ name: "orders", settings }]));
  await world.createTopic("kept");
  for (const topic of ["orders", "kept"]) await world.produce(topic, 0, ["a", "b"]);
  await world.checkpoint();
  assert.equal(world.broker.partition("orders", 0)?.logStartOffset, 0);
  await world.pass(1_100_000);
  assert.equal(world.broker.partition("orders", 0)?.logStartOffset, 2);
  assert.equal(world.broker.partition("kept", 0)?.logStartOffset, 0);
});

test("producers that were silent for their time are forgotten", async () => {
  const world = await BrokerWorld.open({ settings: { "producer.id.expiration.ms": "1000000" } });
  await world.createTopic("orders");
  const builder = new BatchBuilder({
    codec: "none",
    producerId: 5,
    producerEpoch: 0,
    baseSequence: 0,
  });
  builder.append(world.env.clock.wallMs(), undefined, new Uint8Array(1));
  world.broker.partition("orders", 0)?.append(builder.finish(), world.env.clock.wallMs());
  await world.pass(600_000);
  const count = (): number | undefined =>
    world.broker.describeProducers([{ topic: orders, partition: 0 }])[0]?.producers.length;
  assert.equal(count(), 1);
  await world.pass(1_000_000);
  assert.equal(count(), 0);
});

test("a full disk refuses records and loses none; with room again the same broker goes on", async () => {
  const { disk, state } = fillingDisk();
  const world = await BrokerWorld.open({ disk });
  await world.createTopic("orders");
  assert.equal(await world.produce("orders", 0, ["a"]), undefined);
  state.isFull = true;
  const error = await world.produce("orders", 0, ["lost"]);
  assert.deepEqual([error?.code, error?.isRetriable], ["storage_full", true]);
  assert.deepEqual(await world.valuesOf("orders", 0), ["a"]);
  state.isFull = false;
  assert.equal(await world.produce("orders", 0, ["b"]), undefined);
  assert.deepEqual(await world.valuesOf("orders", 0), ["a", "b"]);
  assert.deepEqual(await (await world.killAndOpen()).valuesOf("orders", 0), ["a", "b"]);
  assert.deepEqual(world.fatal, []);
});

test("a sync that fails is fatal: it is told once, and nothing is acknowledged after it", async () => {
  let isBroken = false;
  const disk = new MemoryDisk({
    onCall: ({ kind }) => {
      if (isBroken && kind === "sync") throw Object.assign(new Error("EIO"), { code: "EIO" });
    },
  });
  const world = await BrokerWorld.open({ disk });
  await world.createTopic("orders");
  isBroken = true;
  assert.equal((await world.produce("orders", 0, ["a"]))?.code, "storage_failed");
  assert.equal((await world.produce("orders", 0, ["b"]))?.code, "storage_failed");
  const [refused] = await world.run(world.broker.createTopics([{ name: "more" }]));
  assert.equal(refused?.errorCode, "storage_failed");
  assert.deepEqual(
    world.fatal.map(({ code }) => code),
    ["storage_failed"],
  );
});

test("log directories tell what each partition takes", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders", 2);
  await world.produce("orders", 1, ["a"]);
  const [all] = world.broker.describeLogDirs(undefined);
  assert.equal(all?.path, "/store");
  assert.deepEqual(
    all?.partitions.map(({ topic, partition, sizeBytes }) => [topic, partition, sizeBytes > 0]),
    [
      ["orders", 0, false],
      ["orders", 1, true],
    ],
  );
  const [some] = world.broker.describeLogDirs([
    { topic: "orders", partitions: [1, 9] },
    { topic: "gone", partitions: [0] },
  ]);
  assert.deepEqual(
    some?.partitions.map(({ partition }) => partition),
    [1],
  );
});
