/**
 * Copies of a store in another directory: made while the server runs, segment by segment only once.
 *
 * A backup keeps its segments, which never change, under their own names, and for each time it was
 * made one generation: the checkpoint of that moment and the WAL behind it. A generation counts
 * when its `complete.json` is there, which comes last; the one before goes only after that. The
 * layout is in docs/formats/backup.md.
 */
import type { Disk, DiskFile } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { abortError, type BackupReport, type CopyOptions, runCallback } from "../values/index.ts";
import {
  type Checkpoint,
  checkpointFileName,
  checkpointNumberOf,
  decodeCheckpoint,
} from "./checkpoint.ts";
import { parentOf, readIdentity, readText, type StoreIdentity, storePaths } from "./directory.ts";
import { segmentFileName, segmentNumberOf } from "./segment.ts";
import { walFileNumber } from "./wal-file.ts";
import { scanWal } from "./wal-recovery.ts";

const COPY_BYTES = 1 << 20;
/** The server may make a checkpoint, and remove what it replaces, while a copy is made; then it begins anew. */
const TRIES_MAX = 20;
const GENERATIONS = "generations";
const COMPLETE = "complete.json";
const UNFINISHED = ".unfinished";
const BACKUP_VERSION = 1;

export interface RestoreReport {
  readonly storeId: string;
  readonly generation: number;
  readonly files: number;
  readonly bytesCopied: number;
}

/** A copy came too late: the server has removed what it wanted. */
class Overtaken extends Error {}

/**
 * Brings the backup in directory `to` up to date with the store in `from`, which may be in use.
 * Everything that was acknowledged before the call is in it.
 * @throws LogError `format_unknown`, `format_newer`, `data_corrupt`, `storage_full`, `storage_failed`, `timeout`, `cancelled`, `handler_failed`.
 */
// oxlint-disable-next-line max-params -- a disk, from where to where, and how
export async function backupStore(
  disk: Disk,
  from: string,
  to: string,
  options: CopyOptions = {},
): Promise<BackupReport> {
  const { storeId } = readIdentity(disk, from);
  const copy = new Backup(disk, { from, to, options });
  copy.take(storeId);
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    try {
      return await copy.make(storeId);
    } catch (error) {
      // A frame whose write failed is written again in its place: a copy made just then is of two halves.
      const mayBeHalf = error instanceof LogError && error.code === "data_corrupt" && tries < 2;
      if (!mayBeHalf && !(error instanceof Overtaken)) throw error;
    }
  }
  throw new LogError(
    "timeout",
    `${from}: the store removed files faster than ${to} could take them, ${TRIES_MAX} times. Try again when it is less busy.`,
  );
}

/**
 * Makes a store in `to`, which must be empty or not exist, of the newest complete generation of a backup.
 * @throws LogError `format_unknown`, `format_newer`, `data_corrupt`, `storage_full`, `storage_failed`.
 */
// oxlint-disable-next-line max-params -- a disk, from where to where, and how
export async function restoreStore(
  disk: Disk,
  from: string,
  to: string,
  options: CopyOptions = {},
): Promise<RestoreReport> {
  const generations = completeGenerations(disk, from);
  const generation = generations.at(-1);
  if (generation === undefined) {
    throw new LogError("format_unknown", `${from} holds no complete backup of a store.`);
  }
  disk.makeDirectory(to);
  const foreign = disk.list(to);
  if (foreign.length > 0) {
    throw new LogError(
      "format_unknown",
      `${to} is not empty (${foreign.slice(0, 3).join(", ")}). Choose a directory that is.`,
    );
  }
  const files = new FileCopies(disk, options);
  const source = generationPath(from, generation);
  const complete = readComplete(disk, source);
  const paths = storePaths(to);
  // While it is there, and the identity is not, nobody takes the directory for a store or for an empty one.
  const marker = `${to}/restore${UNFINISHED}`;
  disk.open(marker, "create").close();
  for (const path of [paths.wal, paths.segments, paths.checkpoints]) disk.makeDirectory(path);
  const checkpoint = readCheckpoint(disk, source);
  if (checkpoint?.checkpointNumber !== complete.checkpointNumber) {
    throw incomplete(source, "its checkpoint is not the one that was backed up");
  }
  for (const segmentNumber of segmentsOf(checkpoint)) {
    const name = segmentFileName(segmentNumber);
    await files.copy(`${from}/segments/${name}`, `${paths.segments}/${name}`);
  }
  for (const name of disk.list(`${source}/wal`)) {
    await files.copy(`${source}/wal/${name}`, `${paths.wal}/${name}`);
  }
  if (checkpoint !== undefined) {
    const name = checkpointFileName(checkpoint.checkpointNumber);
    await files.copy(`${source}/${name}`, `${paths.checkpoints}/${name}`);
  }
  const frames = countFrames(disk, paths.wal, readIdentity(disk, source), checkpoint);
  if (frames < complete.frames) {
    throw incomplete(source, `its WAL has ${frames} of ${complete.frames} frames`);
  }
  for (const path of [paths.wal, paths.segments, paths.checkpoints]) await disk.syncDirectory(path);
  await files.copy(`${source}/cordwood.json`, `${to}/cordwood.json`);
  await disk.syncDirectory(to);
  disk.remove(marker);
  await disk.syncDirectory(to);
  await disk.syncDirectory(parentOf(to));
  const { storeId } = readIdentity(disk, to);
  return { storeId, generation, files: files.count, bytesCopied: files.bytes };
}

