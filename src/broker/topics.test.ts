import assert from "node:assert/strict";
import { test } from "node:test";

import { BrokerWorld, fillingDisk } from "./broker-world.test.ts";
import type { NewTopic } from "./topic-verbs.ts";

test("a topic is there when its making is answered, and after a restart", async () => {
  const world = await BrokerWorld.open();
  const [created] = await world.run(
    world.broker.createTopics([
      { name: "orders", partitionCount: 3, settings: new Map([["retention.ms", "1000"]]) },
    ]),
  );
  assert.equal(created?.errorCode, undefined);
  assert.deepEqual([created?.partitionCount, created?.replicationFactor], [3, 1]);
  const retention = created?.settings.find(({ name }) => name === "retention.ms");
  assert.deepEqual([retention?.value, retention?.origin], ["1000", "topic"]);
  for (const { broker } of [world, await world.killAndOpen()]) {
    assert.equal(broker.topicNamed("orders")?.topicId, created?.topicId);
    assert.equal(broker.topicNamed("orders")?.partitions.length, 3);
    assert.equal(broker.topicNamed("orders")?.policy.retentionMs, 1000);
    assert.equal(broker.partition("orders", 2)?.index, 2);
    assert.equal(broker.partition("orders", 3), undefined);
    assert.equal(broker.partitionById(created?.topicId ?? "", 0), broker.partition("orders", 0));
  }
});

test("what cannot be made is refused one by one, and the others are made", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("taken");
  const cases: readonly (readonly [NewTopic, string | undefined])[] = [
    [{ name: "fine" }, undefined],
    [{ name: "taken" }, "topic_exists"],
    [{ name: "no/slash" }, "invalid_topic_name"],
    [{ name: "" }, "invalid_topic_name"],
    [{ name: "__consumer_offsets" }, "invalid_topic_name"],
    [{ name: "__cordwood_metadata" }, "invalid_topic_name"],
    [{ name: "none", partitionCount: 0 }, "invalid_partitions"],
    [{ name: "many", partitionCount: 10_001 }, "invalid_partitions"],
    [{ name: "copies", partitionCount: 1, replicationFactor: 0 }, "invalid_replication_factor"],
    [{ name: "three-copies", partitionCount: 1, replicationFactor: 3 }, undefined],
    [{ name: "setting", settings: new Map([["retention.mss", "1"]]) }, "invalid_config"],
    [{ name: "value", settings: new Map([["retention.ms", "soon"]]) }, "invalid_config"],
    [
      {
        name: "assigned",
        assignments: [
          { index: 1, replicas: [1] },
          { index: 0, replicas: [1] },
        ],
      },
      undefined,
    ],
    [{ name: "elsewhere", assignments: [{ index: 0, replicas: [7] }] }, "invalid_argument"],
    [{ name: "gap", assignments: [{ index: 1, replicas: [1] }] }, "invalid_argument"],
    [
      { name: "both", partitionCount: 1, assignments: [{ index: 0, replicas: [1] }] },
      "invalid_argument",
    ],
    [{ name: "twice" }, "invalid_argument"],
    [{ name: "twice" }, "invalid_argument"],
  ];
  const created = await world.run(world.broker.createTopics(cases.map(([topic]) => topic)));
  for (const [index, [topic, code]] of cases.entries()) {
    assert.equal(created[index]?.errorCode, code, `${topic.name}: ${created[index]?.errorMessage}`);
  }
  const names = world.broker.listTopics().map(({ name }) => name);
  assert.deepEqual(names, ["assigned", "fine", "taken", "three-copies"]);
  assert.equal(world.broker.topicNamed("assigned")?.partitions.length, 2);
});

