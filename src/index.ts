/**
 * Cordwood in your program: `open` for a store with topics, `openLog` for a single fast log.
 *
 * This file loads nothing but the error class; the engine is loaded when the first store is opened.
 *
 * @example
 * import { open } from "cordwood";
 *
 * await using store = await open("file:./data");
 * const orders = await store.topic("orders", { codec: "json" });
 * await orders.append({ id: "o-1", total: 12 });
 */
import type {
  Log,
  LogOptions,
  LogReader,
  LogReaderOptions,
  RestoreReport,
  StoreOptions,
} from "./library/index.ts";
import type { CopyOptions, Store } from "./values/index.ts";

export type { ErrorCode } from "./errors/index.ts";
export { LogError } from "./errors/index.ts";
export type {
  FileLimits,
  FollowOptions,
  Log,
  LogAppendOptions,
  LogCompaction,
  LogDurability,
  LogOptions,
  LogReader,
  LogReaderOptions,
  LogRecord,
  LogScan,
  LogStats,
  ReadableLog,
  RestoreReport,
  ScanOptions,
  StoreOptions,
  VerifyReport,
} from "./library/index.ts";
export type { Codec } from "./records/index.ts";
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
 * Opens a store: `memory:` for one that ends with the program, `file:./data` for a directory, which
 * is made where there is none.
 * @throws LogError invalid_argument, unsupported, directory_in_use, directory_not_writable, format_unknown, format_newer, data_corrupt.
 */
export async function open(url: string, options?: StoreOptions): Promise<Store> {
  const [library, { localEnv }] = await Promise.all([
    import("./library/index.ts"),
    import("./env/node/local.ts"),
  ]);
  return library.LogStore.open(localEnv({ timersHoldProcess: false }), url, options);
}

/**
 * Opens a single log of bytes in a directory, or in memory with `memory:`; appending and reading are
 * synchronous. With `readonly` beside whoever writes it.
 * @throws LogError directory_in_use, directory_not_writable, format_unknown, format_newer, data_corrupt, topic_not_found.
 */
export function openLog(place: string, options: LogReaderOptions): Promise<LogReader>;
export function openLog(place: string, options?: LogOptions): Promise<Log>;
export async function openLog(
  place: string,
  options: LogOptions | LogReaderOptions = {},
): Promise<Log | LogReader> {
  const [library, { localEnv }] = await Promise.all([
    import("./library/index.ts"),
    import("./env/node/local.ts"),
  ]);
  if (options.readonly === true) return library.openLogToRead(localEnv(), place, options);
  return library.openLogToWrite(localEnv({ timersHoldProcess: false }), place, options);
}

/**
 * Makes a directory, which must be empty or not exist, of the newest backup in another one.
 * @throws LogError format_unknown, format_newer, data_corrupt, storage_full, storage_failed, cancelled, handler_failed.
 */
export async function restore(
  from: string,
  to: string,
  options?: CopyOptions,
): Promise<RestoreReport> {
  const [library, { localEnv }] = await Promise.all([
    import("./library/index.ts"),
    import("./env/node/local.ts"),
  ]);
  return library.restoreFrom(localEnv(), from, to, options);
}
