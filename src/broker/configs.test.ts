import assert from "node:assert/strict";
import { test } from "node:test";

import { BrokerWorld } from "./broker-world.test.ts";
import type { SettingChange, SettingDescription } from "./topic-verbs.ts";

function settingOf(
  { broker }: BrokerWorld,
  kind: "topic" | "broker",
  name: string,
  setting: string,
): SettingDescription | undefined {
  const [described] = broker.describeConfigs([{ kind, name, names: [setting] }]);
  return described?.settings[0];
}

async function alter(
  world: BrokerWorld,
  kind: "topic" | "broker",
  name: string,
  ...changes: SettingChange[]
): Promise<string | undefined> {
  const [changed] = await world.run(world.broker.alterConfigs([{ kind, name, changes }]));
  return changed?.errorCode;
}

test("a setting of a topic is taken from the topic, the broker, its start, or the default", async () => {
  const world = await BrokerWorld.open({ settings: { "log.retention.ms": "3000" } });
  await world.createTopic("orders");
  const origin = (): unknown => {
    const { value, origin: from } = settingOf(world, "topic", "orders", "retention.ms") ?? {};
    return [value, from, world.broker.topicNamed("orders")?.policy.retentionMs];
  };
  assert.deepEqual(origin(), ["3000", "startup", 3000]);
  const set = { kind: "set" } as const;
  await alter(world, "broker", "", { ...set, name: "log.retention.ms", value: "2000" });
  assert.deepEqual(origin(), ["2000", "broker-default", 2000]);
  await alter(world, "topic", "orders", { ...set, name: "retention.ms", value: "1000" });
  assert.deepEqual(origin(), ["1000", "topic", 1000]);
  const synonyms = settingOf(world, "topic", "orders", "retention.ms")?.synonyms;
  assert.deepEqual(synonyms?.map(({ value, origin: from }) => [value, from]).slice(0, 3), [
    ["1000", "topic"],
    ["2000", "broker-default"],
    ["3000", "startup"],
  ]);
  await alter(world, "topic", "orders", { kind: "delete", name: "retention.ms" });
  await alter(world, "broker", "", { kind: "delete", name: "log.retention.ms" });
  assert.deepEqual(origin(), ["3000", "startup", 3000]);
});

test("settings survive a restart and hold for partitions at once", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders", 2);
  const change = { kind: "set", name: "max.message.bytes", value: "100" } as const;
  assert.equal(await alter(world, "topic", "orders", change), undefined);
  for (const at of [world, await world.killAndOpen()]) {
    const outcome = at.append("orders", 1, ["x".repeat(200)]);
    assert.equal(outcome.kind === "refused" && outcome.code, "record_too_large");
  }
});

test("records are kept by count where a topic says so, also after a restart", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders");
  const name = "cordwood.retention.records";
  const counts = (at: BrokerWorld): unknown => [
    settingOf(at, "topic", "orders", name)?.value,
    at.broker.topicNamed("orders")?.policy.retentionRecords,
  ];
  assert.deepEqual(counts(world), ["-1", undefined]);
  for (const value of ["-2", "many", "1.5"]) {
    const [changed] = await world.run(
      world.broker.alterConfigs([
        { kind: "topic", name: "orders", changes: [{ kind: "set", name, value }] },
      ]),
    );
    assert.equal(changed?.errorCode, "invalid_config");
    assert.match(changed.errorMessage ?? "", /"cordwood.retention.records" = .*an integer from -1/);
  }
  await alter(world, "topic", "orders", { kind: "set", name, value: "3" });
  assert.deepEqual(counts(world), ["3", 3]);
  assert.deepEqual(counts(await world.killAndOpen()), ["3", 3]);
});

