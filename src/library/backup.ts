/** Copies of a store or a log in another directory. */
import type { Disk, Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { backupStore, type RestoreReport, restoreStore } from "../storage/index.ts";
import type { BackupReport } from "../values/index.ts";
import { storePlace } from "./store-url.ts";

/**
 * Brings the backup in the directory `to` up to date with what `from` holds, which may be in use.
 * @throws LogError unsupported, invalid_argument, format_unknown, storage_full, storage_failed.
 */
export function backupTo(
  { env, directory }: { readonly env: { readonly disk: Disk }; readonly directory: string },
  from: string,
  to: string,
): Promise<BackupReport> {
  if (storePlace(from).kind === "memory") {
    throw new LogError("unsupported", "what is in memory has no backup: copy its records");
  }
  return backupStore(env.disk, directory, directoryOf(to));
}

/** Makes a directory, that must be empty or not exist, of the newest complete backup. @throws LogError as the backup. */
export function restoreFrom(env: Env, from: string, to: string): Promise<RestoreReport> {
  return restoreStore(env.disk, directoryOf(from), directoryOf(to));
}

function directoryOf(url: string): string {
  const place = storePlace(url);
  if (place.kind === "directory") return place.path;
  throw new LogError("unsupported", `${url}: a backup is made in a directory`);
}
