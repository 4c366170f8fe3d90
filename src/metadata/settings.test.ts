import assert from "node:assert/strict";
import { test } from "node:test";

import {
  brokerSettings,
  checkTopicSettings,
  effectiveBrokerSetting,
  effectiveTopicSetting,
  type Setting,
  type SettingLayers,
  topicPolicy,
  topicSettings,
} from "./index.ts";

const none: SettingLayers = { broker: new Map(), startup: new Map() };

function topicSetting(name: string): Setting {
  const setting = topicSettings.get(name);
  assert.ok(setting, name);
  return setting;
}

const accepted: readonly [name: string, value: string][] = [
  ["cleanup.policy", "delete"],
  ["cleanup.policy", "compact"],
  ["cleanup.policy", "compact, delete"],
  ["retention.ms", "-1"],
  ["retention.ms", "9223372036854775807"],
  ["retention.ms", " 5 "],
  ["segment.bytes", "1048576"],
  ["segment.bytes", "2147483647"],
  ["min.cleanable.dirty.ratio", "0"],
  ["min.cleanable.dirty.ratio", "1.0"],
  ["preallocate", "TRUE"],
  ["follower.replication.throttled.replicas", ""],
];

for (const [name, value] of accepted) {
  test(`${name} may be "${value}"`, () => {
    assert.equal(topicSettings.check(name, value), undefined);
  });
}

const refused: readonly [name: string, value: string, message: RegExp][] = [
  ["cleanup.policy", "", /one or more of delete, compact/],
  ["cleanup.policy", "delete,drop", /"cleanup.policy" = "delete,drop"/],
  ["retention.ms", "-2", /from -1 to 9223372036854775807/],
  ["retention.ms", "9223372036854775808", /expected an integer/],
  ["retention.ms", "1h", /expected an integer/],
  ["retention.ms", "1.5", /expected an integer/],
  ["retention.ms", "", /expected an integer/],
  ["segment.bytes", "1048575", /from 1048576 to 2147483647/],
  ["segment.bytes", "2147483648", /from 1048576 to 2147483647/],
  ["min.cleanable.dirty.ratio", "1.01", /a number from 0 to 1/],
  ["min.cleanable.dirty.ratio", "NaN", /a number/],
  ["preallocate", "yes", /true or false/],
  ["message.timestamp.type", "createtime", /one of CreateTime, LogAppendTime/],
  ["retention.mss", "1", /did you mean "retention.ms"\?/],
  ["retenton.bytes", "1", /did you mean "retention.bytes"\?/],
  ["toString", "1", /"toString" is not known$/],
];

for (const [name, value, message] of refused) {
  test(`${name} may not be "${value}"`, () => {
    const fault = topicSettings.check(name, value);
    assert.equal(fault?.code, "invalid_config");
    assert.match(fault.message, message);
  });
}

test("the two compaction lags must agree with each other", () => {
  assert.equal(checkTopicSettings(lags("5", "5")), undefined);
  assert.match(checkTopicSettings(lags("6", "5"))?.message ?? "", /may not be above/);
});

test("a value is taken from the topic, else from all brokers, else from the start, else by default", () => {
  const setting = topicSetting("retention.ms");
  const layers: SettingLayers = {
    topic: new Map([["retention.ms", "1"]]),
    broker: new Map([["log.retention.ms", "2"]]),
    startup: new Map([["log.retention.minutes", "3"]]),
  };
  assert.deepEqual(effectiveTopicSetting(setting, layers), {
    value: "1",
    source: "topic",
    synonyms: [
      { name: "retention.ms", value: "1", source: "topic" },
      { name: "log.retention.ms", value: "2", source: "broker" },
      { name: "log.retention.minutes", value: "3", source: "startup" },
      { name: "log.retention.hours", value: "168", source: "default" },
    ],
  });
  const { broker, startup } = layers;
  assert.deepEqual(pick(setting, { broker, startup }), ["2", "broker"]);
  assert.deepEqual(pick(setting, { broker: new Map(), startup }), ["180000", "startup"]);
  assert.deepEqual(pick(setting, none), ["604800000", "default"]);
});

test("hours below zero are never, in milliseconds too", () => {
  const startup = new Map([["log.retention.hours", "-1"]]);
  assert.deepEqual(pick(topicSetting("retention.ms"), { broker: new Map(), startup }), [
    "-1",
    "startup",
  ]);
});