test("lists are added to and taken from", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders");
  const name = "cleanup.policy";
  await alter(world, "topic", "orders", { kind: "append", name, value: "compact" });
  assert.equal(settingOf(world, "topic", "orders", name)?.value, "delete,compact");
  await alter(world, "topic", "orders", { kind: "append", name, value: "compact" });
  assert.equal(settingOf(world, "topic", "orders", name)?.value, "delete,compact");
  await alter(world, "topic", "orders", { kind: "subtract", name, value: "delete" });
  assert.equal(settingOf(world, "topic", "orders", name)?.value, "compact");
  const policy = world.broker.topicNamed("orders")?.policy;
  assert.deepEqual([policy?.isCompacted, policy?.isTrimmed], [true, false]);
});

test("a replacement sets what it names and unsets the rest", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders");
  const set = { kind: "set" } as const;
  await alter(world, "topic", "orders", { ...set, name: "retention.ms", value: "1000" });
  await alter(world, "topic", "orders", { ...set, name: "segment.bytes", value: "2000000" });
  const settings = new Map([["retention.ms", "5000"]]);
  await world.run(world.broker.replaceConfigs([{ kind: "topic", name: "orders", settings }]));
  assert.equal(settingOf(world, "topic", "orders", "retention.ms")?.value, "5000");
  assert.equal(settingOf(world, "topic", "orders", "segment.bytes")?.origin, "default");
});

test("a change that is wrong changes nothing and names what is wrong", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders");
  const set = { kind: "set" } as const;
  const cases: readonly (readonly ["topic" | "broker", string, SettingChange[], string])[] = [
    ["topic", "orders", [{ ...set, name: "retention.ms", value: "x" }], "invalid_config"],
    ["topic", "orders", [{ ...set, name: "unheard.of", value: "1" }], "invalid_config"],
    ["topic", "gone", [{ ...set, name: "retention.ms", value: "1" }], "topic_not_found"],
    ["topic", "orders", [{ kind: "append", name: "retention.ms", value: "1" }], "invalid_config"],
    [
      "topic",
      "orders",
      [
        { ...set, name: "retention.ms", value: "1" },
        { kind: "delete", name: "retention.ms" },
      ],
      "invalid_argument",
    ],
    ["broker", "77", [{ ...set, name: "log.retention.ms", value: "1" }], "invalid_argument"],
    ["broker", "1", [{ ...set, name: "num.partitions", value: "9" }], "invalid_config"],
  ];
  for (const [kind, name, changes, code] of cases) {
    assert.equal(await alter(world, kind, name, ...changes), code, JSON.stringify(changes));
  }
  assert.equal(settingOf(world, "topic", "orders", "retention.ms")?.origin, "default");
});

test("a change that is only asked about is judged and not made", async () => {
  const world = await BrokerWorld.open();
  await world.createTopic("orders");
  const changes = ["1", "x"].map((value) => ({
    kind: "topic" as const,
    name: "orders",
    changes: [{ kind: "set" as const, name: "retention.ms", value }],
  }));
  const judged = await world.run(world.broker.alterConfigs(changes, { validateOnly: true }));
  assert.deepEqual(
    judged.map(({ errorCode }) => errorCode),
    [undefined, "invalid_config"],
  );
  assert.equal(settingOf(world, "topic", "orders", "retention.ms")?.origin, "default");
});

test("all settings are described where none is named, those of the broker with what it was started with", async () => {
  const world = await BrokerWorld.open({ settings: { "num.partitions": "6" } });
  await world.createTopic("orders");
  const [topic, broker, gone] = world.broker.describeConfigs([
    { kind: "topic", name: "orders" },
    { kind: "broker", name: "1" },
    { kind: "topic", name: "gone" },
  ]);
  assert.ok((topic?.settings.length ?? 0) > 20);
  const partitions = broker?.settings.find(({ name }) => name === "num.partitions");
  assert.deepEqual(
    [partitions?.value, partitions?.origin, partitions?.isReadOnly],
    ["6", "startup", true],
  );
  assert.equal(gone?.errorCode, "topic_not_found");
});

test("a broker is not started with settings that it does not know", async () => {
  await assert.rejects(BrokerWorld.open({ settings: { "num.partition": "6" } }), {
    code: "invalid_config",
  });
});
