import type { Disk, DiskFile, DiskLock, MemoryDisk } from "../../src/env/index.ts";
import { Image, type ImageNode } from "./image.ts";

/** One step in the history of a disk. A file's number is its own for ever, its name is not. */
export type Change =
  | {
      readonly kind: "write";
      readonly file: number;
      readonly position: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "truncate"; readonly file: number; readonly size: number }
  | {
      readonly kind: "name";
      readonly directory: string;
      readonly name: string;
      /** Undefined where the name goes away. */
      readonly node: ImageNode | undefined;
      /** Of a rename: the name that goes away in the same step. */
      readonly from?: { readonly directory: string; readonly name: string };
    }
  /** What was done to the file, or in the directory, before change `until` is on the device. */
  | { readonly kind: "sync"; readonly file: number; readonly until: number }
  | { readonly kind: "syncDirectory"; readonly directory: string; readonly until: number };

/** Writes down what a program does to a disk, so that every crash on the way can be looked at later. */
export class RecordingDisk implements Disk {
  readonly base: Image;
  readonly changes: Change[];
  readonly #disk: MemoryDisk;
  readonly #numbers = new Map<string, number>();
  #nextNumber: number;
  #isDead = false;

  /** Begins with what `base` is; or goes on after the process that wrote to `before` was killed. */
  constructor(base: Image, before?: RecordingDisk) {
    this.base = base;
    this.changes = before?.changes ?? [];
    this.#disk = before === undefined ? base.toDisk() : before.#disk.kill();
    if (before !== undefined) {
      this.#numbers = before.#numbers;
      this.#nextNumber = before.#nextNumber;
      return;
    }
    this.#nextNumber = Math.max(-1, ...base.files.keys()) + 1;
    for (const [directory, names] of base.directories) {
      for (const [name, node] of names) {
        if (node !== "directory") this.#numbers.set(`${directory}/${name}`, node);
      }
    }
  }

  /** The disk for the next process. The old one must not be used any more. */
  afterKill(): RecordingDisk {
    this.#isDead = true;
    return new RecordingDisk(this.base, this);
  }

  open(path: string, mode: "read" | "write" | "create"): DiskFile {
    const file = this.#disk.open(path, mode);
    if (mode === "create") {
      const number = this.#nextNumber++;
      this.#numbers.set(path, number);
      this.#name(path, number);
    }
    const number = this.#numbers.get(path);
    if (number === undefined) throw new Error(`${path} has no number`);
    return new RecordingFile(file, number, this);
  }

  exists(path: string): boolean {
    return this.#disk.exists(path);
  }

  list(directory: string): string[] {
    return this.#disk.list(directory);
  }

  makeDirectory(path: string): void {
    const names = path.split("/").filter((name) => name !== "");
    for (const [i] of names.entries()) {
      const at = `/${names.slice(0, i + 1).join("/")}`;
      if (this.#disk.exists(at)) continue;
      this.#disk.makeDirectory(at);
      this.#name(at, "directory");
    }
  }

  rename(from: string, to: string): void {
    this.#disk.rename(from, to);
    const number = this.#numbers.get(from);
    if (number === undefined) throw new Error(`${from} is no file`);
    this.#numbers.delete(from);
    this.#numbers.set(to, number);
    this.changes.push({ kind: "name", ...placeOf(to), node: number, from: placeOf(from) });
  }

  remove(path: string): void {
    this.#disk.remove(path);
    this.#numbers.delete(path);
    this.#name(path, undefined);
  }

  removeDirectory(): void {
    throw new Error("a store removes no directory");
  }

  async syncDirectory(path: string): Promise<void> {
    const until = this.changes.length;
    await this.#disk.syncDirectory(path);
    await this.alive();
    this.#syncedDirectory(path, until);
  }

  syncDirectoryNow(path: string): void {
    this.#disk.syncDirectoryNow(path);
    this.#syncedDirectory(path, this.changes.length);
  }

  #syncedDirectory(path: string, until: number): void {
    const { directory, name } = placeOf(path);
    const synced = name === "" ? "" : `${directory}/${name}`;
    this.changes.push({ kind: "syncDirectory", directory: synced, until });
  }

  freeBytes(path: string): number {
    return this.#disk.freeBytes(path);
  }

  lock(path: string): DiskLock | undefined {
    if (!this.#disk.exists(path)) {
      const number = this.#nextNumber++;
      this.#numbers.set(path, number);
      this.#name(path, number);
    }
    return this.#disk.lock(path);
  }

  /** Never settles once the process is dead: it saw nothing of what the device answered then. */
  async alive(): Promise<void> {
    if (this.#isDead) await new Promise<void>(() => {});
  }

  #name(path: string, node: ImageNode | undefined): void {
    this.changes.push({ kind: "name", ...placeOf(path), node });
  }
}

class RecordingFile implements DiskFile {
  readonly path: string;
  readonly #file: DiskFile;
  readonly #number: number;
  readonly #disk: RecordingDisk;

  constructor(file: DiskFile, number: number, disk: RecordingDisk) {
    this.path = file.path;
    this.#file = file;
    this.#number = number;
    this.#disk = disk;
  }

  size(): number {
    return this.#file.size();
  }

  read(target: Uint8Array, position: number): number {
    return this.#file.read(target, position);
  }

  readAsync(target: Uint8Array, position: number): Promise<number> {
    return this.#file.readAsync(target, position);
  }

  write(parts: readonly Uint8Array[], position: number): void {
    this.#file.write(parts, position);
    this.#wrote(parts, position);
  }

  async writeAsync(parts: readonly Uint8Array[], position: number): Promise<void> {
    await this.#file.writeAsync(parts, position);
    await this.#disk.alive();
    this.#wrote(parts, position);
  }

  #wrote(parts: readonly Uint8Array[], position: number): void {
    const bytes = new Uint8Array(Buffer.concat(parts));
    this.#disk.changes.push({ kind: "write", file: this.#number, position, bytes });
  }

  async sync(): Promise<void> {
    const until = this.#disk.changes.length;
    await this.#file.sync();
    await this.#disk.alive();
    this.#disk.changes.push({ kind: "sync", file: this.#number, until });
  }

  syncNow(): void {
    this.#file.syncNow();
    const until = this.#disk.changes.length;
    this.#disk.changes.push({ kind: "sync", file: this.#number, until });
  }

  truncate(size: number): void {
    this.#file.truncate(size);
    this.#disk.changes.push({ kind: "truncate", file: this.#number, size });
  }

  close(): void {
    this.#file.close();
  }
}

function placeOf(path: string): { readonly directory: string; readonly name: string } {
  const names = path.split("/").filter((name) => name !== "");
  const name = names.pop() ?? "";
  return { directory: names.length === 0 ? "" : `/${names.join("/")}`, name };
}
