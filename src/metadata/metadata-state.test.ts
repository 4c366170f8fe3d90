import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as fc from "fast-check";

import { LogError } from "../errors/index.ts";
import {
  type Command,
  decodeCommand,
  encodeCommand,
  metadataTopicId,
  MetadataState,
  partitionsPerTopicMax,
  producerIdBlockMax,
} from "./index.ts";

const idOf = (n: number): string => `11111111-0000-4000-8000-${String(n).padStart(12, "0")}`;

function createTopic(
  name: string,
  changes: Partial<Command & { kind: "create-topic" }> = {},
): Command {
  return {
    kind: "create-topic",
    name,
    topicId: idOf(name.length),
    partitionCount: 3,
    settings: new Map(),
    isInternal: false,
    createdMs: 1_760_000_000_000,
    ...changes,
  };
}

function replay(commands: readonly Command[]): MetadataState {
  const state = new MetadataState();
  for (const [offset, command] of commands.entries()) state.apply(command, offset);
  return state;
}

test("a created topic is found by name and by id", () => {
  const state = replay([createTopic("orders")]);
  assert.equal(state.topicByName("orders")?.partitionCount, 3);
  assert.equal(state.topicById(idOf(6))?.name, "orders");
  assert.equal(state.topicByName("other"), undefined);
  assert.equal(state.nextOffset, 1);
});

test("topics are listed in the order of their names", () => {
  const state = replay([createTopic("bb"), createTopic("a"), createTopic("ccc")]);
  assert.deepEqual(
    state.topics().map(({ name }) => name),
    ["a", "bb", "ccc"],
  );
});

test("a topic without `.` finds no topic whose name collides with it", () => {
  const state = replay([createTopic("a.b")]);
  assert.equal(state.topicByName("a_b"), undefined);
});

const refusals: readonly [why: string, command: Command, code: string, message: RegExp][] = [
  ["the name is taken", createTopic("orders", { topicId: idOf(9) }), "topic_exists", /orders/],
  [
    "the names collide",
    createTopic("a_b", { topicId: idOf(9) }),
    "invalid_topic_name",
    /collides with topic "a.b"/,
  ],
  ["the name is empty", createTopic(""), "invalid_topic_name", /empty/],
  ["the name is a directory", createTopic(".."), "invalid_topic_name", /"\.\."/],
  ["the name is too long", createTopic("x".repeat(250)), "invalid_topic_name", /250 characters/],
  ["the name has a space", createTopic("a b"), "invalid_topic_name", /letters and digits/],
  ["the name is reserved", createTopic("__cordwood_metadata"), "invalid_topic_name", /reserved/],
  ["the id is taken", createTopic("news", { topicId: idOf(6) }), "invalid_argument", /taken/],
  [
    "the id is reserved",
    createTopic("news", { topicId: metadataTopicId }),
    "invalid_argument",
    /reserved/,
  ],
  [
    "no partitions",
    createTopic("news", { partitionCount: 0 }),
    "invalid_partitions",
    /0 partitions/,
  ],
  [
    "the topic is not there",
    { kind: "delete-topic", topicId: idOf(77) },
    "topic_not_found",
    /0077/,
  ],
  [
    "fewer partitions",
    { kind: "add-partitions", topicId: idOf(6), partitionCount: 2 },
    "invalid_partitions",
    /has 3 partitions/,
  ],
  [
    "as many partitions",
    { kind: "add-partitions", topicId: idOf(6), partitionCount: 3 },
    "invalid_partitions",
    /only grows/,
  ],
  [
    "partitions of no topic",
    { kind: "add-partitions", topicId: idOf(77), partitionCount: 9 },
    "topic_not_found",
    /0077/,
  ],
  [
    "settings of no topic",
    { kind: "set-topic-settings", topicId: idOf(77), set: new Map(), remove: [] },
    "topic_not_found",
    /0077/,
  ],
  [
    "an empty block",
    { kind: "allocate-producer-ids", count: 0 },
    "invalid_argument",
    /0 producer ids/,
  ],
  [
    "a block beyond 53 bits",
    { kind: "allocate-producer-ids", count: Number.MAX_SAFE_INTEGER + 1 },
    "invalid_argument",
    /producer ids/,
  ],
];

for (const [why, command, code, message] of refusals) {
  test(`check and apply reject a command: ${why}`, () => {
    const state = replay([createTopic("orders"), createTopic("a.b")]);
    const before = state.snapshot();
    const checked = state.check(command);
    assert.equal(checked?.code, code);
    assert.match(checked.message, message);
    const applied = state.apply(command, 2);
    assert.equal(applied.kind === "rejected" ? applied.code : applied.kind, code);
    const after = new TextDecoder().decode(state.snapshot());
    assert.equal(after.replace('"offset":3', '"offset":2'), new TextDecoder().decode(before));
  });
}

