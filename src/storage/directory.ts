/** A store's directory: who it is, who holds it, and where its files lie. */
import { uuidToString } from "../bytes/index.ts";
import type { Disk, DiskLock, Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { FRAME_MAGIC_BYTES } from "./frame.ts";

const STORE_FORMAT_VERSION = 1;
const IDENTITY_FILE = "cordwood.json";
const LOCK_FILE = "lock";

export interface StoreIdentity {
  /** A UUID, made with the directory and never changed. */
  readonly storeId: string;
  /** Starts every WAL frame of this store; nobody outside can guess it. */
  readonly frameMagic: Uint8Array;
  readonly createdMs: number;
}

export interface StorePaths {
  readonly root: string;
  readonly wal: string;
  readonly segments: string;
  readonly checkpoints: string;
}

export function storePaths(root: string): StorePaths {
  return {
    root,
    wal: `${root}/wal`,
    segments: `${root}/segments`,
    checkpoints: `${root}/checkpoints`,
  };
}

/** A directory that this process alone may write. */
export interface HeldDirectory {
  readonly identity: StoreIdentity;
  readonly paths: StorePaths;
  readonly lock: DiskLock;
}

/**
 * Takes a directory for writing, and makes it a store where it is new or empty.
 * @throws LogError `directory_in_use`, `directory_not_writable`, `format_unknown`, `format_newer`, `data_corrupt`.
 */
export async function holdDirectory(env: Env, root: string): Promise<HeldDirectory> {
  const { disk } = env;
  const paths = storePaths(root);
  const lock = takeLock(disk, root);
  try {
    const identity = disk.exists(`${root}/${IDENTITY_FILE}`)
      ? readIdentity(disk, root)
      : await makeIdentity(env, paths);
    for (const path of [paths.wal, paths.segments, paths.checkpoints]) disk.makeDirectory(path);
    // Here or by a process that was killed before it could: names that are seen are not durable yet.
    await disk.syncDirectory(paths.checkpoints);
    await disk.syncDirectory(root);
    // The directory itself may be new.
    await disk.syncDirectory(parentOf(root));
    return { identity, paths, lock };
  } catch (error) {
    lock.release();
    throw error;
  }
}

function takeLock(disk: Disk, root: string): DiskLock {
  let lock: DiskLock | undefined;
  try {
    disk.makeDirectory(root);
    lock = disk.lock(`${root}/${LOCK_FILE}`);
  } catch (error) {
    throw new LogError(
      "directory_not_writable",
      `${root} cannot be written: ${error instanceof Error ? error.message : String(error)}. Give this user the right to write there, or choose another directory.`,
      { cause: error },
    );
  }
  if (lock !== undefined) return lock;
  throw new LogError(
    "directory_in_use",
    `${root} is in use by another process. Stop that one first, or choose another directory.`,
  );
}

/**
 * Keeps others from opening a store for writing while it is looked at. Undefined where there is nothing to lock
 * or no right to: a copy on a medium that cannot be written.
 */
export function lockForLook(disk: Disk, root: string): DiskLock | "in use" | undefined {
  if (!disk.exists(`${root}/${LOCK_FILE}`)) return undefined;
  try {
    return disk.lock(`${root}/${LOCK_FILE}`) ?? "in use";
  } catch {
    return undefined;
  }
}

/**
 * Reads who a store is, without taking it.
 * @throws LogError `format_unknown`, `format_newer`, `data_corrupt`.
 */
export function readIdentity(disk: Disk, root: string): StoreIdentity {
  const path = `${root}/${IDENTITY_FILE}`;
  if (!disk.exists(path)) {
    throw new LogError(
      "format_unknown",
      `${root} is not a Cordwood store: it has no ${IDENTITY_FILE}.`,
    );
  }
  const fields = parseIdentity(readText(disk, path), path);
  if (fields.version > STORE_FORMAT_VERSION) {
    throw new LogError(
      "format_newer",
      `${path} has store format ${fields.version}; this version reads up to ${STORE_FORMAT_VERSION}. Use the newer version that wrote it.`,
    );
  }
  return fields;
}

/** A whole file as text. */
export function readText(disk: Disk, path: string): string {
  const file = disk.open(path, "read");
  try {
    const bytes = new Uint8Array(file.size());
    file.read(bytes, 0);
    return new TextDecoder().decode(bytes);
  } finally {
    file.close();
  }
}

function parseIdentity(text: string, path: string): StoreIdentity & { readonly version: number } {
  let fields: Partial<Record<string, unknown>> = {};
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null) fields = { ...parsed };
  } catch {
    // What is no JSON has no fields either.
  }
  const { format, version, storeId, frameMagic, createdMs } = fields;
  const isKnown =
    format === "cordwood" &&
    typeof version === "number" &&
    typeof storeId === "string" &&
    typeof frameMagic === "string" &&
    /^[0-9a-f]+$/.test(frameMagic) &&
    frameMagic.length === FRAME_MAGIC_BYTES * 2 &&
    typeof createdMs === "number";
  if (!isKnown) {
    throw new LogError(
      "data_corrupt",
      `${path} is damaged. Nothing was changed. Restore it from a backup: every WAL file of the store repeats its store id and frame magic.`,
    );
  }
  const magic = new Uint8Array(Buffer.from(frameMagic, "hex"));
  return { version, storeId, frameMagic: magic, createdMs };
}

async function makeIdentity(env: Env, paths: StorePaths): Promise<StoreIdentity> {
  const { disk } = env;
  const { root } = paths;
  const foreign = disk.list(root).filter((name) => !isLeftover(name));
  if (foreign.length > 0) {
    throw new LogError(
      "format_unknown",
      `${root} is not empty (${foreign.slice(0, 3).join(", ")}) and not a Cordwood store. Choose an empty directory, or one that does not exist yet.`,
    );
  }
  const frameMagic = new Uint8Array(FRAME_MAGIC_BYTES);
  // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- not an array's fill: random bytes
  env.random.fill(frameMagic);
  // A zero would let zero-filled space look like the start of a frame.
  for (let i = 0; i < frameMagic.length; i++) frameMagic[i] = (frameMagic[i] ?? 0) | 0x80;
  const identity = {
    storeId: uuidToString(env.random.uuid()),
    frameMagic,
    createdMs: env.clock.wallMs(),
  };
  const text = `${JSON.stringify({
    format: "cordwood",
    version: STORE_FORMAT_VERSION,
    storeId: identity.storeId,
    frameMagic: Buffer.from(frameMagic).toString("hex"),
    createdMs: identity.createdMs,
  })}\n`;
  const unfinished = `${root}/${IDENTITY_FILE}.unfinished`;
  if (disk.exists(unfinished)) disk.remove(unfinished);
  const file = disk.open(unfinished, "create");
  file.write([new TextEncoder().encode(text)], 0);
  await file.sync();
  file.close();
  for (const path of [paths.wal, paths.segments, paths.checkpoints]) disk.makeDirectory(path);
  disk.rename(unfinished, `${root}/${IDENTITY_FILE}`);
  return identity;
}

/** What a start that died on the way to the identity may leave, and nothing else. */
function isLeftover(name: string): boolean {
  const made = [LOCK_FILE, `${LOCK_FILE}-journal`, `${IDENTITY_FILE}.unfinished`];
  return made.includes(name) || ["wal", "segments", "checkpoints", "lost+found"].includes(name);
}

/** Where the name of a directory lies. */
export function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}
