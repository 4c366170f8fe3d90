/** Copies of a store or a log in another directory. */
import type { Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { backupStore, type RestoreReport, restoreStore } from "../storage/index.ts";
import {
  abortError,
  type BackupOptions,
  type BackupReport,
  type CopyOptions,
  runCallback,
} from "../values/index.ts";
import { storePlace } from "./store-url.ts";

const INTERVAL_MS = 1000;
/** The write-ahead log is copied anew in each round, and segments once: with more than this in it a round makes segments first. */
const COPIED_WAL_BYTES_MAX = 8 << 20;

/** What a backup asks of the store or log that it is of. */
export interface BackedUp {
  readonly env: Env;
  readonly directory: string;
  /** As the user named it. */
  readonly place: string;
  /** Aborted when the store is closed or has failed. */
  readonly ending: AbortSignal;
  /** Puts into the files whatever was appended. */
  settle(): Promise<void>;
  checkpoint(): Promise<void>;
  /** Frames that were written since the store was opened, and bytes of the write-ahead log now. */
  counts(): { readonly frames: number; readonly walBytes: number };
}

/**
 * Brings the backup in the directory `to` up to date with what `from` holds, which may be in use, and
 * keeps it so where the options say `follow`.
 * @throws LogError unsupported, invalid_argument, format_unknown, storage_full, storage_failed, cancelled, handler_failed, closed.
 */
export async function backupTo(
  from: BackedUp,
  to: string,
  options: BackupOptions,
): Promise<BackupReport> {
  if (storePlace(from.place).kind === "memory") {
    throw new LogError("unsupported", "what is in memory has no backup: copy its records");
  }
  const directory = directoryOf(to);
  if (options.follow === true) return follow(from, directory, options);
  await from.settle();
  return backupStore(from.env.disk, from.directory, directory, options);
}

async function follow(
  from: BackedUp,
  directory: string,
  options: BackupOptions,
): Promise<BackupReport> {
  const { signal, progress, completed, intervalMs = INTERVAL_MS } = options;
  for (;;) {
    // What is appended from here on is met by the next round, and by the last one if the signal comes meanwhile.
    const isLast = isAborted(signal);
    await from.settle();
    const { frames, walBytes } = from.counts();
    if (walBytes > COPIED_WAL_BYTES_MAX) await from.checkpoint();
    const report = await backupStore(from.env.disk, from.directory, directory, { progress });
    runCallback(
      () => "the callback of a completed backup",
      () => completed?.(report),
    );
    if (isLast) return report;
    const isChanged = (): boolean => isAborted(signal) || from.counts().frames !== frames;
    do await pause(from, intervalMs, signal);
    while (!isChanged());
  }
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

/** Resolves after a time, or when the signal comes. @throws LogError closed, and why the store has failed. */
function pause(
  { env, ending }: BackedUp,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      timer.cancel();
      signal?.removeEventListener("abort", end);
      ending.removeEventListener("abort", end);
      if (ending.aborted) reject(abortError(ending));
      else resolve();
    };
    const timer = env.timers.after(ms, end);
    signal?.addEventListener("abort", end, { once: true });
    ending.addEventListener("abort", end, { once: true });
    if (isAborted(signal) || ending.aborted) end();
  });
}

/** Makes a directory, that must be empty or not exist, of the newest complete backup. @throws LogError as the backup. */
// oxlint-disable-next-line max-params -- the machine, from where to where, and how
export function restoreFrom(
  env: Env,
  from: string,
  to: string,
  options: CopyOptions = {},
): Promise<RestoreReport> {
  return restoreStore(env.disk, directoryOf(from), directoryOf(to), options);
}

function directoryOf(url: string): string {
  const place = storePlace(url);
  if (place.kind === "directory") return place.path;
  throw new LogError("unsupported", `${url}: a backup is made in a directory`);
}
