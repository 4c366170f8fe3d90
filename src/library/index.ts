/**
 * The embedded library: a store, or a single log, in the program that uses it.
 *
 * Promises that what a resolved promise says is as durable as the store's setting, that values are
 * what their schema says or refused by path, and that a store costs the program nothing it does not
 * use: this folder is loaded when the first store is opened. Refuses to know any protocol. Start
 * reading at {@link LogStore}, then `topic.ts`; the package's door is `src/index.ts`.
 */
export { restoreFrom } from "./backup.ts";
export type { FileLimits } from "./engine.ts";
export { LogStore, type StoreOptions } from "./log-store.ts";
export type { Log, LogAppendOptions, LogDurability, LogStats } from "./log.ts";
export type { LogReader } from "./log-reader.ts";
export type { LogRecord, LogScan } from "./log-scan.ts";
export {
  type LogCompaction,
  type LogOptions,
  type LogReaderOptions,
  openLogToRead,
  openLogToWrite,
} from "./open-log.ts";
export type { FollowOptions, ReadableLog, ScanOptions } from "./readable-log.ts";
export type { RestoreReport, VerifyReport } from "../storage/index.ts";
