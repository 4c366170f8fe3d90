import assert from "node:assert/strict";
import { test } from "node:test";

import { BrokerWorld, batchOf, takeValues } from "./broker-world.test.ts";
import type { FetchedPartition, FetchItem } from "./record-verbs.ts";

const batchBytes = batchOf(["x"], 0).length;

async function worldWith(...values: string[]): Promise<BrokerWorld> {
  const world = await BrokerWorld.open();
  await world.createTopic("orders", 3);
  for (const value of values) await world.produce("orders", 0, [value]);
  return world;
}

test("what is there is answered before the call returns", async () => {
  const world = await worldWith("a", "b", "c");
  const { fetching, answers } = world.startFetch("orders", 0, { offset: 1, waitMsMax: 1000 });
  assert.equal(fetching.isDone, true);
  assert.deepEqual(answers.flatMap(takeValues), ["b", "c"]);
  const [answer] = answers;
  assert.deepEqual(
    [answer?.highWatermark, answer?.lastStableOffset, answer?.logStartOffset],
    [3, 3, 0],
  );
});

test("a fetch waits for the bytes it wants, and reads once for all that came", async () => {
  const world = await worldWith("a");
  const bytesMin = 3 * batchBytes;
  const { fetching, answers } = world.startFetch("orders", 0, {
    offset: 0,
    bytesMin,
    waitMsMax: 60_000,
  });
  assert.equal(world.broker.stats().waitingFetches, 1);
  await world.produce("orders", 0, ["b"]);
  assert.equal(fetching.isDone, false);
  await world.produce("orders", 0, ["c"]);
  await world.pass(1);
  assert.equal(fetching.isDone, true);
  assert.deepEqual(answers.flatMap(takeValues), ["a", "b", "c"]);
  assert.equal(world.broker.stats().waitingFetches, 0);
});

test("when its time is over a fetch answers what there is", async () => {
  const world = await worldWith("a");
  const { fetching, answers } = world.startFetch("orders", 0, {
    offset: 0,
    bytesMin: 100_000,
    waitMsMax: 500,
  });
  await world.pass(499);
  assert.equal(fetching.isDone, false);
  await world.pass(2);
  assert.equal(fetching.isDone, true);
  assert.deepEqual(answers.flatMap(takeValues), ["a"]);
});

test("a fetch at the end that waits is woken by the next record, whichever partition it comes to", async () => {
  const world = await worldWith();
  const items: FetchItem[] = [0, 1, 2].map((index) => {
    const partition = world.broker.partition("orders", index);
    assert.ok(partition !== undefined);
    return { partition, fetchOffset: 0, bytesMax: 1000 };
  });
  const answers: FetchedPartition[] = [];
  world.broker.fetch({ items, bytesMin: 1, bytesMax: 10_000, waitMsMax: 60_000 }, (answer) =>
    answers.push(...answer),
  );
  assert.deepEqual(answers, []);
  await world.produce("orders", 2, ["x"]);
  await world.pass(1);
  assert.deepEqual(answers.map(takeValues), [[], [], ["x"]]);
});

test("a cancelled fetch never answers, whatever happens after", async () => {
  const world = await worldWith();
  const { fetching, answers } = world.startFetch("orders", 0, { offset: 0, waitMsMax: 500 });
  fetching.cancel();
  fetching.cancel();
  await world.produce("orders", 0, ["x"]);
  await world.pass(1000);
  assert.deepEqual(answers, []);
  assert.equal(world.broker.stats().waitingFetches, 0);
});

test("limits hold, but the first batch is given whole", async () => {
  const world = await worldWith("a", "b", "c", "d");
  const read = (bytesMax: number): string[] => {
    const { answers } = world.startFetch("orders", 0, { offset: 0, bytesMax });
    return answers.flatMap(takeValues);
  };
  assert.deepEqual(read(1), ["a"]);
  assert.deepEqual(read(2 * batchBytes - 1), ["a"]);
  assert.deepEqual(read(2 * batchBytes), ["a", "b"]);
});

