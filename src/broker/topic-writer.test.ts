import assert from "node:assert/strict";
import { test } from "node:test";

import { crc32c, putInt32 } from "../bytes/index.ts";
import { invariant, LogError } from "../errors/index.ts";
import { BatchBuilder } from "../records/index.ts";
import { BrokerWorld } from "./broker-world.test.ts";
import type { StoredRecord, TopicWriter } from "./index.ts";

const key = Buffer.from("o-1");

async function open(): Promise<{ readonly world: BrokerWorld; readonly writer: TopicWriter }> {
  const world = await BrokerWorld.open();
  await world.createTopic("orders");
  const topic = world.broker.topicNamed("orders");
  invariant(topic !== undefined, "the topic was made");
  return { world, writer: world.broker.writer(topic) };
}

function record(ofKey: Uint8Array | undefined = key): StoredRecord {
  return { timestamp: 1, key: ofKey, value: Buffer.from("own"), headers: [] };
}

/** Appends one record as a client with batches of its own does; it is not durable yet. */
function appendForeign(writer: TopicWriter, world: BrokerWorld): void {
  const nowMs = world.env.clock.wallMs();
  const builder = new BatchBuilder({ codec: "none" });
  builder.append(nowMs, key, Buffer.from("foreign"));
  const outcome = writer.lane(0).partition.append(builder.finish(), nowMs);
  assert.equal(outcome.kind, "appended");
}

function isConflict(message: RegExp): (thrown: unknown) => boolean {
  return (thrown) =>
    thrown instanceof LogError && thrown.code === "offset_conflict" && message.test(thrown.message);
}

test("what was gathered goes before what others append in the same turn", async () => {
  const { world, writer } = await open();
  const before = [writer.append(0, record()), writer.append(0, record())];
  appendForeign(writer, world);
  const after = writer.append(0, record());
  assert.deepEqual(await world.run(Promise.all([...before, after])), [0, 1, 3]);
  assert.equal(writer.lane(0).partition.highWatermark, 4);
});

test("the newest record of a key is found whoever appended it", async () => {
  const { world, writer } = await open();
  await world.run(writer.append(0, record()));
  assert.equal(await world.run(writer.lastOffset(0, key)), 0);
  appendForeign(writer, world);
  await world.run(writer.append(0, record(Buffer.from("another"))));
  assert.equal(await world.run(writer.lastOffset(0, key)), 1);
  assert.equal(await world.run(writer.lastOffset(0, Buffer.from("unknown"))), undefined);
});

test("an append that expects the last record of its key knows of those that are under way", async () => {
  const { world, writer } = await open();
  // The first of a key, while nothing is known of keys yet and another one is being written.
  appendForeign(writer, world);
  const expectsNone = { expectedLastOffset: "none" } as const;
  await assert.rejects(
    world.run(writer.append(0, record(), expectsNone)),
    isConflict(/last at offset 0, and no record was expected/),
  );
  assert.equal(await world.run(writer.append(0, record(), { expectedLastOffset: 0 })), 1);
  // Now that keys are known.
  appendForeign(writer, world);
  await assert.rejects(
    world.run(writer.append(0, record(), { expectedLastOffset: 1 })),
    isConflict(/last at offset 2, and offset 1 was expected/),
  );
  const both = [
    writer.append(0, record(), { expectedLastOffset: 2 }),
    writer.append(0, record(), { expectedLastOffset: 2 }),
  ];
  const [first, second] = await world.run(Promise.allSettled(both));
  assert.deepEqual(first, { status: "fulfilled", value: 3 });
  assert.equal(second?.status, "rejected");
});

test("a batch whose records cannot be read is appended, and whoever asks for keys is told", async () => {
  const { world, writer } = await open();
  await world.run(writer.append(0, record()));
  assert.equal(await world.run(writer.lastOffset(0, key)), 0);
  const nowMs = world.env.clock.wallMs();
  const builder = new BatchBuilder({ codec: "gzip" });
  builder.append(nowMs, key, Buffer.alloc(100));
  const batch = builder.finish();
  batch.fill(7, batch.length - 20);
  putInt32(batch, 17, crc32c(batch, 21));
  assert.equal(writer.lane(0).partition.append(batch, nowMs).kind, "appended");
  assert.equal(await world.run(writer.append(0, record())), 2);
  await assert.rejects(world.run(writer.lastOffset(0, key)), { code: "batch_corrupt" });
});

test("records that expect an offset get it, or nothing is appended", async () => {
  const { world, writer } = await open();
  const all = writer.appendAll(0, [record(), record()], { expectedOffset: 0 });
  assert.equal(await world.run(all), 0);
  await assert.rejects(
    world.run(writer.appendAll(0, [record(), record()], { expectedOffset: 1 })),
    isConflict(/next offset is 2, not 1/),
  );
  assert.throws(
    () => writer.append(0, record(), { expectedOffset: 3 }),
    isConflict(/next offset is 2, not 3/),
  );
  assert.equal(await world.run(writer.append(0, record(), { expectedOffset: 2 })), 2);
});

test("a topic that is deleted takes nothing more, and one of its name begins anew", async () => {
  const { world, writer } = await open();
  await world.run(writer.append(0, record()));
  const lost = writer.append(0, record());
  const deleting = world.broker.deleteTopics([{ name: "orders" }]);
  await world.run(Promise.all([deleting, Promise.allSettled([lost])]));
  assert.throws(() => writer.append(0, record()), { code: "topic_not_found" });
  await world.createTopic("orders");
  const topic = world.broker.topicNamed("orders");
  invariant(topic !== undefined, "the topic was made again");
  const anew = world.broker.writer(topic);
  assert.notEqual(anew, writer);
  assert.equal(await world.run(anew.append(0, record())), 0);
});