class Backup {
  readonly #disk: Disk;
  readonly #from: string;
  readonly #to: string;
  readonly #options: CopyOptions;

  constructor(
    disk: Disk,
    parts: { readonly from: string; readonly to: string; readonly options: CopyOptions },
  ) {
    this.#disk = disk;
    this.#from = parts.from;
    this.#to = parts.to;
    this.#options = parts.options;
  }

  /** Takes the directory: a new one, or one that backs up this very store. */
  take(storeId: string): void {
    const disk = this.#disk;
    const to = this.#to;
    disk.makeDirectory(to);
    const foreign = disk.list(to).filter((name) => name !== "segments" && name !== GENERATIONS);
    if (foreign.length > 0) {
      throw new LogError(
        "format_unknown",
        `${to} is not a backup (${foreign.slice(0, 3).join(", ")}). Choose an empty directory, or one that a backup made.`,
      );
    }
    disk.makeDirectory(`${to}/segments`);
    disk.makeDirectory(`${to}/${GENERATIONS}`);
    for (const generation of completeGenerations(disk, to)) {
      const other = readIdentity(disk, generationPath(to, generation)).storeId;
      if (other === storeId) continue;
      throw new LogError("format_unknown", `${to} is a backup of store ${other}, not ${storeId}.`);
    }
  }

