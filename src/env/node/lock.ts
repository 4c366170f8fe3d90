import { closeSync, existsSync, openSync } from "node:fs";
import type * as sqlite from "node:sqlite";

import type { DiskLock } from "../env.ts";

// Node offers no file lock. SQLite's exclusive transaction takes one of the kernel's (fcntl, or its
// like on Windows), which ends with the process whatever ends it. A file with a process id in it
// would have to be believed or deleted by hand after a crash.

const SQLITE_BUSY = 5;
/** Flag letters of the errors below the primary code live above the first byte. */
const PRIMARY_CODE = 0xff;

/** Undefined where another process, or this one, holds the lock. */
export function takeLock(path: string, fileMode: number): DiskLock | undefined {
  makeFile(path, fileMode);
  const database = new (loadSqlite().DatabaseSync)(path);
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (thrown) {
    database.close();
    if (isBusy(thrown)) return undefined;
    throw thrown;
  }
  return {
    release() {
      if (database.isOpen) database.close();
    },
  };
}

/**
 * SQLite would make the file with the mode of the umask. One that exists is not even opened: POSIX
 * drops the locks of a process on a file as soon as it closes any descriptor of that file.
 */
function makeFile(path: string, fileMode: number): void {
  if (!existsSync(path)) closeSync(openSync(path, "wx", fileMode));
}

/** At first use: a program without a directory needs none of it. */
function loadSqlite(): typeof sqlite {
  return process.getBuiltinModule("node:sqlite");
}

function isBusy(thrown: unknown): boolean {
  if (!(thrown instanceof Error) || !("errcode" in thrown)) return false;
  return typeof thrown.errcode === "number" && (thrown.errcode & PRIMARY_CODE) === SQLITE_BUSY;
}
