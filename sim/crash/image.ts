import { createHash } from "node:crypto";

import { MemoryDisk, type MemoryDiskOptions } from "../../src/env/index.ts";

/** What one directory entry leads to: a file by its number, or a directory of the same path. */
export type ImageNode = number | "directory";

/** What a device holds: names, and the bytes of files. Files nobody names are dropped when it is made a disk. */
export class Image {
  /** Directory path (without a slash at the end; the root is ""), then name. */
  readonly directories: Map<string, Map<string, ImageNode>>;
  readonly files: Map<number, Uint8Array>;

  constructor(
    directories: ReadonlyMap<string, ReadonlyMap<string, ImageNode>> = new Map(),
    files: ReadonlyMap<number, Uint8Array> = new Map(),
  ) {
    this.directories = new Map(Array.from(directories, ([path, names]) => [path, new Map(names)]));
    this.files = new Map(files);
  }

  names(directory: string): Map<string, ImageNode> {
    let names = this.directories.get(directory);
    if (names === undefined) {
      names = new Map();
      this.directories.set(directory, names);
    }
    return names;
  }

  /** Puts bytes into a file; the former content is not touched, others may share it. */
  write(file: number, bytes: Uint8Array, position: number): void {
    const former = this.files.get(file) ?? new Uint8Array(0);
    const content = new Uint8Array(Math.max(former.length, position + bytes.length));
    content.set(former);
    content.set(bytes, position);
    this.files.set(file, content);
  }

  truncate(file: number, size: number): void {
    const content = new Uint8Array(size);
    content.set((this.files.get(file) ?? new Uint8Array(0)).subarray(0, size));
    this.files.set(file, content);
  }

  /** Visits what can be reached from the root, in the order of names. */
  *walk(directory = ""): Generator<{ path: string; content: Uint8Array | undefined }> {
    const names = this.directories.get(directory) ?? new Map<string, ImageNode>();
    for (const name of [...names.keys()].toSorted()) {
      const node = names.get(name);
      const path = `${directory}/${name}`;
      if (node === "directory") {
        yield { path, content: undefined };
        yield* this.walk(path);
      } else if (node !== undefined) {
        yield { path, content: this.files.get(node) ?? new Uint8Array(0) };
      }
    }
  }

  /** The same without what no name leads to. */
  reachable(): Image {
    const kept = new Image();
    for (const [path, names] of this.directories) {
      if (path === "" || this.#isDirectory(path)) kept.directories.set(path, new Map(names));
    }
    for (const names of kept.directories.values()) {
      for (const node of names.values()) {
        const bytes = node === "directory" ? undefined : this.files.get(node);
        if (node !== "directory" && bytes !== undefined) kept.files.set(node, bytes);
      }
    }
    return kept;
  }

  #isDirectory(path: string): boolean {
    const slash = path.lastIndexOf("/");
    const parent = path.slice(0, slash);
    if (parent !== "" && !this.#isDirectory(parent)) return false;
    return this.directories.get(parent)?.get(path.slice(slash + 1)) === "directory";
  }

  digest(): string {
    const hash = createHash("sha256");
    for (const { path, content } of this.walk()) {
      hash.update(`${path}:${content?.length ?? "directory"}:`);
      if (content !== undefined) hash.update(content);
    }
    return hash.digest("base64url");
  }

  toDisk(options?: MemoryDiskOptions): MemoryDisk {
    const disk = new MemoryDisk();
    for (const { path, content } of this.walk()) {
      if (content === undefined) {
        disk.makeDirectory(path);
        continue;
      }
      const file = disk.open(path, "create");
      file.write([content], 0);
      file.close();
    }
    return disk.crash(() => "kept", options ?? {});
  }
}
