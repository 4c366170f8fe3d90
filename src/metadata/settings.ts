import { brokerSettingRows } from "./broker-settings.ts";
import type { Rejected } from "./commands.ts";
import { type Effective, type Setting, SettingsTable } from "./settings-table.ts";
import { topicSettingRows } from "./topic-settings.ts";

/** Every setting of a broker that tools may see. */
export const brokerSettings = new SettingsTable("broker", brokerSettingRows);
/** Every setting of a topic. */
export const topicSettings = new SettingsTable("topic", topicSettingRows);

/** Where values may come from, the strongest first: the topic, then what was set for all brokers at run time, then what this broker was started with. */
export interface SettingLayers {
  /** Absent when the broker's own settings are asked for. */
  readonly topic?: ReadonlyMap<string, string>;
  /** Set at run time for all brokers: {@link MetadataState.brokerSettings}. */
  readonly broker: ReadonlyMap<string, string>;
  /** Given to this broker when it was started. */
  readonly startup: ReadonlyMap<string, string>;
}

/** Whether a topic may have these settings, all of them together; undefined when it may. */
export function checkTopicSettings(settings: ReadonlyMap<string, string>): Rejected | undefined {
  for (const [name, value] of settings) {
    const fault = topicSettings.check(name, value);
    if (fault !== undefined) return fault;
  }
  const lagMin = topicSettings.number("min.compaction.lag.ms", settings);
  const lagMax = topicSettings.number("max.compaction.lag.ms", settings);
  if (lagMin <= lagMax) return undefined;
  return {
    kind: "rejected",
    code: "invalid_config",
    message: `topic setting "min.compaction.lag.ms" = ${lagMin} may not be above "max.compaction.lag.ms" = ${lagMax}`,
  };
}

/** What holds for one setting of a topic, and everything that it could have been taken from. */
export function effectiveTopicSetting(setting: Setting, layers: SettingLayers): Effective {
  const synonyms: Effective["synonyms"][number][] = [];
  const own = layers.topic?.get(setting.name);
  if (own !== undefined) synonyms.push({ name: setting.name, value: own, source: "topic" });
  for (const { name } of setting.brokerNames) {
    const value = layers.broker.get(name);
    if (value !== undefined) synonyms.push({ name, value, source: "broker" });
  }
  for (const { name } of setting.brokerNames) {
    const value = layers.startup.get(name);
    if (value !== undefined) synonyms.push({ name, value, source: "startup" });
  }
  for (const { name } of setting.brokerNames) {
    const value = brokerSettings.get(name)?.defaultValue;
    if (value !== undefined) synonyms.push({ name, value, source: "default" });
  }
  const first = synonyms[0];
  if (first === undefined || first.source === "default") {
    return { value: setting.defaultValue, source: "default", synonyms };
  }
  return { value: inUnitOf(setting, first.name, first.value), source: first.source, synonyms };
}

/** What holds for one setting of the broker itself. */
export function effectiveBrokerSetting(setting: Setting, layers: SettingLayers): Effective {
  const synonyms: Effective["synonyms"][number][] = [];
  const { name, defaultValue } = setting;
  const atRunTime = layers.broker.get(name);
  if (atRunTime !== undefined) synonyms.push({ name, value: atRunTime, source: "broker" });
  const atStart = layers.startup.get(name);
  if (atStart !== undefined) synonyms.push({ name, value: atStart, source: "startup" });
  if (defaultValue !== undefined) synonyms.push({ name, value: defaultValue, source: "default" });
  const first = synonyms[0];
  return { value: first?.value, source: first?.source ?? "default", synonyms };
}

/** Hours and minutes of the broker's setting become the topic's milliseconds. */
function inUnitOf(setting: Setting, givenName: string, value: string): string {
  const unit = setting.brokerNames.find((synonym) => synonym.name === givenName)?.unit ?? 1;
  if (unit === 1 || givenName === setting.name) return value;
  const product = BigInt(value) * BigInt(unit);
  return product < 0n ? "-1" : product.toString();
}

/** The settings of a topic that the product acts upon, ready for use. */
export interface TopicPolicy {
  /** Old records are removed by age and size; a topic with `cleanup.policy=compact` alone keeps them. */
  readonly isTrimmed: boolean;
  readonly isCompacted: boolean;
  readonly compaction: {
    /** How long a tombstone is kept, from the first compaction on that meets it. */
    readonly deleteRetentionMs: number;
    /** Records are left alone for so long. */
    readonly lagMinMs: number;
    /** And then compacted after so long at the latest. */
    readonly lagMaxMs: number;
    /** Share of a partition's bytes that may be uncompacted, between 0 and 1. */
    readonly dirtyRatioMin: number;
  };
  /** Undefined is for ever. */
  readonly retentionMs: number | undefined;
  /** Of each partition; undefined is without limit. */
  readonly retentionBytes: number | undefined;
  /** Of each partition, the newest so many offsets; undefined is without limit. */
  readonly retentionRecords: number | undefined;
  /** Largest batch as sent, in bytes. */
  readonly batchBytesMax: number;
  readonly timestampType: "create-time" | "log-append-time";
  /** How far a record's time may lie before the broker's clock. */
  readonly timestampBeforeMsMax: number;
  /** How far a record's time may lie after the broker's clock. */
  readonly timestampAfterMsMax: number;
}

/** What holds for a topic in effect. */
export function topicPolicy(layers: SettingLayers): TopicPolicy {
  const values = new Map<string, string>();
  for (const setting of topicSettings.rows) {
    const { value } = effectiveTopicSetting(setting, layers);
    if (value !== undefined) values.set(setting.name, value);
  }
  const policies = topicSettings.list("cleanup.policy", values);
  const retentionMs = topicSettings.number("retention.ms", values);
  const retentionBytes = topicSettings.number("retention.bytes", values);
  const retentionRecords = topicSettings.number("cordwood.retention.records", values);
  const timestampType = topicSettings.text("message.timestamp.type", values);
  return {
    isTrimmed: policies.includes("delete"),
    isCompacted: policies.includes("compact"),
    compaction: {
      deleteRetentionMs: topicSettings.number("delete.retention.ms", values),
      lagMinMs: topicSettings.number("min.compaction.lag.ms", values),
      lagMaxMs: topicSettings.number("max.compaction.lag.ms", values),
      dirtyRatioMin: topicSettings.number("min.cleanable.dirty.ratio", values),
    },
    retentionMs: retentionMs < 0 ? undefined : retentionMs,
    retentionBytes: retentionBytes < 0 ? undefined : retentionBytes,
    retentionRecords: retentionRecords < 0 ? undefined : retentionRecords,
    batchBytesMax: topicSettings.number("max.message.bytes", values),
    timestampType: timestampType === "LogAppendTime" ? "log-append-time" : "create-time",
    timestampBeforeMsMax: topicSettings.number("message.timestamp.before.max.ms", values),
    timestampAfterMsMax: topicSettings.number("message.timestamp.after.max.ms", values),
  };
}