  /** Makes one generation. @throws Overtaken */
  async make(storeId: string): Promise<BackupReport> {
    const disk = this.#disk;
    const files = new FileCopies(disk, this.#options);
    const former = completeGenerations(disk, this.#to);
    const generation = (former.at(-1) ?? 0) + 1;
    const target = generationPath(this.#to, generation);
    removeGeneration(disk, target);
    disk.makeDirectory(`${target}/wal`);
    await files.copy(`${this.#from}/cordwood.json`, `${target}/cordwood.json`);
    const checkpoint = await this.#copyCheckpoint(files, target);
    const segments = await this.#copySegments(files, checkpoint);
    await this.#copyWal(files, checkpoint, target);
    const frames = this.#verify(checkpoint, target);
    await disk.syncDirectory(`${target}/wal`);
    await disk.syncDirectory(`${this.#to}/segments`);
    const checkpointNumber = checkpoint?.checkpointNumber;
    await this.#complete(target, {
      version: BACKUP_VERSION,
      storeId,
      generation,
      frames,
      ...(checkpointNumber === undefined ? {} : { checkpointNumber }),
    });
    this.#removeFormer(former, checkpoint);
    return {
      storeId,
      generation,
      checkpointNumber,
      segmentsCopied: segments.copied,
      segmentsKept: segments.kept,
      frames,
      bytesCopied: files.bytes,
    };
  }

  async #copyCheckpoint(files: FileCopies, target: string): Promise<Checkpoint | undefined> {
    const { checkpoints } = storePaths(this.#from);
    const newest = this.#disk
      .list(checkpoints)
      .filter((name) => checkpointNumberOf(name) !== undefined)
      .at(-1);
    if (newest === undefined) return undefined;
    await files.copy(`${checkpoints}/${newest}`, `${target}/${newest}`);
    return readCheckpoint(this.#disk, target);
  }

  async #copySegments(
    files: FileCopies,
    checkpoint: Checkpoint | undefined,
  ): Promise<{ readonly copied: number; readonly kept: number }> {
    const { segments } = storePaths(this.#from);
    let [copied, kept] = [0, 0];
    for (const segmentNumber of segmentsOf(checkpoint)) {
      const name = segmentFileName(segmentNumber);
      const path = `${this.#to}/segments/${name}`;
      if (this.#disk.exists(path)) {
        kept++;
        continue;
      }
      // Under its name there is only what is whole, so that the next time it need not be looked at.
      const unfinished = `${path}${UNFINISHED}`;
      if (this.#disk.exists(unfinished)) this.#disk.remove(unfinished);
      await files.copy(`${segments}/${name}`, unfinished);
      this.#disk.rename(unfinished, path);
      copied++;
    }
    return { copied, kept };
  }

  /** The files from the checkpoint's place on, in order: whatever was written before a byte is copied before it. */
  async #copyWal(
    files: FileCopies,
    checkpoint: Checkpoint | undefined,
    target: string,
  ): Promise<void> {
    const { wal } = storePaths(this.#from);
    for (const name of this.#disk.list(wal)) {
      const fileNumber = walFileNumber(name);
      if (fileNumber === undefined || fileNumber < (checkpoint?.wal.fileNumber ?? 0)) continue;
      await files.copy(`${wal}/${name}`, `${target}/wal/${name}`);
    }
  }

  /** What was copied must be one log: else the server removed something in between, or it is damaged. */
  #verify(checkpoint: Checkpoint | undefined, target: string): number {
    try {
      const identity = readIdentity(this.#disk, target);
      return countFrames(this.#disk, `${target}/wal`, identity, checkpoint);
    } catch (error) {
      if (this.#hasNewerCheckpoint(checkpoint)) throw new Overtaken("the WAL", { cause: error });
      throw error;
    }
  }

  #hasNewerCheckpoint(checkpoint: Checkpoint | undefined): boolean {
    const known = checkpoint?.checkpointNumber ?? 0;
    return this.#disk
      .list(storePaths(this.#from).checkpoints)
      .some((name) => (checkpointNumberOf(name) ?? 0) > known);
  }

  async #complete(target: string, facts: Readonly<Record<string, unknown>>): Promise<void> {
    const disk = this.#disk;
    const path = `${target}/${COMPLETE}`;
    const file = disk.open(`${path}${UNFINISHED}`, "create");
    try {
      file.write([new TextEncoder().encode(`${JSON.stringify(facts)}\n`)], 0);
      await file.sync();
    } finally {
      file.close();
    }
    await disk.syncDirectory(target);
    await disk.syncDirectory(`${this.#to}/${GENERATIONS}`);
    await disk.syncDirectory(this.#to);
    await disk.syncDirectory(parentOf(this.#to));
    disk.rename(`${path}${UNFINISHED}`, path);
    await disk.syncDirectory(target);
  }

  #removeFormer(former: readonly number[], checkpoint: Checkpoint | undefined): void {
    const disk = this.#disk;
    for (const generation of former) removeGeneration(disk, generationPath(this.#to, generation));
    const wanted = segmentsOf(checkpoint);
    for (const name of disk.list(`${this.#to}/segments`)) {
      const segmentNumber = segmentNumberOf(name);
      const isWanted = segmentNumber !== undefined && wanted.has(segmentNumber);
      if (!isWanted) disk.remove(`${this.#to}/segments/${name}`);
    }
  }
}

/** Copies files, and counts what it took. */
class FileCopies {
  count = 0;
  bytes = 0;
  readonly #disk: Disk;
  readonly #options: CopyOptions;

  constructor(disk: Disk, options: CopyOptions) {
    this.#disk = disk;
    this.#options = options;
  }

  /** A whole file, synced; space that is zeros stays a hole. @throws Overtaken where the source is gone. */
  async copy(from: string, to: string): Promise<void> {
    const source = this.#open(from);
    try {
      const target = this.#disk.open(to, "create");
      try {
        await this.#copyBytes(source, target);
        await target.sync();
      } finally {
        target.close();
      }
    } catch (error) {
      if (error instanceof LogError) throw error;
      const message = error instanceof Error ? error.message : String(error);
      throw new LogError("storage_failed", `${to}: the copy failed (${message}).`, {
        cause: error,
      });
    } finally {
      source.close();
    }
    this.count++;
    this.#tell();
  }

  /** @throws LogError cancelled, handler_failed. */
  #tell(): void {
    const { progress, signal } = this.#options;
    if (signal?.aborted === true) throw abortError(signal);
    if (progress === undefined) return;
    const copied = { files: this.count, bytes: this.bytes };
    runCallback(
      () => "the progress callback",
      () => progress(copied),
    );
  }

  #open(path: string): DiskFile {
    try {
      return this.#disk.open(path, "read");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") {
        throw new Overtaken(path, { cause: error });
      }
      throw error;
    }
  }

  async #copyBytes(source: DiskFile, target: DiskFile): Promise<void> {
    const chunk = new Uint8Array(COPY_BYTES);
    for (let at = 0; ; at += chunk.length) {
      const count = await source.readAsync(chunk, at);
      const end = chunk.subarray(0, count).findLastIndex((byte) => byte !== 0) + 1;
      if (end > 0) {
        await target.writeAsync([chunk.subarray(0, end)], at);
        this.bytes += end;
      }
      if (count === chunk.length) {
        this.#tell();
        continue;
      }
      target.truncate(at + count);
      return;
    }
  }
}

function generationPath(backup: string, generation: number): string {
  return `${backup}/${GENERATIONS}/${String(generation).padStart(20, "0")}`;
}

// oxlint-disable-next-line max-params -- a log: where, whose, and from where on
function countFrames(
  disk: Disk,
  directory: string,
  { storeId, frameMagic }: StoreIdentity,
  checkpoint: Checkpoint | undefined,
): number {
  const owner = { directory, storeId, frameMagic };
  return scanWal(disk, owner, checkpoint?.wal, () => undefined).frameCount;
}

/** What a generation must hold. */
interface Complete {
  readonly frames: number;
  readonly checkpointNumber: number | undefined;
}

/** @throws LogError `data_corrupt`, `format_newer`. */
function readComplete(disk: Disk, generation: string): Complete {
  const path = `${generation}/${COMPLETE}`;
  let fields: Partial<Record<string, unknown>> = {};
  try {
    const parsed: unknown = JSON.parse(readText(disk, path));
    if (typeof parsed === "object" && parsed !== null) fields = { ...parsed };
  } catch {
    // What is no JSON has no fields either.
  }
  const { version, storeId, frames, checkpointNumber } = fields;
  if (typeof version === "number" && version > BACKUP_VERSION) {
    throw new LogError(
      "format_newer",
      `${path} has backup format ${version}; this version reads up to ${BACKUP_VERSION}. Use the newer version that wrote it.`,
    );
  }
  const isWhole =
    typeof version === "number" &&
    typeof frames === "number" &&
    (checkpointNumber === undefined || typeof checkpointNumber === "number") &&
    storeId === readIdentity(disk, generation).storeId;
  if (!isWhole) throw incomplete(generation, `its ${COMPLETE} is damaged, or of another store`);
  return { frames, checkpointNumber };
}

function incomplete(generation: string, what: string): LogError {
  return new LogError(
    "data_corrupt",
    `${generation}: ${what}. Nothing was restored. Make the backup again, or restore an older copy of it.`,
  );
}

function completeGenerations(disk: Disk, backup: string): number[] {
  const path = `${backup}/${GENERATIONS}`;
  if (!disk.exists(path)) return [];
  return disk
    .list(path)
    .filter((name) => /^\d{20}$/.test(name) && disk.exists(`${path}/${name}/${COMPLETE}`))
    .map(Number);
}

/** The sign that it is complete goes first. */
function removeGeneration(disk: Disk, path: string): void {
  if (!disk.exists(path)) return;
  if (disk.exists(`${path}/${COMPLETE}`)) disk.remove(`${path}/${COMPLETE}`);
  if (disk.exists(`${path}/wal`)) {
    for (const name of disk.list(`${path}/wal`)) disk.remove(`${path}/wal/${name}`);
    disk.removeDirectory(`${path}/wal`);
  }
  for (const name of disk.list(path)) disk.remove(`${path}/${name}`);
  disk.removeDirectory(path);
}

function readCheckpoint(disk: Disk, directory: string): Checkpoint | undefined {
  const name = disk.list(directory).find((one) => checkpointNumberOf(one) !== undefined);
  if (name === undefined) return undefined;
  const file = disk.open(`${directory}/${name}`, "read");
  try {
    const bytes = new Uint8Array(file.size());
    file.read(bytes, 0);
    return decodeCheckpoint(bytes, file.path);
  } finally {
    file.close();
  }
}

function segmentsOf(checkpoint: Checkpoint | undefined): Set<number> {
  const numbers = new Set<number>();
  for (const { runs } of checkpoint?.partitions ?? []) {
    for (const { segmentNumber } of runs) numbers.add(segmentNumber);
  }
  return numbers;
}
