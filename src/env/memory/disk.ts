import type { Disk, DiskFile, DiskLock } from "../env.ts";
import { MemoryDirectory, MemoryInode } from "./inode.ts";

/** A call of a disk, as {@link MemoryDiskOptions.onCall} sees it. */
export interface DiskCall {
  readonly kind:
    | "open"
    | "list"
    | "makeDirectory"
    | "rename"
    | "remove"
    | "removeDirectory"
    | "syncDirectory"
    | "freeBytes"
    | "lock"
    | "read"
    | "write"
    | "sync"
    | "truncate";
  readonly path: string;
  /** Calls of this kind on this disk, this one included. */
  readonly count: number;
}

export interface MemoryDiskOptions {
  /** Bytes of all files together at most; a write beyond is cut there and fails with ENOSPC. */
  readonly capacityBytes?: number;
  /** Asked before each call. What it throws is the failure of the call: see {@link diskError}. */
  readonly onCall?: (call: DiskCall) => void;
  /** When the asynchronous calls settle; as soon as may be, when absent. */
  readonly settle?: (task: () => void) => void;
}

/**
 * What became of something that was not synced when the power went: all of it is on the disk, nothing
 * is, or (writes only) some of its sectors are.
 */
export type CrashFate = "kept" | "lost" | "torn";

/** What {@link MemoryDisk.crash} asks about. Each sector of a torn write is asked about again. */
export interface Unsynced {
  readonly kind: "write" | "truncate" | "name" | "sector";
  readonly path: string;
  readonly position: number;
  readonly size: number;
}

/** An error as the operating system gives it. Of a write that fails, `writtenBytes` arrived nevertheless. */
export function diskError(code: string, path: string, writtenBytes = 0): Error {
  return Object.assign(new Error(`${code}: '${path}'`), { code, path, writtenBytes });
}

/**
 * A disk in memory that knows what a power cut may take from it: written bytes until the file's
 * `sync`, names until their directory's.
 *
 * {@link MemoryDisk.crash} and {@link MemoryDisk.kill} answer with the disk as the next process finds
 * it. The old one is dead then: its calls throw, and what it promised never settles.
 */
export class MemoryDisk implements Disk {
  readonly #options: MemoryDiskOptions;
  readonly #root: MemoryDirectory;
  readonly #counts = new Map<DiskCall["kind"], number>();
  readonly #locked = new Set<string>();
  #usedBytes = 0;
  #isDead = false;

  constructor(options: MemoryDiskOptions = {}, root: MemoryDirectory = new MemoryDirectory()) {
    this.#options = options;
    this.#root = root;
    this.#usedBytes = root.usedBytes();
  }