const unwise: readonly [why: string, command: Command, code: string][] = [
  [
    "too many partitions",
    createTopic("news", { partitionCount: partitionsPerTopicMax + 1 }),
    "invalid_partitions",
  ],
  [
    "growing too far",
    { kind: "add-partitions", topicId: idOf(6), partitionCount: partitionsPerTopicMax + 1 },
    "invalid_partitions",
  ],
  [
    "a setting that is not known",
    createTopic("news", { settings: new Map([["x", "1"]]) }),
    "invalid_config",
  ],
  [
    "a bad value",
    {
      kind: "set-topic-settings",
      topicId: idOf(6),
      set: new Map([["retention.ms", "-2"]]),
      remove: [],
    },
    "invalid_config",
  ],
  [
    "a bad value for brokers",
    { kind: "set-broker-settings", set: new Map([["message.max.bytes", "x"]]), remove: [] },
    "invalid_config",
  ],
  [
    "a setting of the start",
    { kind: "set-broker-settings", set: new Map(), remove: ["num.partitions"] },
    "invalid_config",
  ],
  [
    "a large block",
    { kind: "allocate-producer-ids", count: producerIdBlockMax + 1 },
    "invalid_argument",
  ],
  ["deleting what the product keeps", { kind: "delete-topic", topicId: idOf(18) }, "not_allowed"],
];

for (const [why, command, code] of unwise) {
  test(`check refuses what apply must accept from another version: ${why}`, () => {
    const state = replay([
      createTopic("orders"),
      createTopic("__consumer_offsets", { isInternal: true }),
    ]);
    assert.equal(state.check(command)?.code, code);
    assert.notEqual(state.apply(command, 2).kind, "rejected");
  });
}

test("check lets through what is right, up to each limit", () => {
  const state = replay([createTopic("orders")]);
  const right: Command[] = [
    createTopic("x".repeat(249), { topicId: idOf(1), partitionCount: partitionsPerTopicMax }),
    { kind: "delete-topic", topicId: idOf(6) },
    { kind: "add-partitions", topicId: idOf(6), partitionCount: 4 },
    {
      kind: "set-topic-settings",
      topicId: idOf(6),
      set: new Map([["retention.ms", "1"]]),
      remove: ["no.such"],
    },
    { kind: "set-broker-settings", set: new Map([["message.max.bytes", "1"]]), remove: [] },
    { kind: "allocate-producer-ids", count: producerIdBlockMax },
  ];
  for (const command of right) assert.equal(state.check(command), undefined, command.kind);
});

test("a deleted topic's name is free for another topic", () => {
  const state = replay([createTopic("orders"), { kind: "delete-topic", topicId: idOf(6) }]);
  assert.equal(state.topicCount, 0);
  assert.equal(state.apply(createTopic("orders", { topicId: idOf(7) }), 2).kind, "topic-created");
});

test("settings are removed before they are set, and the old topic is told", () => {
  const state = replay([
    createTopic("orders", {
      settings: new Map([
        ["retention.ms", "5"],
        ["flush.ms", "1"],
      ]),
    }),
  ]);
  const applied = state.apply(
    {
      kind: "set-topic-settings",
      topicId: idOf(6),
      set: new Map([["retention.ms", "7"]]),
      remove: ["flush.ms", "retention.ms"],
    },
    1,
  );
  assert.ok(applied.kind === "topic-settings-set");
  assert.deepEqual([...applied.topic.settings], [["retention.ms", "7"]]);
  assert.equal(applied.before.settings.get("flush.ms"), "1");
});

test("partitions grow", () => {
  const state = replay([createTopic("orders")]);
  const applied = state.apply({ kind: "add-partitions", topicId: idOf(6), partitionCount: 5 }, 1);
  assert.ok(applied.kind === "partitions-added");
  assert.deepEqual([applied.before.partitionCount, applied.topic.partitionCount], [3, 5]);
});

test("blocks of producer ids never overlap", () => {
  const state = new MetadataState();
  assert.deepEqual(state.apply({ kind: "allocate-producer-ids", count: 1000 }, 0), {
    kind: "producer-ids-allocated",
    firstProducerId: 0,
    count: 1000,
  });
  assert.deepEqual(state.apply({ kind: "allocate-producer-ids", count: 5 }, 1), {
    kind: "producer-ids-allocated",
    firstProducerId: 1000,
    count: 5,
  });
});

test("an entry is not applied twice", () => {
  const state = replay([createTopic("orders")]);
  assert.throws(() => state.apply(createTopic("b"), 0), { name: "InvariantError" });
});

const names = fc.constantFrom("a", "b.c", "b_c", "orders", "");
const settings = fc
  .dictionary(fc.constantFrom("retention.ms", "cleanup.policy", "__proto__", "ü"), fc.string())
  .map((object) => new Map(Object.entries(object)));
