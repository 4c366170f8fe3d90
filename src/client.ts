/**
 * Cordwood in a browser, and wherever a server is at the other end: `open` for its store.
 *
 * The interface is that of `cordwood` itself. Nothing here needs Node.
 *
 * @example
 * import { open } from "cordwood/client";
 *
 * await using store = await open("http://127.0.0.1:8080");
 * const orders = await store.topic("orders", { codec: "json" });
 * await orders.append({ id: "o-1", total: 12 });
 */
import { RemoteStore, type RemoteStoreOptions } from "./client/index.ts";
import type { Store } from "./values/index.ts";

export type { RemoteStoreOptions } from "./client/index.ts";
export type { ErrorCode } from "./errors/index.ts";
export { LogError } from "./errors/index.ts";
export type {
  Appended,
  AppendHeaders,
  AppendManyOptions,
  AppendOptions,
  BackupOptions,
  BackupReport,
  CodecName,
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
  ReadFrom,
  ReadTopicOptions,
  RecordBatch,
  RecordHeader,
  RecordOf,
  SchemaInput,
  SchemaOutput,
  SchemaTopicOptions,
  StandardIssue,
  StandardResult,
  StandardSchema,
  Store,
  StoreStats,
  SubscribeOptions,
  Subscription,
  Topic,
  TopicOptions,
  TopicRecord,
  ValueCodec,
} from "./values/index.ts";

/**
 * Opens the store of a server: `http://HOST:PORT`, or `https://HOST`.
 * @throws LogError invalid_argument, unreachable, protocol_violation.
 */
export function open(url: string, options?: RemoteStoreOptions): Promise<Store> {
  return RemoteStore.open(url, options);
}
