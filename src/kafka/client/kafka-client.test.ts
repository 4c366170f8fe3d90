import assert from "node:assert/strict";
import { test } from "node:test";

import { type Connection, memoryEnv } from "../../env/index.ts";
import { outcomes } from "../../errors/index.ts";
import { MessageWriter, sourceOf } from "../codec/writer.ts";
import { encodeResponse, RequestHeader } from "../header.ts";
import type { ResponseBody } from "../registry.ts";
import { ClientWorld, hasCode } from "./client-world.test.ts";
import { answeredError } from "./errors.ts";
import { KafkaClient } from "./kafka-client.ts";

test("topics are made, described, changed, grown and deleted", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  const { topics } = client;
  const settings = new Map([["retention.ms", "1000"]]);
  await world.run(topics.create({ name: "t", partitionCount: 2, settings }));
  await world.run(topics.create({ name: "s" }));
  const create = (name: string): Promise<void> => world.run(topics.create({ name }));
  await assert.rejects(create("t"), hasCode("topic_exists"));
  await assert.rejects(create("a b"), hasCode("invalid_topic_name"));
  await world.run(topics.create({ name: "unreal" }, { validateOnly: true }));

  const names = (await world.run(topics.list())).filter((each) => !each.isInternal);
  assert.deepEqual(
    names.map(({ name }) => name),
    ["s", "t"],
  );
  await world.run(topics.alter("t", { set: new Map([["max.message.bytes", "5000"]]) }));
  await world.run(topics.alter("t", { remove: ["retention.ms"] }));
  const own = (await world.run(topics.settings("t"))).filter(({ isOwn }) => isOwn);
  assert.deepEqual(
    own.map(({ name, value }) => [name, value]),
    [["max.message.bytes", "5000"]],
  );
  const nonsense = topics.alter("t", { set: new Map([["no.such", "1"]]) });
  await assert.rejects(world.run(nonsense), hasCode("invalid_config"));

  await world.run(topics.grow("t", 3));
  assert.equal((await world.run(topics.describe("t"))).partitions.length, 3);
  await assert.rejects(world.run(topics.grow("t", 1)), hasCode("invalid_partitions"));
  assert.equal((await world.run(topics.sizes())).get("t")?.size, 3);

  await world.run(topics.delete("t"));
  await assert.rejects(world.run(topics.describe("t")), hasCode("topic_not_found"));
  await assert.rejects(world.run(topics.settings("t")), hasCode("topic_not_found"));
  await assert.rejects(world.run(topics.delete("t")), hasCode("topic_not_found"));
});

test("offsets are found by place and time, and beginnings are moved", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount: 2 }));
  const producer = await world.run(client.produce("t"));
  for (const timestampMs of [1_000, 2_000, 3_000]) {
    void producer.send({ partition: 1, value: Buffer.from("v"), timestampMs });
  }
  await world.run(producer.flush());
  const find = async (place: Parameters<typeof client.offsets.find>[1]): Promise<unknown> => {
    const found = await world.run(client.offsets.find("t", place));
    return [...found].map(([partition, { offset }]) => [partition, offset]);
  };
  assert.deepEqual(await find("earliest"), [
    [0, 0],
    [1, 0],
  ]);
  assert.deepEqual(await find("latest"), [
    [0, 0],
    [1, 3],
  ]);
  assert.deepEqual(await find({ timeMs: 1_500 }), [
    [0, undefined],
    [1, 1],
  ]);
  assert.deepEqual(await find("newest-time"), [
    [0, undefined],
    [1, 2],
  ]);
  const starts = await world.run(client.offsets.deleteBefore("t", new Map([[1, 2]])));
  assert.deepEqual([...starts], [[1, 2]]);
  const tooFar = client.offsets.deleteBefore("t", new Map([[1, 9]]));
  await assert.rejects(world.run(tooFar), hasCode("offset_out_of_range"));
  const all = await world.run(client.offsets.deleteBefore("t", new Map([[1, undefined]])));
  assert.deepEqual([...all], [[1, 3]]);
});