  /** Bytes of all files together. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  open(path: string, mode: "read" | "write" | "create"): DiskFile {
    this.begin("open", path);
    const { directory, name } = this.#parent(path);
    const found = directory.get(name);
    if (found instanceof MemoryDirectory) throw diskError("EISDIR", path);
    if (mode === "create") {
      if (found !== undefined) throw diskError("EEXIST", path);
      const made = new MemoryInode();
      directory.put(name, made);
      return new MemoryFile(this, path, made, true);
    }
    if (found === undefined) throw diskError("ENOENT", path);
    return new MemoryFile(this, path, found, mode === "write");
  }

  exists(path: string): boolean {
    this.#mustLive(path);
    return this.#find(path) !== undefined;
  }

  list(directory: string): string[] {
    this.begin("list", directory);
    return this.#directory(directory).names().toSorted();
  }

  makeDirectory(path: string): void {
    this.begin("makeDirectory", path);
    let directory = this.#root;
    for (const name of namesOf(path)) {
      const found = directory.get(name) ?? new MemoryDirectory();
      if (!(found instanceof MemoryDirectory)) throw diskError("EEXIST", path);
      if (directory.get(name) === undefined) directory.put(name, found);
      directory = found;
    }
  }

  rename(from: string, to: string): void {
    this.begin("rename", from);
    const source = this.#parent(from);
    const target = this.#parent(to);
    const moved = source.directory.get(source.name);
    if (moved === undefined) throw diskError("ENOENT", from);
    const replaced = target.directory.get(target.name);
    if (replaced instanceof MemoryInode && replaced !== moved) this.#usedBytes -= replaced.size;
    target.directory.move(target.name, moved, source);
  }

  remove(path: string): void {
    this.begin("remove", path);
    const { directory, name } = this.#parent(path);
    const found = directory.get(name);
    if (found === undefined) throw diskError("ENOENT", path);
    if (found instanceof MemoryDirectory) throw diskError("EISDIR", path);
    directory.delete(name);
    this.#usedBytes -= found.size;
  }

  removeDirectory(path: string): void {
    this.begin("removeDirectory", path);
    if (this.#directory(path).names().length > 0) throw diskError("ENOTEMPTY", path);
    const { directory, name } = this.#parent(path);
    directory.delete(name);
  }

  async syncDirectory(path: string): Promise<void> {
    this.begin("syncDirectory", path);
    const directory = this.#directory(path);
    const until = directory.changeCount;
    await this.settled();
    directory.sync(until);
  }

  syncDirectoryNow(path: string): void {
    this.begin("syncDirectory", path);
    const directory = this.#directory(path);
    directory.sync(directory.changeCount);
  }

  freeBytes(path: string): number {
    this.begin("freeBytes", path);
    return Math.max((this.#options.capacityBytes ?? Number.MAX_SAFE_INTEGER) - this.#usedBytes, 0);
  }

  lock(path: string): DiskLock | undefined {
    this.begin("lock", path);
    const { directory, name } = this.#parent(path);
    const key = namesOf(path).join("/");
    if (this.#locked.has(key)) return undefined;
    if (directory.get(name) === undefined) directory.put(name, new MemoryInode());
    this.#locked.add(key);
    let isHeld = true;
    return {
      release: () => {
        if (isHeld) this.#locked.delete(key);
        isHeld = false;
      },
    };
  }

  /** The disk after the process was killed: all that was written is there, synced or not. */
  kill(options: MemoryDiskOptions = this.#options): MemoryDisk {
    this.#mustLive("/");
    this.#isDead = true;
    return new MemoryDisk(options, this.#root);
  }

  /** The disk after the power went: `choose` decides about everything that was not synced, in the order it was done. */
  crash(
    choose: (unsynced: Unsynced) => CrashFate,
    options: MemoryDiskOptions = this.#options,
  ): MemoryDisk {
    this.#mustLive("/");
    this.#isDead = true;
    return new MemoryDisk(options, this.#root.afterCrash(choose));
  }

  /** For the disk's own files: counts the call and lets the hook fail it. */
  begin(kind: DiskCall["kind"], path: string): void {
    this.#mustLive(path);
    const count = (this.#counts.get(kind) ?? 0) + 1;
    this.#counts.set(kind, count);
    this.#options.onCall?.({ kind, path, count });
  }

  /** For the disk's own files: of `growth` more bytes, those that still fit. */
  grow(growth: number): number {
    const free = (this.#options.capacityBytes ?? Infinity) - this.#usedBytes;
    const fitting = Math.min(growth, Math.max(free, 0));
    this.#usedBytes += fitting;
    return fitting;
  }

  /** For the disk's own files: the device has answered. Never, where the process is no more by then. */
  async settled(): Promise<void> {
    await new Promise<void>((resolve) => {
      const answer = (): void => {
        if (!this.#isDead) resolve();
      };
      if (this.#options.settle === undefined) queueAnswer(answer);
      else this.#options.settle(answer);
    });
  }

  #mustLive(path: string): void {
    if (this.#isDead) throw diskError("EBADF", path);
  }

  #find(path: string): MemoryDirectory | MemoryInode | undefined {
    let found: MemoryDirectory | MemoryInode | undefined = this.#root;
    for (const name of namesOf(path)) {
      found = found instanceof MemoryDirectory ? found.get(name) : undefined;
    }
    return found;
  }

  #directory(path: string): MemoryDirectory {
    const found = this.#find(path);
    if (found === undefined) throw diskError("ENOENT", path);
    if (found instanceof MemoryInode) throw diskError("ENOTDIR", path);
    return found;
  }

  #parent(path: string): { readonly directory: MemoryDirectory; readonly name: string } {
    const names = namesOf(path);
    const name = names.pop() ?? "";
    return { directory: this.#directory(names.join("/")), name };
  }
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly #disk: MemoryDisk;
  readonly #inode: MemoryInode;
  readonly #isWritable: boolean;
  #isOpen = true;
  /** Of the failed syncs of the file, those that this one knows of. */
  #failuresHeard: number;

  constructor(disk: MemoryDisk, path: string, inode: MemoryInode, isWritable: boolean) {
    this.path = path;
    this.#disk = disk;
    this.#inode = inode;
    this.#failuresHeard = inode.failures;
    this.#isWritable = isWritable;
  }

  size(): number {
    this.#mustBeOpen();
    return this.#inode.size;
  }

  read(target: Uint8Array, position: number): number {
    this.#mustBeOpen();
    this.#disk.begin("read", this.path);
    return this.#inode.read(target, position);
  }

  async readAsync(target: Uint8Array, position: number): Promise<number> {
    this.#mustBeOpen();
    this.#disk.begin("read", this.path);
    await this.#disk.settled();
    return this.#inode.read(target, position);
  }

  write(parts: readonly Uint8Array[], position: number): void {
    this.#mustBeWritable();
    this.#put(parts, position);
  }

  async writeAsync(parts: readonly Uint8Array[], position: number): Promise<void> {
    this.#mustBeWritable();
    await this.#disk.settled();
    this.#put(parts, position);
  }

  async sync(): Promise<void> {
    let until: number;
    try {
      until = this.#beginSync();
    } catch (thrown) {
      // It has failed, and the program hears of it when it hears of anything.
      await this.#disk.settled();
      throw asError(thrown);
    }
    await this.#disk.settled();
    this.#hearOfFailure();
    this.#inode.sync(until);
  }

  syncNow(): void {
    this.#inode.sync(this.#beginSync());
  }

  #beginSync(): number {
    this.#mustBeOpen();
    const until = this.#inode.changeCount;
    try {
      this.#disk.begin("sync", this.path);
    } catch (thrown) {
      // The system gives up on these pages: a later sync says nothing about them any more.
      this.#inode.giveUp(until);
      this.#failuresHeard = this.#inode.failures;
      throw asError(thrown);
    }
    this.#hearOfFailure();
    return until;
  }

  /** A failure that another open file has met is told to this one, too. */
  #hearOfFailure(): void {
    if (this.#failuresHeard === this.#inode.failures) return;
    this.#failuresHeard = this.#inode.failures;
    throw diskError("EIO", this.path);
  }

  truncate(size: number): void {
    this.#mustBeWritable();
    this.#disk.begin("truncate", this.path);
    const growth = size - this.#inode.size;
    if (growth > 0 && this.#disk.grow(growth) < growth) throw diskError("ENOSPC", this.path);
    if (growth < 0) this.#disk.grow(growth);
    this.#inode.truncate(size);
  }

  close(): void {
    this.#isOpen = false;
  }

  #put(parts: readonly Uint8Array[], position: number): void {
    let failure: unknown;
    let allowed = Infinity;
    try {
      this.#disk.begin("write", this.path);
    } catch (thrown) {
      failure = thrown;
      allowed = writtenBytesOf(thrown);
    }
    const bytes = Buffer.concat(parts);
    let count = Math.min(bytes.length, allowed);
    const growth = Math.max(position + count - this.#inode.size, 0);
    const granted = count === 0 ? 0 : this.#disk.grow(growth);
    if (granted < growth) {
      failure ??= diskError("ENOSPC", this.path);
      count = Math.max(count - (growth - granted), 0);
      // A hole that did not fit leaves nothing behind it.
      if (count === 0) this.#disk.grow(-granted);
    }
    if (count > 0) this.#inode.write(bytes.subarray(0, count), position);
    if (failure !== undefined) throw asError(failure);
  }

  #mustBeOpen(): void {
    if (!this.#isOpen) throw diskError("EBADF", this.path);
  }

  #mustBeWritable(): void {
    if (!this.#isOpen || !this.#isWritable) throw diskError("EBADF", this.path);
  }
}

function namesOf(path: string): string[] {
  return path.split("/").filter((name) => name !== "" && name !== ".");
}

function writtenBytesOf(thrown: unknown): number {
  const has = thrown instanceof Error && "writtenBytes" in thrown;
  return has && typeof thrown.writtenBytes === "number" ? thrown.writtenBytes : 0;
}

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

function queueAnswer(answer: () => void): void {
  Promise.resolve().then(answer, answer);
}
