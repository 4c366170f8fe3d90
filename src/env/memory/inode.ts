import type { CrashFate, Unsynced } from "./disk.ts";

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

type Choose = (unsynced: Unsynced) => CrashFate;

interface Change {
  /** Undefined for a change of size alone. */
  readonly bytes: Uint8Array | undefined;
  /** Where the bytes go, or the new size. */
  readonly position: number;
}

/** Bytes that grow. */
class Content {
  size = 0;
  #bytes = new Uint8Array(0);

  read(target: Uint8Array, position: number): number {
    const count = Math.max(Math.min(target.length, this.size - position), 0);
    target.set(this.#bytes.subarray(position, position + count));
    return count;
  }

  apply({ bytes, position }: Change): void {
    if (bytes === undefined) {
      this.#resize(position);
      return;
    }
    if (position + bytes.length > this.size) this.#resize(position + bytes.length);
    this.#bytes.set(bytes, position);
  }

  clone(): Content {
    const made = new Content();
    made.apply({ bytes: this.#bytes.slice(0, this.size), position: 0 });
    return made;
  }

  #resize(size: number): void {
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(size, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, this.size));
      this.#bytes = grown;
    }
    // What was cut must read as zero should the file grow again.
    if (size < this.size) this.#bytes.fill(0, size, this.size);
    this.size = size;
  }
}

/** A file's bytes, as programs see them and as the device has them. */
export class MemoryInode {
  /** Changes that were ever made; numbers those that wait. */
  changeCount = 0;
  /** Syncs that failed: each open file is told of each once. */
  failures = 0;
  readonly #seen: Content;
  readonly #durable: Content;
  /** Made but not synced, in order; the last one has the number `changeCount`. */
  readonly #waiting: Change[] = [];

  constructor(content: Content = new Content()) {
    this.#durable = content;
    this.#seen = content.clone();
  }

  get size(): number {
    return this.#seen.size;
  }

  read(target: Uint8Array, position: number): number {
    return this.#seen.read(target, position);
  }

  write(bytes: Uint8Array, position: number): void {
    this.#change({ bytes: bytes.slice(), position });
  }

  truncate(size: number): void {
    this.#change({ bytes: undefined, position: size });
  }

  /** The changes up to number `until` are on the device. */
  sync(until: number): void {
    for (const change of this.#take(until)) this.#durable.apply(change);
  }

  /** The changes up to number `until` will never be on the device, though programs still see them. */
  giveUp(until: number): void {
    this.#take(until);
    this.failures++;
  }

  afterCrash(path: string, choose: Choose): MemoryInode {
    const content = this.#durable.clone();
    for (const change of this.#waiting) applyFate(content, change, path, choose);
    return new MemoryInode(content);
  }

  #change(change: Change): void {
    this.changeCount++;
    this.#waiting.push(change);
    this.#seen.apply(change);
  }

  #take(until: number): Change[] {
    const first = this.changeCount - this.#waiting.length;
    return this.#waiting.splice(0, Math.max(until - first, 0));
  }
}

function applyFate(content: Content, change: Change, path: string, choose: Choose): void {
  const { bytes, position } = change;
  const size = bytes?.length ?? 0;
  const fate = choose({ kind: bytes === undefined ? "truncate" : "write", path, position, size });
  if (fate === "lost") return;
  if (fate === "kept" || bytes === undefined) {
    content.apply(change);
    return;
  }
  for (let start = 0; start < size;) {
    const end = Math.min(size, start + SECTOR_BYTES - ((position + start) % SECTOR_BYTES));
    const sector = { bytes: bytes.subarray(start, end), position: position + start };
    const asked = { kind: "sector", path, position: sector.position, size: end - start } as const;
    if (choose(asked) === "kept") content.apply(sector);
    start = end;
  }
}

type Node = MemoryDirectory | MemoryInode;

interface NameChange {
  readonly name: string;
  /** Undefined where the name goes away. */
  readonly node: Node | undefined;
  /** Of a rename: where the node was before. Both names change in one step. */
  readonly from?: { readonly directory: MemoryDirectory; readonly name: string };
}

/** Names, as programs see them and as the device has them. */
export class MemoryDirectory {
  /** Changes that were ever made; numbers those that wait. */
  changeCount = 0;
  readonly #seen: Map<string, Node>;
  readonly #durable: Map<string, Node>;
  /** Made but not synced, in order. */
  readonly #waiting: NameChange[] = [];

  constructor(names: ReadonlyMap<string, Node> = new Map()) {
    this.#seen = new Map(names);
    this.#durable = new Map(names);
  }

  get(name: string): Node | undefined {
    return this.#seen.get(name);
  }

  names(): string[] {
    return [...this.#seen.keys()];
  }

  put(name: string, node: Node): void {
    this.#seen.set(name, node);
    this.#change({ name, node });
  }

  delete(name: string): void {
    this.#seen.delete(name);
    this.#change({ name, node: undefined });
  }

  move(
    name: string,
    node: Node,
    from: { readonly directory: MemoryDirectory; readonly name: string },
  ): void {
    from.directory.#seen.delete(from.name);
    this.#seen.set(name, node);
    this.#change({ name, node, from });
  }

  /** The changes up to number `until` are on the device. */
  sync(until: number): void {
    const first = this.changeCount - this.#waiting.length;
    for (const change of this.#waiting.splice(0, Math.max(until - first, 0))) this.#settle(change);
  }

  usedBytes(): number {
    let sum = 0;
    for (const node of this.#seen.values()) {
      sum += node instanceof MemoryDirectory ? node.usedBytes() : node.size;
    }
    return sum;
  }

  afterCrash(choose: Choose, path = ""): MemoryDirectory {
    this.#decide(choose, path);
    return this.#rebuilt(choose, path);
  }

  /** Renames reach into other directories, so all names are decided before any is copied. */
  #decide(choose: Choose, path: string): void {
    for (const change of this.#waiting) {
      const asked = { kind: "name", path: `${path}/${change.name}`, position: 0, size: 0 } as const;
      if (choose(asked) !== "lost") this.#settle(change);
    }
    for (const [name, node] of this.#durable) {
      if (node instanceof MemoryDirectory) node.#decide(choose, `${path}/${name}`);
    }
  }

  #rebuilt(choose: Choose, path: string): MemoryDirectory {
    const names = new Map<string, Node>();
    for (const [name, node] of this.#durable) {
      const at = `${path}/${name}`;
      const isDirectory = node instanceof MemoryDirectory;
      names.set(name, isDirectory ? node.#rebuilt(choose, at) : node.afterCrash(at, choose));
    }
    return new MemoryDirectory(names);
  }

  #change(change: NameChange): void {
    this.changeCount++;
    this.#waiting.push(change);
  }

  #settle({ name, node, from }: NameChange): void {
    if (node === undefined) this.#durable.delete(name);
    else this.#durable.set(name, node);
    if (from !== undefined && from.directory.#durable.get(from.name) === node) {
      from.directory.#durable.delete(from.name);
    }
  }
}