test("groups are moved from outside, listed and forgotten", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  const { groups } = client;
  await world.run(client.topics.create({ name: "t", partitionCount: 2 }));
  await assert.rejects(world.run(groups.describe("g")), hasCode("group_not_found"));
  assert.deepEqual(await world.run(groups.positions("g")), []);
  await world.run(groups.commit("g", [{ topic: "t", partition: 1, offset: 5 }]));
  assert.deepEqual(await world.run(groups.positions("g")), [
    { topic: "t", partition: 1, offset: 5, metadata: "" },
  ]);
  assert.deepEqual(
    (await world.run(groups.list())).map(({ groupId }) => groupId),
    ["g"],
  );
  const member = client.member({ groupId: "g", topics: ["t"] });
  await world.run(member.join());
  const details = await world.run(groups.describe("g"));
  assert.equal(details.state, "Stable");
  assert.deepEqual(
    details.members.map(({ assignment, clientId }) => [clientId, assignment.length]),
    [["test", 2]],
  );
  await assert.rejects(world.run(groups.delete("g")), hasCode("group_not_empty"));
  await world.run(member.leave());
  await world.run(groups.delete("g"));
  await assert.rejects(world.run(groups.delete("g")), hasCode("group_not_found"));
});

test("nobody at the address is unreachable, a silent one is a timeout", async () => {
  const env = memoryEnv({ seed: 1 });
  const to = { host: "h", port: 9092, clientId: "c", requestMsMax: 2_000 };
  await assert.rejects(env.run(KafkaClient.connect(env, to)), hasCode("unreachable"));
  await env.network.listen(to, (connection) => connection.start(deaf));
  await assert.rejects(env.run(KafkaClient.connect(env, to)), hasCode("timeout"));
});

const deaf = {
  target: () => new Uint8Array(1_024),
  received() {},
  drained() {},
  closed() {},
};

test("a server that speaks something else is told from one of Kafka", async () => {
  const env = memoryEnv({ seed: 1 });
  const to = { host: "h", port: 80, clientId: "c" };
  await env.network.listen(to, (connection) =>
    connection.start({
      ...deaf,
      received: () => connection.write([Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")]),
    }),
  );
  await assert.rejects(env.run(KafkaClient.connect(env, to)), hasCode("protocol_violation"));
});

test("an older server is asked in the versions that it has", async () => {
  const env = memoryEnv({ seed: 1 });
  const asked: string[] = [];
  await env.network.listen({ host: "h", port: 9092 }, (connection) => {
    serveOld(connection, (what) => asked.push(what));
  });
  const connecting = KafkaClient.connect(env, { host: "h", port: 9092, clientId: "c" });
  const client = await env.run(connecting);
  assert.deepEqual(await env.run(client.topics.list()), []);
  // It has no such call at all.
  await assert.rejects(env.run(client.topics.settings("t")), hasCode("unsupported"));
  assert.deepEqual(asked, ["18 v5", "18 v2", "3 v4"]);
});

/** Knows ApiVersions up to 2 and Metadata up to 4; refuses other versions as Kafka does. */
function serveOld(connection: Connection, asked: (what: string) => void): void {
  const memory = Buffer.alloc(4_096);
  const header = new RequestHeader();
  connection.start({
    ...deaf,
    target: () => memory,
    received(count) {
      header.readFixed(sourceOf(memory.subarray(4, count)), 0, count - 4);
      const { apiKey, version, correlationId } = header;
      asked(`${apiKey} v${version}`);
      const writer = new MessageWriter();
      if (apiKey === 3) {
        const body = { brokers: [{ nodeId: 1, host: "h", port: 9092 }], topics: [] };
        connection.write(encodeResponse(writer, "Metadata", version, correlationId, body));
        return;
      }
      const isKnown = version <= 2;
      const body: ResponseBody<"ApiVersions"> = {
        errorCode: isKnown ? 0 : 35,
        apiKeys: [
          { apiKey: 18, minVersion: 0, maxVersion: 2 },
          ...(isKnown ? [{ apiKey: 3, minVersion: 0, maxVersion: 4 }] : []),
        ],
      };
      const spoken = isKnown ? version : 0;
      connection.write(encodeResponse(writer, "ApiVersions", spoken, correlationId, body));
    },
  });
}

test("every error of our list that a server can send comes back as one of the same number", () => {
  for (const [code, { kafka }] of Object.entries(outcomes)) {
    if (kafka < 0) continue;
    const error = answeredError(kafka, "call");
    assert.equal(outcomes[error.code].kafka, kafka, `${code} came back as ${error.code}`);
  }
});

test("an error that is not in our list keeps its number", () => {
  assert.match(answeredError(99, "call").message, /call: .*99/);
  assert.equal(answeredError(99, "call").code, "internal");
  assert.equal(answeredError(6, "call").isRetriable, true);
  assert.equal(answeredError(3, "topic t", "gone").message, "topic t: gone");
});