test("the limit of the answer is shared by its partitions; later ones may come away empty", async () => {
  const world = await worldWith("a", "b");
  await world.produce("orders", 1, ["c"]);
  const items: FetchItem[] = [0, 1].map((index) => {
    const partition = world.broker.partition("orders", index);
    assert.ok(partition !== undefined);
    return { partition, fetchOffset: 0, bytesMax: batchBytes };
  });
  const read = (bytesMax: number): string[][] => {
    const answers: FetchedPartition[] = [];
    world.broker.fetch({ items, bytesMin: 1, bytesMax, waitMsMax: 0 }, (answer) =>
      answers.push(...answer),
    );
    return answers.map(takeValues);
  };
  assert.deepEqual(read(2 * batchBytes), [["a"], ["c"]]);
  assert.deepEqual(read(batchBytes), [["a"], []]);
});

test("a fetch out of range is answered at once with both ends; so is a wrong epoch", async () => {
  const world = await worldWith("a");
  const { answers } = world.startFetch("orders", 0, { offset: 5, waitMsMax: 60_000 });
  assert.equal(answers[0]?.errorCode, "offset_out_of_range");
  assert.deepEqual([answers[0]?.logStartOffset, answers[0]?.highWatermark], [0, 1]);
  const partition = world.broker.partition("orders", 0);
  assert.ok(partition !== undefined);
  const codes: (string | undefined)[] = [];
  for (const currentLeaderEpoch of [0, 1, 2]) {
    const item = { partition, fetchOffset: 0, bytesMax: 1000, currentLeaderEpoch };
    world.broker.fetch({ items: [item], bytesMin: 0, bytesMax: 1000, waitMsMax: 0 }, (answer) => {
      codes.push(answer[0]?.errorCode);
      answer[0]?.fetched?.release();
    });
  }
  assert.deepEqual(codes, ["leader_epoch_fenced", undefined, "leader_epoch_unknown"]);
});

test("a fetch that waits on a topic that is deleted is told so", async () => {
  const world = await worldWith();
  const { answers } = world.startFetch("orders", 0, { offset: 0, waitMsMax: 60_000 });
  await world.run(world.broker.deleteTopics([{ name: "orders" }]));
  await world.pass(1);
  assert.equal(answers[0]?.errorCode, "topic_not_found");
});

test("a closing broker answers the fetches that wait", async () => {
  const world = await worldWith();
  const { fetching, answers } = world.startFetch("orders", 0, { offset: 0, waitMsMax: 60_000 });
  await world.run(world.broker.close());
  await world.pass(1);
  assert.equal(fetching.isDone, true);
  assert.equal(answers[0]?.errorCode, "closed");
  const refused = world.broker.partition("orders", 0)?.append(batchOf(["x"], 0), 0);
  assert.equal(refused?.kind === "refused" && refused.code, "closed");
});

test("records in segments are read like those in the write-ahead log, also by the first read of a file", async () => {
  const world = await worldWith("a", "b");
  await world.checkpoint();
  await world.produce("orders", 0, ["c"]);
  assert.deepEqual(await world.valuesOf("orders", 0), ["a", "b", "c"]);
  const reopened = await world.killAndOpen();
  assert.deepEqual(await reopened.valuesOf("orders", 0, 1), ["b", "c"]);
});

test("a fetch that is cancelled while it reads from the device gives the memory back", async () => {
  const world = await worldWith("a", "b");
  await world.checkpoint();
  const reopened = await world.killAndOpen();
  const { fetching, answers } = reopened.startFetch("orders", 0, { offset: 0, waitMsMax: 1000 });
  fetching.cancel();
  await reopened.pass(10);
  assert.deepEqual(answers, []);
  assert.equal(fetching.isDone, true);
});
