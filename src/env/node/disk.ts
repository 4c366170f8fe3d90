import {
  close,
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
  writeSync,
  writev,
  writevSync,
} from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";

import type { Disk, DiskFile, DiskLock } from "../env.ts";
import { takeLock } from "./lock.ts";

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/**
 * Most bytes of one synchronous write. From twice 64 KiB on the kernel takes larger blocks of memory for the
 * page cache, which a virtual machine has often handed back to its host: 1.6 against 2.3 ms of CPU a MB. A
 * frame that is written when it has 64 KiB, plus a batch, still goes in one call: 815 against 880 ns a record of 1 KiB.
 */
const WRITE_BYTES_MAX = 96 << 10;
/** A removed file of this size is let go by another thread. */
const LARGE_BYTES = 8 << 20;
/** POSIX's IOV_MAX on every system that Node runs on: more parts in one call are an error. */
const PARTS_MAX = 1024;

const flagsOf = { read: "r", write: "r+", create: "wx+" } as const;

const readFile = promisify(read);
const writeParts = promisify(writev);
const dataSync = promisify(fdatasync);
const fullSync = promisify(fsync);

/** The disk of this machine. */
export class NodeDisk implements Disk {
  open(path: string, mode: "read" | "write" | "create"): DiskFile {
    return new NodeFile(path, openSync(path, flagsOf[mode], FILE_MODE));
  }

  exists(path: string): boolean {
    return existsSync(path);
  }

  list(directory: string): string[] {
    return readdirSync(directory).toSorted();
  }

  makeDirectory(path: string): void {
    // Step by step: the recursive call of Node never returns below a place like /proc, where nothing can be made.
    if (existsSync(path)) return;
    const parent = dirname(path);
    if (parent !== path) this.makeDirectory(parent);
    try {
      mkdirSync(path, { mode: DIRECTORY_MODE });
    } catch (error) {
      // Another process may have been faster.
      if (!existsSync(path)) throw error;
    }
  }

  rename(from: string, to: string): void {
    renameSync(from, to);
  }

  remove(path: string): void {
    const file = openSync(path, "r");
    try {
      unlinkSync(path);
    } finally {
      // Giving back the blocks of a large file takes the kernel long (64 MiB: 20 ms), and is done by
      // whoever lets go of it last.
      if (fstatSync(file).size < LARGE_BYTES) closeSync(file);
      else close(file, noteNothing);
    }
  }

  removeDirectory(path: string): void {
    rmdirSync(path);
  }

  async syncDirectory(path: string): Promise<void> {
    const descriptor = openDirectory(path);
    if (descriptor === undefined) return;
    try {
      await fullSync(descriptor);
    } catch (thrown) {
      if (!isRefusedForDirectories(thrown)) throw thrown;
    } finally {
      closeSync(descriptor);
    }
  }

  syncDirectoryNow(path: string): void {
    const descriptor = openDirectory(path);
    if (descriptor === undefined) return;
    try {
      fsyncSync(descriptor);
    } catch (thrown) {
      if (!isRefusedForDirectories(thrown)) throw thrown;
    } finally {
      closeSync(descriptor);
    }
  }

  freeBytes(path: string): number {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  }

  lock(path: string): DiskLock | undefined {
    return takeLock(path, FILE_MODE);
  }
}

function openDirectory(path: string): number | undefined {
  try {
    return openSync(path, "r");
  } catch (thrown) {
    if (isRefusedForDirectories(thrown)) return undefined;
    throw thrown;
  }
}

