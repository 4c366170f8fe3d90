/**
 * What a store is to a program, wherever the store is: topics, records, values, subscriptions.
 *
 * Promises that the embedded store and the one behind HTTP take and give the same, and that all of
 * it runs in a browser: nothing here needs Node. Refuses to know where records are kept and how they
 * travel. Start reading at `store.ts`, the interfaces; `typed-values.ts` is what makes bytes of
 * values and values of bytes.
 */
export { abortError } from "./abort-error.ts";
export { runCallback } from "./callback.ts";
export { murmur2, partitionOfKey } from "./murmur2.ts";
export { refuseOtherCount, topicSettings } from "./new-topic.ts";
export { appendPlaced, type PartitionSink, placeValues } from "./placed-values.ts";
export { parsePoint, parseRange, type Point, type Range, rangeHelp } from "./range.ts";
export { outOfRange, type ReadFrom, timestampOf, wholeOffset } from "./read-from.ts";
export type {
  SchemaInput,
  SchemaOutput,
  StandardIssue,
  StandardResult,
  StandardSchema,
} from "./standard-schema.ts";
export type {
  AnyTopicOptions,
  Appended,
  AppendHeaders,
  AppendManyOptions,
  AppendOptions,
  BackupOptions,
  BackupReport,
  CompactedPartition,
  CompactionProgress,
  CompactionReport,
  CompactTopicOptions,
  CopyOptions,
  CopyProgress,
  HistogramReading,
  Metrics,
  NewTopicOptions,
  OffsetRange,
  Position,
  ReadableTopic,
  ReadTopicOptions,
  RecordBatch,
  RecordHeader,
  RecordOf,
  SchemaTopicOptions,
  Store,
  StoreStats,
  SubscribeOptions,
  Subscription,
  Topic,
  TopicOptions,
  TopicRecord,
} from "./store.ts";
export {
  type BatchReader,
  StoreSubscriptions,
  type SubscribedReading,
  type SubscriptionSource,
} from "./subscription.ts";
export { TypedValues, type ValueSpot } from "./typed-values.ts";
export type { CodecName, EncodedValue, TextForm, ValueCodec } from "./value-codec.ts";
export { vouched } from "./vouched.ts";
