/**
 * The embedded library: a store, or a single log, in the program that uses it.
 *
 * Promises that what a resolved promise says is as durable as the store's setting, that values are
 * what their schema says or refused by path, and that a store costs the program nothing it does not
 * use: this folder is loaded when the first store is opened. Refuses to know any protocol. Start
 * reading at {@link LogStore}, then `topic.ts`; the package's door is `src/index.ts`.
 */
export { restoreFrom } from "./backup.ts";
export type { FileLimits, NewTopicOptions } from "./engine.ts";
export {
  LogStore,
  type SchemaTopicOptions,
  type StoreOptions,
  type TopicOptions,
} from "./log-store.ts";
export type { Log, LogAppendOptions, LogDurability, LogStats } from "./log.ts";
export type { LogReader } from "./log-reader.ts";
export type { LogRecord, LogScan } from "./log-scan.ts";
export {
  type LogOptions,
  type LogReaderOptions,
  openLogToRead,
  openLogToWrite,
} from "./open-log.ts";
export type { FollowOptions, ReadableLog, ScanOptions } from "./readable-log.ts";
export type { ReadFrom } from "./read-from.ts";
export type { TopicRecord } from "./record-reader.ts";
export type {
  SchemaInput,
  SchemaOutput,
  StandardIssue,
  StandardResult,
  StandardSchema,
} from "./standard-schema.ts";
export type {
  Position,
  RecordBatch,
  RecordOf,
  SubscribeOptions,
  Subscription,
} from "./subscription.ts";
export type {
  Appended,
  AppendHeaders,
  AppendManyOptions,
  AppendOptions,
  OffsetRange,
  ReadableTopic,
  ReadTopicOptions,
  Topic,
} from "./topic.ts";
export type { BackupReport, RestoreReport, VerifyReport } from "../storage/index.ts";
export type { CodecName, ValueCodec } from "./value-codec.ts";
