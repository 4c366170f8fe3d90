import assert from "node:assert/strict";
import { test } from "node:test";

import { NIL_UUID } from "../../bytes/index.ts";
import type { RequestBody, ResponseOf } from "../registry.ts";
import { KafkaWorld } from "./kafka-world.test.ts";
import { numberOf } from "./wire.ts";

/** Name and error of each topic of an answer. */
function shown({ topics }: ResponseOf<"Metadata">): [string | undefined, number][] {
  return topics.map(({ name, errorCode }) => [name, errorCode]);
}

async function open(settings?: Record<string, string>): Promise<KafkaWorld> {
  const world = await KafkaWorld.open(settings);
  await world.broker.createTopics([
    { name: "a", partitionCount: 1 },
    { name: "b", partitionCount: 5 },
    { name: "c", partitionCount: 2 },
  ]);
  return world;
}

const all: [string, number][] = [
  ["a", 0],
  ["b", 0],
  ["c", 0],
];

test("an empty list asks for all topics in version 0, for none later", async () => {
  await using world = await open();
  const client = await world.client();
  assert.deepEqual(shown(await client.ask("Metadata", 0, { topics: [] })), all);
  assert.deepEqual(shown(await client.ask("Metadata", 1, { topics: [] })), []);
  assert.deepEqual(shown(await client.ask("Metadata", 1, {})), all);
  assert.deepEqual(shown(await client.ask("Metadata", 13, {})), all);
});

test("a topic is made for whoever asks for it, unless the client forbids it", async () => {
  await using world = await open();
  const client = await world.client();
  const missing = numberOf("topic_not_found");
  const ask = (name: string, allowAutoTopicCreation: boolean) =>
    client.ask("Metadata", 9, { topics: [{ name }], allowAutoTopicCreation });
  assert.deepEqual(shown(await ask("new", false)), [["new", missing]]);
  const made = await ask("new", true);
  assert.deepEqual(shown(made), [["new", 0]]);
  assert.equal(made.topics[0]?.partitions[0]?.leaderId, 1);
  assert.deepEqual(shown(await ask("no good", true)), [
    ["no good", numberOf("invalid_topic_name")],
  ]);
});

test("a broker started without automatic topics makes none", async () => {
  await using world = await open({ "auto.create.topics.enable": "false" });
  const client = await world.client();
  const answer = await client.ask("Metadata", 4, { topics: [{ name: "new" }] });
  assert.deepEqual(shown(answer), [["new", numberOf("topic_not_found")]]);
  assert.equal(world.broker.topicNamed("new"), undefined);
});

test("topics are asked for by their ids from version 12 on, and by nothing else than names before", async () => {
  await using world = await open();
  const client = await world.client();
  const unknown = "11111111-2222-4333-8444-555555555555";
  const topics = [{ topicId: world.topicId("b") }, { topicId: unknown }];
  const answer = await client.ask("Metadata", 12, { topics });
  assert.deepEqual(shown(answer), [
    ["b", 0],
    [undefined, numberOf("topic_id_not_found")],
  ]);
  assert.equal(answer.topics[1]?.topicId, unknown);
  const early = await client.ask("Metadata", 10, { topics });
  assert.deepEqual(shown(early), [
    ["", numberOf("invalid_argument")],
    ["", numberOf("invalid_argument")],
  ]);
});

test("what may be done is told to those who ask", async () => {
  await using world = await open();
  const client = await world.client();
  const asked = await client.ask("Metadata", 8, {
    topics: [{ name: "a" }],
    includeTopicAuthorizedOperations: true,
    includeClusterAuthorizedOperations: true,
  });
  assert.equal(asked.clusterAuthorizedOperations, 8096);
  assert.equal(asked.topics[0]?.topicAuthorizedOperations, 3576);
  const silent = await client.ask("Metadata", 8, { topics: [{ name: "a" }] });
  assert.equal(silent.clusterAuthorizedOperations, -2_147_483_648);
  assert.equal(silent.topics[0]?.topicAuthorizedOperations, -2_147_483_648);
});

test("topics are described page by page, and the pages make the whole", async () => {
  await using world = await open();
  const client = await world.client();
  const seen: string[] = [];
  let cursor: RequestBody<"DescribeTopicPartitions">["cursor"];
  let pages = 0;
  do {
    const page = await client.ask("DescribeTopicPartitions", 0, {
      topics: [],
      responsePartitionLimit: 3,
      cursor,
    });
    pages++;
    for (const { name, partitions } of page.topics) {
      for (const { partitionIndex } of partitions) seen.push(`${name} ${partitionIndex}`);
    }
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  assert.equal(pages, 3);
  assert.deepEqual(seen, ["a 0", "b 0", "b 1", "b 2", "b 3", "b 4", "c 0", "c 1"]);
});

test("a page that begins nowhere is refused, and a name that cannot be is told so", async () => {
  await using world = await open();
  const client = await world.client();
  const topics = [{ name: "a" }, { name: "no good" }];
  const cursor = { topicName: "a", partitionIndex: -1 };
  const refused = await client.ask("DescribeTopicPartitions", 0, { topics, cursor });
  const invalid = numberOf("invalid_argument");
  assert.deepEqual(
    refused.topics.map(({ errorCode }) => errorCode),
    [invalid, invalid],
  );
  const named = await client.ask("DescribeTopicPartitions", 0, { topics });
  assert.deepEqual(
    named.topics.map(({ name, errorCode, topicId }) => [name, errorCode, topicId !== NIL_UUID]),
    [
      ["a", 0, true],
      ["no good", numberOf("invalid_topic_name"), false],
    ],
  );
});
