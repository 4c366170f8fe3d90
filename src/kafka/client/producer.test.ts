import assert from "node:assert/strict";
import { test } from "node:test";

import { partitionOfKey } from "../../values/index.ts";
import { codecNames } from "../../records/index.ts";
import { ClientWorld, hasCode, wholeTopic } from "./client-world.test.ts";
import type { KafkaClient } from "./kafka-client.ts";
import type { ProducerOptions } from "./producer.ts";

async function sendAll(
  client: KafkaClient,
  topic: string,
  values: readonly string[],
  options?: ProducerOptions,
): Promise<void> {
  const producer = await client.produce(topic, options);
  for (const value of values) {
    const room = producer.send({ key: Buffer.from(keyOf(value)), value: Buffer.from(value) });
    if (room !== undefined) await room;
  }
  await producer.flush();
}

function keyOf(value: string): string {
  return `key ${Number(value) % 10}`;
}

function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index));
}

test("what is written with any codec and any acks is read back in order, by the partition of its key", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  for (const codec of codecNames) {
    for (const acks of ["all", "leader", "none"] as const) {
      const topic = `${codec}-${acks}`;
      await world.run(client.topics.create({ name: topic, partitionCount: 3 }));
      await world.run(sendAll(client, topic, numbers(500), { codec, acks, batchBytesMax: 2_000 }));
      // Without acknowledgement the bytes may still be on their way.
      await world.pass(100);
      const seen = await world.read(client, await wholeTopic(world, client, topic));
      assert.equal(seen.length, 500, topic);
      for (const { key, value = "", partition } of seen) {
        assert.equal(key, keyOf(value));
        assert.equal(partition, partitionOfKey(Buffer.from(key), 3));
      }
      for (let partition = 0; partition < 3; partition++) {
        const values = seen
          .filter((each) => each.partition === partition)
          .map((each) => each.value);
        const sorted = values.toSorted((left, right) => Number(left) - Number(right));
        assert.deepEqual(values, sorted);
      }
    }
  }
});

test("receipts tell where records without a key went", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount: 2 }));
  const producer = await world.run(client.produce("t", { batchBytesMax: 1_000 }));
  for (const value of numbers(1_000)) {
    const room = producer.send({ value: Buffer.from(value) });
    if (room !== undefined) await world.run(room);
  }
  await world.run(producer.flush());
  const receipts = producer.receipts();
  assert.deepEqual(
    receipts.map(({ partition, firstOffset }) => [partition, firstOffset]),
    [
      [0, 0],
      [1, 0],
    ],
  );
  assert.equal(
    receipts.reduce((sum, { recordCount }) => sum + recordCount, 0),
    1_000,
  );
  for (const { recordCount, nextOffset } of receipts) assert.equal(nextOffset, recordCount);
});

test("records are written once and in order, however often connections break", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const world = await ClientWorld.open(seed);
    const client = await world.connect();
    await world.run(client.topics.create({ name: "t", partitionCount: 2 }));
    world.network.chance = 0.25;
    const values = numbers(1_500);
    await world.run(sendAll(client, "t", values, { batchBytesMax: 300, bufferedBytesMax: 5_000 }));
    world.network.chance = 0;
    const seen = await world.read(client, await wholeTopic(world, client, "t"));
    assert.ok(world.network.cuts > 10, `seed ${seed}: ${world.network.cuts} cuts test nothing`);
    for (const partition of [0, 1]) {
      const found = seen.filter((each) => each.partition === partition).map(({ value }) => value);
      const sent = values.filter(
        (value) => partitionOfKey(Buffer.from(keyOf(value)), 2) === partition,
      );
      assert.deepEqual(found, sent, `seed ${seed}, partition ${partition}`);
    }
  }
});

test("a broker that is away for a while is waited for", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount: 1 }));
  const producer = await world.run(client.produce("t"));
  void producer.send({ value: Buffer.from("before") });
  await world.run(producer.flush());
  await world.stop();
  void producer.send({ value: Buffer.from("after") });
  const flushed = producer.flush();
  await world.pass(5_000);
  await world.start();
  await world.run(flushed);
  const seen = await world.read(client, await wholeTopic(world, client, "t"));
  assert.deepEqual(
    seen.map(({ value }) => value),
    ["before", "after"],
  );
});

test("a broker that stays away is given up in time, and the error says why", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount: 1 }));
  const producer = await world.run(client.produce("t", { deliveryMsMax: 3_000 }));
  await world.stop();
  void producer.send({ value: Buffer.from("lost") });
  const startedMs = world.env.clock.monotonicMs();
  await assert.rejects(world.run(producer.flush()), hasCode("unreachable"));
  const tookMs = world.env.clock.monotonicMs() - startedMs;
  assert.ok(tookMs >= 3_000 && tookMs < 6_000, `${tookMs} ms`);
  assert.throws(() => producer.send({ value: Buffer.from("more") }), hasCode("unreachable"));
});

test("what the server refuses is the producer's end", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  const settings = new Map([["max.message.bytes", "1000"]]);
  await world.run(client.topics.create({ name: "t", partitionCount: 1, settings }));
  const producer = await world.run(client.produce("t"));
  void producer.send({ value: new Uint8Array(2_000) });
  await assert.rejects(world.run(producer.flush()), hasCode("record_too_large"));
});

test("a partition that is not there is refused at once", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount: 2 }));
  const producer = await world.run(client.produce("t"));
  assert.throws(() => producer.send({ partition: 2 }), hasCode("partition_not_found"));
});

test("a producer that is faster than its server is asked to wait", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount: 1 }));
  const producer = await world.run(client.produce("t", { bufferedBytesMax: 10_000 }));
  const value = new Uint8Array(1_000);
  for (let index = 0; index < 9; index++) assert.equal(producer.send({ value }), undefined);
  assert.notEqual(producer.send({ value }), undefined);
  await world.run(producer.flush());
  assert.equal(producer.receipts()[0]?.recordCount, 10);
});