test("a call that only asks changes nothing and says what would happen", async () => {
  const world = await BrokerWorld.open({ settings: { "num.partitions": "5" } });
  await world.createTopic("taken");
  const judged = await world.run(
    world.broker.createTopics([{ name: "new" }, { name: "taken" }], { validateOnly: true }),
  );
  assert.deepEqual(
    judged.map(({ errorCode, partitionCount }) => [errorCode, partitionCount]),
    [
      [undefined, 5],
      ["topic_exists", 0],
    ],
  );
  const grown = await world.run(
    world.broker.createPartitions(
      [
        { name: "taken", partitionCount: 4 },
        { name: "new", partitionCount: 4 },
      ],
      { validateOnly: true },
    ),
  );
  assert.deepEqual(
    grown.map(({ errorCode }) => errorCode),
    [undefined, "topic_not_found"],
  );
  assert.equal(world.broker.topicNamed("new"), undefined);
  assert.equal(world.broker.topicNamed("taken")?.partitions.length, 1);
});

test("topics are described by name and by id, and unknown ones say which they are", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders", 2);
  const topicId = world.broker.topicNamed("orders")?.topicId ?? "";
  const unknownId = "0b0f9d0a-51f8-4c55-a4f6-0d6f5c1f7a10";
  const described = world.broker.describeTopics([
    { name: "orders" },
    { topicId },
    { name: "gone" },
    { topicId: unknownId },
  ]);
  assert.deepEqual(
    described.map(({ name, topicId: id, errorCode, partitions }) => [
      name,
      id,
      errorCode,
      partitions.length,
    ]),
    [
      ["orders", topicId, undefined, 2],
      ["orders", topicId, undefined, 2],
      ["gone", undefined, "topic_not_found", 0],
      [undefined, unknownId, "topic_id_not_found", 0],
    ],
  );
  assert.deepEqual(described[0]?.partitions[1], {
    index: 1,
    leader: 1,
    leaderEpoch: 1,
    replicas: [1],
    inSyncReplicas: [1],
    offlineReplicas: [],
  });
});

test("a topic made on demand has the defaults, once, and only where that is allowed", async () => {
  const world = await BrokerWorld.open({ settings: { "num.partitions": "2" } });
  const both = Promise.all([
    world.broker.autoCreateTopic("wanted"),
    world.broker.autoCreateTopic("wanted"),
  ]);
  assert.deepEqual(await world.run(both), [{}, {}]);
  assert.equal(world.broker.topicNamed("wanted")?.partitions.length, 2);
  const bad = await world.run(world.broker.autoCreateTopic("no/slash"));
  assert.equal(bad.errorCode, "invalid_topic_name");
  const strict = await BrokerWorld.open({ settings: { "auto.create.topics.enable": "false" } });
  const refused = await strict.run(strict.broker.autoCreateTopic("wanted"));
  assert.equal(refused.errorCode, "topic_not_found");
});

test("a deleted topic is gone with its records; the name made anew is another topic", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders", 3);
  const topicId = world.broker.topicNamed("orders")?.topicId;
  await world.produce("orders", 0, ["a", "b"]);
  const deleted = await world.run(
    world.broker.deleteTopics([{ name: "orders" }, { name: "orders" }, { name: "gone" }]),
  );
  assert.deepEqual(
    deleted.map(({ errorCode }) => errorCode),
    [undefined, "topic_not_found", "topic_not_found"],
  );
  assert.equal(world.broker.topicNamed("orders"), undefined);
  await world.createTopic("orders", 1);
  const reopened = await world.killAndOpen();
  assert.notEqual(reopened.broker.topicNamed("orders")?.topicId, topicId);
  assert.deepEqual(await reopened.valuesOf("orders", 0), []);
  assert.equal(reopened.broker.stats().partitions, 2, "the new one and the metadata log");
});

test("deleting can be turned off, and the broker's own topics are never deleted", async () => {
  const strict = await BrokerWorld.open({ settings: { "delete.topic.enable": "false" } });
  await strict.createTopic("orders");
  const [refused] = await strict.run(strict.broker.deleteTopics([{ name: "orders" }]));
  assert.equal(refused?.errorCode, "not_allowed");
  const world = await BrokerWorld.open();
  assert.deepEqual(await world.run(world.broker.autoCreateTopic("__consumer_offsets")), {});
  const [internal] = await world.run(world.broker.deleteTopics([{ name: "__consumer_offsets" }]));
  assert.equal(internal?.errorCode, "not_allowed");
  assert.equal(world.broker.topicNamed("__consumer_offsets")?.isInternal, true);
});

