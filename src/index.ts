/**
 * Cordwood in your program: `open` for a store with topics, `openLog` for a single fast log.
 *
 * This file loads nothing but the error class; the engine, or the client of a server, is loaded when the first store is opened.
 *
 * @example
 * import { open } from "cordwood";
 *
 * await using store = await open("file:./data");
 * const orders = await store.topic("orders", { codec: "json" });
 * await orders.append({ id: "o-1", total: 12 });
 */
import type { RemoteStoreOptions } from "./client/index.ts";
import { LogError } from "./errors/index.ts";
import type {
  Log,
  LogOptions,
  LogReader,
  LogReaderOptions,
  RestoreReport,
  StoreOptions,
} from "./library/index.ts";
import type { CopyOptions, Store } from "./values/index.ts";

export { LogError };
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
// What a store is, wherever it is.
export type * from "./client.ts";

/**
 * Opens a store: `memory:` for one that ends with the program, `file:./data` for a directory, which
 * is made where there is none, `http://HOST:PORT` or `https://HOST` for that of a server.
 * @throws LogError invalid_argument, unsupported, directory_in_use, directory_not_writable, format_unknown, format_newer, data_corrupt, unreachable.
 */
export async function open(url: string, options: OpenOptions = {}): Promise<Store> {
  if (/^https?:/i.test(url)) {
    refuse(options, embeddedOptions, `is for the server of ${url} to say`);
    const { RemoteStore } = await import("./client/index.ts");
    return RemoteStore.open(url, options);
  }
  refuse(options, remoteOptions, "is for http: and https:");
  const [library, { localEnv }] = await Promise.all([
    import("./library/index.ts"),
    import("./env/node/local.ts"),
  ]);
  return library.LogStore.open(localEnv({ timersHoldProcess: false }), url, options);
}

/** Of a store in this program, or of a connection to a server: which, is told at each. */
export type OpenOptions = StoreOptions & RemoteStoreOptions;

const embeddedOptions = ["durability", "compression", "files", "settings", "onFailure"] as const;
const remoteOptions = ["patienceMs", "headers"] as const;

function refuse(options: OpenOptions, names: readonly (keyof OpenOptions)[], why: string): void {
  const given = names.find((name) => options[name] !== undefined);
  if (given === undefined) return;
  throw new LogError("invalid_argument", `the option ${given} ${why}`);
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