const topicIds = fc.integer({ min: 0, max: 5 }).map(idOf);
const commands: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    kind: fc.constant("create-topic" as const),
    name: names,
    topicId: topicIds,
    partitionCount: fc.integer({ min: 0, max: 5 }),
    settings,
    isInternal: fc.boolean(),
    createdMs: fc.nat(),
  }),
  fc.record({ kind: fc.constant("delete-topic" as const), topicId: topicIds }),
  fc.record({
    kind: fc.constant("add-partitions" as const),
    topicId: topicIds,
    partitionCount: fc.integer({ min: 0, max: 9 }),
  }),
  fc.record({
    kind: fc.constant("set-topic-settings" as const),
    topicId: topicIds,
    set: settings,
    remove: fc.array(fc.string()),
  }),
  fc.record({
    kind: fc.constant("set-broker-settings" as const),
    set: settings,
    remove: fc.array(fc.string()),
  }),
  fc.record({
    kind: fc.constant("allocate-producer-ids" as const),
    count: fc.integer({ min: -1, max: 100 }),
  }),
);

test("a command is read as it was written", () => {
  fc.assert(
    fc.property(commands, (command) => {
      assert.deepEqual(decodeCommand(encodeCommand(command)), { ...command });
    }),
  );
});

test("replay of written entries, from the start or from a snapshot, gives the same state", () => {
  fc.assert(
    fc.property(fc.array(commands, { maxLength: 40 }), fc.nat(40), (list, cut) => {
      const live = replay(list);
      const decoded = list.map((command) => decodeCommand(encodeCommand(command)));
      const restored = MetadataState.restore(replay(decoded.slice(0, cut)).snapshot());
      for (const [index, command] of decoded.entries()) {
        if (index >= cut) restored.apply(command, index);
      }
      assert.equal(restored.hash(), live.hash());
      assert.deepEqual(restored.topics(), live.topics());
    }),
  );
});

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const damaged: readonly [why: string, text: string, code: string][] = [
  ["nothing", "", "data_corrupt"],
  ["half an object", '{"v":1,', "data_corrupt"],
  ["a list", "[]", "data_corrupt"],
  ["null", "null", "data_corrupt"],
  ["no version", '{"kind":"delete-topic"}', "data_corrupt"],
  ["a version that never was", '{"v":0,"kind":"delete-topic"}', "data_corrupt"],
  ["a newer version", '{"v":2,"anything":1}', "format_newer"],
  ["an unknown kind", '{"v":1,"kind":"drop-topic"}', "data_corrupt"],
  ["a missing member", '{"v":1,"kind":"delete-topic"}', "data_corrupt"],
  ["a bad id", '{"v":1,"kind":"delete-topic","topicId":"X"}', "data_corrupt"],
  [
    "a surplus member",
    `{"v":1,"kind":"delete-topic","topicId":"${idOf(1)}","x":1}`,
    "data_corrupt",
  ],
  ["a fraction", '{"v":1,"kind":"allocate-producer-ids","count":1.5}', "data_corrupt"],
  [
    "a number for a setting",
    '{"v":1,"kind":"set-broker-settings","set":{"a":1},"remove":[]}',
    "data_corrupt",
  ],
  [
    "a number among names",
    '{"v":1,"kind":"set-broker-settings","set":{},"remove":[1]}',
    "data_corrupt",
  ],
  [
    "no list of names",
    '{"v":1,"kind":"set-broker-settings","set":{},"remove":"a"}',
    "data_corrupt",
  ],
];

for (const [why, text, code] of damaged) {
  test(`an entry is refused by name: ${why}`, () => {
    assert.throws(
      () => decodeCommand(encode(text)),
      (error) => error instanceof LogError && error.code === code,
    );
  });
}

test("bytes that are not UTF-8 are refused", () => {
  assert.throws(() => decodeCommand(new Uint8Array([0x22, 0xff, 0x22])), { code: "data_corrupt" });
});

test("a snapshot with two topics of one name is refused", () => {
  const text = new TextDecoder().decode(replay([createTopic("orders")]).snapshot());
  const topic = /\{"createdMs".*?\}.*?\}/.exec(text)?.[0] ?? "";
  const doubled = text.replace(topic, `${topic},${topic}`);
  assert.notEqual(doubled, text);
  assert.throws(() => MetadataState.restore(encode(doubled)), { code: "data_corrupt" });
  assert.throws(() => MetadataState.restore(encode(text.replace('"v":1', '"v":2'))), {
    code: "format_newer",
  });
});

test("the examples of the format's page are what is written", () => {
  const page = readFileSync("docs/formats/metadata-log.md", "utf8");
  const [entry = "", snapshot = ""] = [...page.matchAll(/^\{.*\}$/gm)].map(([line]) => line);
  const command = decodeCommand(encode(entry));
  assert.equal(new TextDecoder().decode(encodeCommand(command)), entry);
  assert.equal(new TextDecoder().decode(replay([command]).snapshot()), snapshot);
});
