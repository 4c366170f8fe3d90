import assert from "node:assert/strict";
import { test } from "node:test";

import { LogError } from "../../errors/index.ts";
import { ClientWorld, hasCode, readAll, wholeTopic } from "./client-world.test.ts";
import type { KafkaClient } from "./kafka-client.ts";

async function filled(
  partitionCount: number,
  recordCount: number,
  seed = 1,
): Promise<{
  readonly world: ClientWorld;
  readonly client: KafkaClient;
}> {
  const world = await ClientWorld.open(seed);
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount }));
  const producer = await world.run(client.produce("t", { batchBytesMax: 500 }));
  for (let index = 0; index < recordCount; index++) {
    const value = Buffer.from(`value ${index}`);
    const room = producer.send({ partition: index % partitionCount, value });
    if (room !== undefined) await world.run(room);
  }
  await world.run(producer.flush());
  return { world, client };
}

test("a range begins and ends within batches", async () => {
  const { world, client } = await filled(1, 200);
  for (const [start, end] of [
    [0, 1],
    [7, 9],
    [55, 155],
    [199, 200],
    [60, 60],
  ] as const) {
    const seen = await world.read(client, [{ topic: "t", partition: 0, start, end }]);
    assert.deepEqual(
      seen.map(({ offset }) => offset),
      Array.from({ length: end - start }, (_, index) => start + index),
    );
  }
});

test("small answers and many partitions give every record once", async () => {
  const { world, client } = await filled(7, 3_000);
  const ranges = await wholeTopic(world, client, "t");
  const seen = await world.read(client, ranges, { bytesMax: 1_000 });
  const names = seen.map(({ partition, offset }) => `${partition}/${offset}`);
  assert.equal(names.length, 3_000);
  assert.equal(new Set(names).size, 3_000);
});

test("every record comes once however often connections break", async () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { world, client } = await filled(3, 1_000, seed);
    const ranges = await wholeTopic(world, client, "t");
    world.network.chance = 0.15;
    const seen = await world.read(client, ranges, { bytesMax: 500, retryMsMax: 600_000 });
    assert.ok(world.network.cuts > 3, `seed ${seed}: ${world.network.cuts} cuts test nothing`);
    const names = seen.map(({ partition, offset }) => `${partition}/${offset}`);
    assert.equal(names.length, 1_000, `seed ${seed}`);
    assert.equal(new Set(names).size, 1_000, `seed ${seed}`);
  }
});

test("whoever follows gets what comes, also from a broker that was away", async () => {
  const { world, client } = await filled(1, 3);
  const range = { topic: "t", partition: 0, start: 2, end: undefined };
  const following = readAll(client, [range], { isEnough: (seen) => seen.length === 3 });
  await world.pass(2_000);
  await world.stop();
  await world.pass(60_000);
  await world.start();
  const producer = await world.run(client.produce("t"));
  void producer.send({ value: Buffer.from("four") });
  void producer.send({ value: Buffer.from("five") });
  await world.run(producer.flush());
  const seen = await world.run(following);
  assert.deepEqual(
    seen.map(({ value }) => value),
    ["value 2", "four", "five"],
  );
  assert.deepEqual(world.said, ["reading again"]);
});

test("a reader that is aborted ends with the reason", async () => {
  const { world, client } = await filled(1, 3);
  const ending = new AbortController();
  const range = { topic: "t", partition: 0, start: 3, end: undefined };
  const following = readAll(client, [range], { signal: ending.signal });
  const reason = new LogError("cancelled", "enough");
  world.env.timers.after(5_000, () => ending.abort(reason));
  await assert.rejects(world.run(following), (error) => error === reason);
});

test("records that retention took are skipped, and that is said", async () => {
  const { world, client } = await filled(1, 100);
  await world.run(client.offsets.deleteBefore("t", new Map([[0, 40]])));
  const seen = await world.read(client, [{ topic: "t", partition: 0, start: 10, end: 100 }]);
  assert.equal(seen[0]?.offset, 40);
  assert.equal(seen.length, 60);
  assert.deepEqual(world.said, ["records are gone"]);
});

test("an offset that never was is refused with what there is", async () => {
  const { world, client } = await filled(1, 10);
  const reading = world.read(client, [{ topic: "t", partition: 0, start: 11, end: 20 }]);
  await assert.rejects(reading, (error) => {
    assert.ok(hasCode("offset_out_of_range")(error));
    assert.match(String(error), /t\/0 at 11: the log holds 0 up to before 10/);
    return true;
  });
});

test("a range that ends behind the log's end is read as far as there is something", async () => {
  const { world, client } = await filled(1, 10);
  const seen = await world.read(client, [{ topic: "t", partition: 0, start: 8, end: 20 }]);
  assert.equal(seen.length, 2);
});

test("a topic or a partition that is not there is told as such", async () => {
  const { world, client } = await filled(2, 2);
  const at = (topic: string, partition: number): Promise<unknown> =>
    world.read(client, [{ topic, partition, start: 0, end: 1 }]);
  await assert.rejects(at("nope", 0), hasCode("topic_not_found"));
  await assert.rejects(at("t", 2), hasCode("partition_not_found"));
});

test("a topic that is deleted ends those who follow it", async () => {
  const { world, client } = await filled(1, 2);
  const following = readAll(client, [{ topic: "t", partition: 0, start: 0, end: undefined }]);
  const ended = assert.rejects(following, hasCode("topic_not_found"));
  await world.pass(1_000);
  await world.run(client.topics.delete("t"));
  await world.run(ended);
});
