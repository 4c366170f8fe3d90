/**
 * Topics and settings as one state, replayed from a log of commands.
 *
 * Promises: the state is a pure function of the commands, a command that cannot be done is answered
 * and never thrown, and whatever was written is read by every later version or refused by name.
 * Refuses to know: where the log lies, who may change it, what a partition is. Also the table of
 * settings with their defaults and ranges, and the canonical JSON that logs of this kind are
 * written in. Start reading at `metadata-state.ts`; the format is docs/formats/metadata-log.md.
 */
export { decodeJson, encodeJson, Fields, type Json } from "./canonical-json.ts";
export {
  type Applied,
  type Command,
  decodeCommand,
  encodeCommand,
  type Rejected,
  type Topic,
} from "./commands.ts";
export { MetadataState, partitionsPerTopicMax, producerIdBlockMax } from "./metadata-state.ts";
export {
  brokerSettings,
  checkTopicSettings,
  effectiveBrokerSetting,
  effectiveTopicSetting,
  type SettingLayers,
  type TopicPolicy,
  topicPolicy,
  topicSettings,
} from "./settings.ts";
export type {
  Effective,
  Setting,
  SettingSource,
  SettingsTable,
  SettingType,
} from "./settings-table.ts";
export { checkTopicName, metadataTopicId } from "./topic-name.ts";