function lags(least: string, most: string): Map<string, string> {
  return new Map([
    ["min.compaction.lag.ms", least],
    ["max.compaction.lag.ms", most],
  ]);
}

function pick(setting: Setting, layers: SettingLayers): [string | undefined, string] {
  const { value, source } = effectiveTopicSetting(setting, layers);
  return [value, source];
}

test("a broker's setting has the sources of the broker only", () => {
  const setting = brokerSettings.get("message.max.bytes");
  assert.ok(setting);
  const layers = {
    broker: new Map([["message.max.bytes", "7"]]),
    startup: new Map([["message.max.bytes", "8"]]),
  };
  const effective = effectiveBrokerSetting(setting, layers);
  assert.deepEqual([effective.value, effective.source], ["7", "broker"]);
  assert.deepEqual(
    effective.synonyms.map(({ value }) => value),
    ["7", "8", "1048588"],
  );
});

test("a broker's setting without a value has none", () => {
  const setting = brokerSettings.get("log.retention.ms");
  assert.ok(setting);
  assert.deepEqual(effectiveBrokerSetting(setting, none), {
    value: undefined,
    source: "default",
    synonyms: [],
  });
});

test("a topic's default is its broker setting's default, in the topic's unit", () => {
  for (const setting of topicSettings.rows) {
    for (const { name } of setting.brokerNames)
      assert.ok(brokerSettings.get(name), `${setting.name}: ${name}`);
    const [first] = setting.brokerNames.filter(
      ({ name }) => brokerSettings.get(name)?.defaultValue !== undefined,
    );
    if (first === undefined) continue;
    const product = brokerSettings.get(first.name)?.defaultValue ?? "";
    const expected = first.unit === 1 ? product : String(Number(product) * first.unit);
    assert.equal(setting.defaultValue, expected, setting.name);
  }
});

test("the policy of a topic without settings is the default one", () => {
  assert.deepEqual(topicPolicy(none), {
    isTrimmed: true,
    isCompacted: false,
    compaction: {
      deleteRetentionMs: 86_400_000,
      lagMinMs: 0,
      lagMaxMs: Number.MAX_SAFE_INTEGER,
      dirtyRatioMin: 0.5,
    },
    retentionMs: 604_800_000,
    retentionBytes: undefined,
    retentionRecords: undefined,
    batchBytesMax: 1_048_588,
    timestampType: "create-time",
    timestampBeforeMsMax: Number.MAX_SAFE_INTEGER,
    timestampAfterMsMax: 3_600_000,
  });
});

test("the policy follows every setting that is said to be used", () => {
  const values = new Map([
    ["cleanup.policy", "compact"],
    ["delete.retention.ms", "7"],
    ["min.compaction.lag.ms", "8"],
    ["max.compaction.lag.ms", "9"],
    ["min.cleanable.dirty.ratio", "0.25"],
    ["retention.ms", "-1"],
    ["retention.bytes", "10"],
    ["max.message.bytes", "11"],
    ["message.timestamp.type", "LogAppendTime"],
    ["message.timestamp.before.max.ms", "12"],
    ["message.timestamp.after.max.ms", "13"],
    ["cordwood.retention.records", "14"],
  ]);
  assert.deepEqual(
    topicSettings.rows.filter(({ isUsed }) => isUsed).map(({ name }) => name),
    [...values.keys()].toSorted(),
  );
  assert.deepEqual(topicPolicy({ ...none, topic: values }), {
    isTrimmed: false,
    isCompacted: true,
    compaction: { deleteRetentionMs: 7, lagMinMs: 8, lagMaxMs: 9, dirtyRatioMin: 0.25 },
    retentionMs: undefined,
    retentionBytes: 10,
    retentionRecords: 14,
    batchBytesMax: 11,
    timestampType: "log-append-time",
    timestampBeforeMsMax: 12,
    timestampAfterMsMax: 13,
  });
});

test("a stored value that this version does not accept counts as not set", () => {
  assert.equal(
    topicPolicy({ ...none, topic: new Map([["retention.ms", "soon"]]) }).retentionMs,
    604_800_000,
  );
});

test("values of other types are read", () => {
  const values = new Map([
    ["preallocate", "True"],
    ["min.cleanable.dirty.ratio", "0.25"],
  ]);
  assert.equal(topicSettings.boolean("preallocate", values), true);
  assert.equal(topicSettings.number("min.cleanable.dirty.ratio", values), 0.25);
});