/** Windows opens or syncs no directory; its file system orders names by itself. */
function isRefusedForDirectories(thrown: unknown): boolean {
  if (process.platform !== "win32" || !(thrown instanceof Error) || !("code" in thrown)) {
    return false;
  }
  return thrown.code === "EISDIR" || thrown.code === "EPERM" || thrown.code === "EACCES";
}

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #descriptor: number;
  #isOpen = true;
  /** Asynchronous calls under way. The descriptor outlives them: once closed, its number may mean another file. */
  #underWay = 0;

  constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  size(): number {
    return fstatSync(this.#open()).size;
  }

  read(target: Uint8Array, position: number): number {
    const descriptor = this.#open();
    let done = 0;
    while (done < target.length) {
      const count = readSync(descriptor, target, done, target.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  async readAsync(target: Uint8Array, position: number): Promise<number> {
    const descriptor = this.#begin();
    try {
      let done = 0;
      while (done < target.length) {
        const left = target.length - done;
        const { bytesRead } = await readFile(descriptor, target, done, left, position + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    } finally {
      this.#done();
    }
  }

  // hot: once for every frame of a log.
  write(parts: readonly Uint8Array[], position: number): void {
    const descriptor = this.#open();
    const [only] = parts;
    // The call for one part costs less, and nearly always takes all of it.
    const isOne = parts.length === 1 && only !== undefined && only.length <= WRITE_BYTES_MAX;
    const count = isOne ? writeSync(descriptor, only, 0, only.length, position) : 0;
    if (isOne && count === only.length) return;
    const left = new PartsToWrite(parts, position);
    if (count > 0) left.wrote(count);
    while (left.hasMore()) {
      left.wrote(writevSync(descriptor, left.next(WRITE_BYTES_MAX), left.position));
    }
  }

  async writeAsync(parts: readonly Uint8Array[], position: number): Promise<void> {
    const descriptor = this.#begin();
    try {
      const left = new PartsToWrite(parts, position);
      while (left.hasMore()) {
        const { bytesWritten } = await writeParts(descriptor, left.next(Infinity), left.position);
        left.wrote(bytesWritten);
      }
    } finally {
      this.#done();
    }
  }

  async sync(): Promise<void> {
    const descriptor = this.#begin();
    try {
      await dataSync(descriptor);
    } finally {
      this.#done();
    }
  }

  syncNow(): void {
    fdatasyncSync(this.#open());
  }

  truncate(size: number): void {
    ftruncateSync(this.#open(), size);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    if (this.#underWay === 0) closeSync(this.#descriptor);
  }

  #open(): number {
    if (this.#isOpen) return this.#descriptor;
    throw Object.assign(new Error(`EBADF: the file is closed, '${this.path}'`), { code: "EBADF" });
  }

  #begin(): number {
    const descriptor = this.#open();
    this.#underWay++;
    return descriptor;
  }

  #done(): void {
    this.#underWay--;
    if (this.#underWay === 0 && !this.#isOpen) closeSync(this.#descriptor);
  }
}

/** What is left of a write: the system may take less than it was given, and never more than so many parts. */
class PartsToWrite {
  position: number;
  /** No part is empty, so a write that takes nothing is a failure and not the end. */
  #parts: readonly Uint8Array[];

  constructor(parts: readonly Uint8Array[], position: number) {
    this.#parts = parts.some((part) => part.length === 0)
      ? parts.filter((part) => part.length > 0)
      : parts;
    this.position = position;
  }

  hasMore(): boolean {
    return this.#parts.length > 0;
  }

  /** What the next call writes: whole parts up to `bytesMax`, or that much of one that is larger. */
  next(bytesMax: number): readonly Uint8Array[] {
    const parts = this.#parts;
    const countMax = Math.min(parts.length, PARTS_MAX);
    let bytes = 0;
    let count = 0;
    for (; count < countMax; count++) {
      bytes += parts[count]?.length ?? 0;
      if (bytes > bytesMax) break;
    }
    if (count === 0 && parts[0] !== undefined) return [parts[0].subarray(0, bytesMax)];
    return count === parts.length ? parts : parts.slice(0, count);
  }

  wrote(count: number): void {
    if (count === 0) throw Object.assign(new Error("EIO: nothing was written"), { code: "EIO" });
    this.position += count;
    let left = count;
    let whole = 0;
    for (const part of this.#parts) {
      if (part.length > left) break;
      left -= part.length;
      whole++;
    }
    const rest = this.#parts.slice(whole);
    if (left > 0 && rest[0] !== undefined) rest[0] = rest[0].subarray(left);
    this.#parts = rest;
  }
}

function noteNothing(): void {
  // The name is gone, and the system gives the blocks back when this process ends at the latest.
}
