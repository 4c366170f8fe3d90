import assert from "node:assert/strict";
import { test } from "node:test";

import { NIL_UUID } from "../../bytes/index.ts";
import type { RequestBody } from "../registry.ts";
import { batchOf, KafkaWorld } from "./kafka-world.test.ts";
import { numberOf } from "./wire.ts";

const invalid = numberOf("invalid_argument");
const unsupported = numberOf("unsupported");

type NewTopic = RequestBody<"CreateTopics">["topics"][number];

const newTopic = (name: string, more: Partial<NewTopic> = {}): NewTopic => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
  ...more,
});

test("each topic of a request is made or refused for itself", async () => {
  await using world = await KafkaWorld.open();
  const client = await world.client();
  const one = [{ partitionIndex: 0, brokerIds: [1] }];
  const rows: readonly (readonly [topic: NewTopic, code: number])[] = [
    [newTopic("plain"), 0],
    [newTopic("defaults", { numPartitions: -1, replicationFactor: -1 }), 0],
    [newTopic("assigned", { numPartitions: -1, replicationFactor: -1, assignments: one }), 0],
    [newTopic("both-ways", { assignments: one }), invalid],
    [
      newTopic("one-place-twice", {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [...one, ...one],
      }),
      invalid,
    ],
    [newTopic("none", { numPartitions: 0 }), numberOf("invalid_partitions")],
    [newTopic("less", { numPartitions: -2 }), numberOf("invalid_partitions")],
    [newTopic("copies", { replicationFactor: -2 }), numberOf("invalid_replication_factor")],
    [newTopic("empty", { configs: [{ name: "retention.ms" }] }), numberOf("invalid_config")],
    [
      newTopic("odd", { configs: [{ name: "retention.ms", value: "soon" }] }),
      numberOf("invalid_config"),
    ],
    [
      newTopic("again", {
        configs: [
          { name: "retention.ms", value: "1" },
          { name: "retention.ms", value: "2" },
        ],
      }),
      invalid,
    ],
  ];
  const twins = [newTopic("twin"), newTopic("twin", { numPartitions: 2 })];
  const answer = await client.ask("CreateTopics", 7, {
    topics: [...rows.map(([topic]) => topic), ...twins],
  });
  const codes = new Map(answer.topics.map((topic) => [topic.name, topic]));
  for (const [{ name }, code] of rows) {
    const topic = codes.get(name);
    assert.equal(topic?.errorCode, code, name);
    assert.equal(world.broker.topicNamed(name) !== undefined, code === 0, name);
    assert.equal(topic?.numPartitions, code === 0 ? 1 : -1, name);
  }
  assert.equal(answer.topics.length, rows.length + 1, "a topic asked for twice is answered once");
  assert.equal(codes.get("twin")?.errorCode, invalid);
});

test("a topic that is only validated is not there, and its settings are told", async () => {
  await using world = await KafkaWorld.open();
  const client = await world.client();
  const topics = [newTopic("maybe", { configs: [{ name: "retention.ms", value: "7" }] })];
  const answer = await client.ask("CreateTopics", 7, { topics, validateOnly: true });
  const [topic] = answer.topics;
  assert.equal(topic?.errorCode, 0);
  assert.equal(topic?.configs?.find(({ name }) => name === "retention.ms")?.value, "7");
  assert.equal(world.broker.topicNamed("maybe"), undefined);
});

test("a topic to delete is named by its name or by its id, once", async () => {
  await using world = await KafkaWorld.open();
  await world.broker.createTopics([{ name: "a" }, { name: "b" }, { name: "c" }]);
  const client = await world.client();
  const topicId = world.topicId("a");
  const { responses } = await client.ask("DeleteTopics", 6, {
    topics: [
      { topicId },
      { name: "b", topicId: world.topicId("b") },
      { name: "c", topicId: NIL_UUID },
      { name: "c", topicId: NIL_UUID },
      { topicId: "11111111-2222-4333-8444-555555555555" },
    ],
    timeoutMs: 1000,
  });
  const codes = responses.map(({ name, errorCode }) => [name, errorCode] as const);
  assert.deepEqual(
    codes.toSorted((left, right) => left[1] - right[1]),
    [
      ["a", 0],
      ["b", invalid],
      ["c", invalid],
      ["c", invalid],
      [undefined, numberOf("topic_id_not_found")],
    ],
  );
  assert.deepEqual(
    world.broker.listTopics().map(({ name }) => name),
    ["b", "c"],
  );
});

test("negative times ask for places, each from the version on that knows it", async () => {
  await using world = await KafkaWorld.open();
  await world.broker.createTopics([{ name: "t", partitionCount: 1 }]);
  const client = await world.client();
  // The second record has the largest time.
  for (const [value, timestampMs] of [
    ["a", 1000],
    ["b", 3000],
    ["c", 2000],
  ] as const) {
    const partitionData = [{ index: 0, records: batchOf([value], { timestampMs }) }];
    const topicData = [{ name: "t", partitionData }];
    await client.ask("Produce", 9, { acks: -1, timeoutMs: 1000, topicData });
  }
  const rows = [
    // version, time asked for, error, offset, time
    [1, -1, 0, 3, -1],
    [1, -2, 0, 0, -1],
    [6, -3, unsupported, -1, -1],
    [7, -3, 0, 1, 3000],
    [7, -4, unsupported, -1, -1],
    [8, -4, 0, 0, -1],
    [8, -5, unsupported, -1, -1],
    [9, -5, 0, -1, -1],
    [10, -6, unsupported, -1, -1],
    [11, -6, 0, -1, -1],
    [11, -7, unsupported, -1, -1],
    [6, 0, 0, 0, 1000],
    [6, 1500, 0, 1, 3000],
    [6, 9000, 0, -1, -1],
  ] as const;
  for (const [version, timestamp, errorCode, offset, found] of rows) {
    const partitions = [{ partitionIndex: 0, timestamp }];
    const { topics } = await client.ask("ListOffsets", version, {
      replicaId: -1,
      topics: [{ name: "t", partitions }],
    });
    const [answer] = topics[0]?.partitions ?? [];
    const told = [answer?.errorCode, answer?.offset, answer?.timestamp];
    assert.deepEqual(told, [errorCode, offset, found], `v${version} at ${timestamp}`);
  }
});

