import assert from "node:assert/strict";
import { test } from "node:test";

import { BatchBuilder } from "../records/index.ts";
import { BrokerWorld } from "./broker-world.test.ts";

/** Appends a record for each key. */
function produce(world: BrokerWorld, topic: string, keys: readonly string[]): void {
  const nowMs = world.env.clock.wallMs();
  const builder = new BatchBuilder({ codec: "none" });
  for (const key of keys) builder.append(nowMs, Buffer.from(key), Buffer.from("value"));
  const outcome = world.broker.partition(topic, 0)?.append(builder.finish(), nowMs);
  assert.equal(outcome?.kind, "appended");
}

function removed(world: BrokerWorld): number {
  return world.broker.stats().store.compactionRecordsRemoved;
}

async function setPolicy(world: BrokerWorld, name: string, value: string): Promise<void> {
  const changes = [{ kind: "set", name: "cleanup.policy", value }] as const;
  await world.run(world.broker.alterConfigs([{ kind: "topic", name, changes }]));
}

test("a topic is compacted in the background from when its policy says so", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders");
  produce(world, "orders", ["a", "b", "a", "a"]);
  await world.checkpoint();
  assert.equal(removed(world), 0);
  await setPolicy(world, "orders", "compact,delete");
  await world.pass(20_000);
  assert.equal(removed(world), 2);
  produce(world, "orders", ["b", "b", "b"]);
  await world.pass(20_000);
  assert.equal(removed(world), 2, "what only the write-ahead log has is left alone");
  await world.checkpoint();
  await world.pass(20_000);
  assert.equal(removed(world), 5);
});

test("a broker can be told to leave it", async () => {
  const world = await BrokerWorld.open({ settings: { "log.cleaner.enable": "false" } });
  await world.createTopic("orders");
  await setPolicy(world, "orders", "compact");
  produce(world, "orders", ["a", "a"]);
  await world.checkpoint();
  await world.pass(20_000);
  assert.equal(removed(world), 0);
  const [report] = await world.run(world.broker.compactTopic({ name: "orders" }));
  assert.deepEqual([report?.partition, report?.recordsRemoved], [0, 1]);
});

test("a topic is compacted when somebody asks, whatever its policy is", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders", 2);
  produce(world, "orders", ["a", "a", "b"]);
  const { broker } = world;
  const seen: number[] = [];
  const progress = ({ partition }: { readonly partition: number }): void => {
    seen.push(partition);
  };
  const reports = await world.run(broker.compactTopic({ name: "orders" }, { progress }));
  assert.deepEqual(
    reports.map(({ partition, passes, recordsRemoved }) => [partition, passes, recordsRemoved]),
    [
      [0, 1, 1],
      [1, 0, 0],
    ],
  );
  assert.deepEqual([...new Set(seen)], [0]);
  const refuses = (promise: Promise<unknown>, code: string): Promise<void> =>
    assert.rejects(world.run(promise), { code });
  await refuses(broker.compactTopic({ name: "none" }), "topic_not_found");
  await refuses(broker.compactTopic({ name: "orders" }, { partition: 2 }), "partition_not_found");
  const signal = AbortSignal.abort();
  await refuses(broker.compactTopic({ name: "orders" }, { signal }), "cancelled");
});

test("of many small partitions some are compacted at a time, and all in the end", async () => {
  const world = await BrokerWorld.open();
  const partitionCount = 150;
  await world.createTopic("orders", partitionCount);
  await setPolicy(world, "orders", "compact");
  for (let index = 0; index < partitionCount; index++) {
    const builder = new BatchBuilder({ codec: "none" });
    for (let i = 0; i < 2; i++) builder.append(1, Buffer.from("a"), Buffer.from("value"));
    world.broker.partition("orders", index)?.append(builder.finish(), world.env.clock.wallMs());
  }
  // Time passes so quickly here that work of so many steps takes some of it.
  for (let minutes = 0; minutes < 60 && removed(world) < partitionCount; minutes++) {
    await world.pass(60_000);
  }
  assert.equal(removed(world), partitionCount);
});