test("a topic grows and never shrinks; the old partitions keep their records", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders", 2);
  await world.produce("orders", 1, ["kept"]);
  const grown = await world.run(
    world.broker.createPartitions([{ name: "orders", partitionCount: 4 }]),
  );
  assert.equal(grown[0]?.errorCode, undefined);
  const cases = [
    [{ name: "orders", partitionCount: 4 }, "invalid_partitions"],
    [{ name: "orders", partitionCount: 3 }, "invalid_partitions"],
    [{ name: "orders", partitionCount: 6, assignments: [[1]] }, "invalid_argument"],
    [{ name: "orders", partitionCount: 5, assignments: [[2]] }, "invalid_argument"],
    [{ name: "gone", partitionCount: 4 }, "topic_not_found"],
  ] as const;
  for (const [more, code] of cases) {
    const [refused] = await world.run(world.broker.createPartitions([more]));
    assert.equal(refused?.errorCode, code);
  }
  const reopened = await world.killAndOpen();
  assert.equal(reopened.broker.topicNamed("orders")?.partitions.length, 4);
  assert.deepEqual(await reopened.valuesOf("orders", 1), ["kept"]);
});

test("a change that cannot be written is not made, and can be made when there is room", async () => {
  const { disk, state } = fillingDisk();
  const world = await BrokerWorld.open({ disk });
  state.isFull = true;
  const [refused] = await world.run(world.broker.createTopics([{ name: "orders" }]));
  assert.equal(refused?.errorCode, "storage_full");
  assert.equal(world.broker.topicNamed("orders"), undefined);
  state.isFull = false;
  await world.createTopic("orders");
  assert.equal((await world.killAndOpen()).broker.topicNamed("orders")?.partitions.length, 1);
});

test("ten thousand partitions are opened some at a time, and appear all at once", async () => {
  const world = await BrokerWorld.open();
  const { timers } = world.env;
  let turns = 0;
  let isSeenEarly = false;
  let isDone = false;
  const look = (): void => {
    turns++;
    const topic = world.broker.topicNamed("wide");
    isSeenEarly ||= topic !== undefined && topic.partitions.length < 10_000;
    if (!isDone) timers.soon(look);
  };
  timers.soon(look);
  await world.createTopic("wide", 10_000);
  assert.ok(turns >= 40, `${turns} turns: others had their turn in between`);
  assert.equal(isSeenEarly, false);
  turns = 0;
  await world.run(world.broker.deleteTopics([{ name: "wide" }]));
  isDone = true;
  assert.ok(turns >= 39, `${turns} turns while the partitions were dropped`);
});

test("many small topics of one call leave others their turn too", async () => {
  const world = await BrokerWorld.open();
  const { timers } = world.env;
  let turns = 0;
  let isDone = false;
  const look = (): void => {
    turns++;
    if (!isDone) timers.soon(look);
  };
  timers.soon(look);
  const topics = Array.from({ length: 1000 }, (_, index) => ({ name: `t${index}` }));
  const created = await world.run(world.broker.createTopics(topics));
  assert.ok(created.every(({ errorCode }) => errorCode === undefined));
  assert.ok(turns >= 100, `${turns} turns`);
  isDone = true;
  const reopened = await world.killAndOpen();
  assert.equal(reopened.broker.listTopics().length, 1000);
  const names = topics.map(({ name }) => ({ name }));
  await reopened.run(reopened.broker.deleteTopics(names));
  assert.equal(reopened.broker.listTopics().length, 0);
});

test("everything that the metadata says comes back from the checkpoint and the records after it", async () => {
  let world = await BrokerWorld.open();
  for (let round = 0; round < 4; round++) {
    await world.createTopic(`topic-${round}`, round + 1);
    if (round === 1) await world.checkpoint();
    world = round % 2 === 0 ? await world.closeAndOpen() : await world.killAndOpen();
  }
  const counts = world.broker.listTopics().map(({ name, partitions }) => [name, partitions.length]);
  assert.deepEqual(counts, [
    ["topic-0", 1],
    ["topic-1", 2],
    ["topic-2", 3],
    ["topic-3", 4],
  ]);
});