test("offsets are not listed for replicas, twice at once, or for another epoch", async () => {
  await using world = await KafkaWorld.open();
  await world.broker.createTopics([{ name: "t", partitionCount: 2 }]);
  const client = await world.client();
  const latest = { partitionIndex: 0, timestamp: -1 };
  const ask = async (body: RequestBody<"ListOffsets">): Promise<number[]> => {
    const { topics } = await client.ask("ListOffsets", 5, body);
    return topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
  };
  const from = (replicaId: number, partitions: readonly (typeof latest)[]) =>
    ask({ replicaId, topics: [{ name: "t", partitions }] });
  assert.deepEqual(await from(3, [latest]), [numberOf("not_allowed")]);
  const other = { partitionIndex: 1, timestamp: -1 };
  assert.deepEqual(await from(-1, [latest, other, latest]), [invalid, 0, invalid]);
  const old = { ...latest, currentLeaderEpoch: 0 };
  assert.deepEqual(await from(-1, [old]), [numberOf("leader_epoch_fenced")]);
});

const set = (name: string, value: string | undefined, configOperation = 0) => ({
  name,
  value,
  configOperation,
});

test("a change of settings is refused where it contradicts itself, and nothing of it is done", async () => {
  await using world = await KafkaWorld.open();
  await world.broker.createTopics([{ name: "t" }, { name: "u" }]);
  const client = await world.client();
  const rows = [
    ["t", [set("retention.ms", "5")], 0],
    ["u", [set("retention.ms", "5"), set("retention.ms", undefined, 1)], invalid],
    ["u", [set("retention.ms", undefined)], invalid],
    ["u", [set("retention.ms", "5", 4)], invalid],
    ["u", [set("retention.ms", "5", 2)], numberOf("invalid_config")],
    ["u", [set("cleanup.policy", "compact", 2)], 0],
  ] as const;
  for (const [resourceName, configs, code] of rows) {
    const resources = [{ resourceType: 2, resourceName, configs }];
    const body = { resources, validateOnly: false };
    const { responses } = await client.ask("IncrementalAlterConfigs", 1, body);
    assert.equal(responses[0]?.errorCode, code, JSON.stringify(configs));
  }
  const valueOf = (topic: string, name: string): string | undefined =>
    world.broker.describeConfigs([{ kind: "topic", name: topic, names: [name] }])[0]?.settings[0]
      ?.value;
  assert.equal(valueOf("t", "retention.ms"), "5");
  assert.equal(valueOf("u", "cleanup.policy"), "delete,compact");

  // The same resource twice: neither is done.
  const twice = { resourceType: 2, resourceName: "t", configs: [set("retention.ms", "6")] };
  const body = { resources: [twice, twice], validateOnly: false };
  const { responses } = await client.ask("IncrementalAlterConfigs", 1, body);
  assert.deepEqual(
    responses.map(({ errorCode }) => errorCode),
    [invalid],
  );
  assert.equal(valueOf("t", "retention.ms"), "5");
});

test("settings of things that have none here are refused by name", async () => {
  await using world = await KafkaWorld.open();
  const client = await world.client();
  const resources = [8, 16, 32, 99].map((resourceType) => ({ resourceType, resourceName: "x" }));
  const { results } = await client.ask("DescribeConfigs", 4, { resources });
  assert.deepEqual(
    results.map(({ errorCode }) => errorCode),
    [unsupported, unsupported, unsupported, invalid],
  );
  const listed = await client.ask("ListConfigResources", 1, { resourceTypes: [99] });
  assert.equal(listed.errorCode, unsupported);
  const loggers = await client.ask("ListConfigResources", 1, { resourceTypes: [8, 16, 32] });
  assert.deepEqual([loggers.errorCode, loggers.configResources], [0, []]);
});

test("controllers are not listed on the port of brokers", async () => {
  await using world = await KafkaWorld.open();
  const client = await world.client();
  const answer = await client.ask("DescribeCluster", 1, {
    includeClusterAuthorizedOperations: false,
    endpointType: 2,
  });
  assert.equal(answer.errorCode, invalid);
  assert.match(answer.errorMessage ?? "", /endpoint type 2/);
});

test("a client that names itself with what is no word is refused", async () => {
  await using world = await KafkaWorld.open();
  const client = await world.client();
  const ask = (clientSoftwareName: string, clientSoftwareVersion: string) =>
    client.ask("ApiVersions", 3, { clientSoftwareName, clientSoftwareVersion });
  assert.equal((await ask("apache-kafka-java", "4.3.1")).errorCode, 0);
  assert.equal((await ask("", "1")).errorCode, invalid);
  assert.equal((await ask("a b", "1")).errorCode, invalid);
});
