// What is measured: logs of bytes, each behind the same few calls.
import {
  appendFileSync,
  closeSync,
  fdatasyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

import { type LogDurability, openLog } from "../../src/index.ts";

/** One log that is open. Calls that a store can only answer later return promises. */
export interface OpenStore {
  /** Without waiting for the device. */
  append(value: Uint8Array): void;
  /** Everything appended is where the store keeps it, without the device. */
  settle(): void | Promise<void>;
  /** Appends and waits for the device. Absent where the store cannot. */
  readonly appendDurably?: (value: Uint8Array) => void | Promise<void>;
  /** The same by a call that blocks, where the store has another one that does not. */
  readonly appendBlocking?: (value: Uint8Array) => void;
  /** Visits every record, and answers the bytes of all values. */
  scan(): number | Promise<number>;
  /** Bytes of the record at `index`. Absent where the store cannot. */
  readonly read?: (index: number) => number;
  close(): void | Promise<void>;
}

export interface Store {
  readonly name: string;
  /** What a killed process may lose after `append` returned: B its own buffer, K nothing. */
  readonly class: "B" | "K";
  /** The most records that this store is given in one run: slow ones get fewer. */
  readonly recordsMax: number;
  open(directory: string): OpenStore | Promise<OpenStore>;
}

export function ourStore(durability: LogDurability): Store {
  return {
    name: `cordwood ${durability}`,
    class: durability === "os" ? "K" : "B",
    recordsMax: durability === "os" ? 50_000 : 1_000_000,
    async open(directory) {
      const log = await openLog(directory, { durability });
      return {
        append: (value) => void log.append(value),
        settle: () => new Promise((resolve) => setImmediate(resolve)),
        appendDurably(value) {
          log.append(value);
          return log.flush();
        },
        appendBlocking(value) {
          log.append(value);
          log.flushSync();
        },
        scan() {
          let bytes = 0;
          for (const record of log.scan()) bytes += record.valueEnd - record.valueStart;
          return bytes;
        },
        read: (index) => log.read(index).value?.length ?? 0,
        close: () => log.close(),
      };
    },
  };
}

function line(value: Uint8Array): string {
  const text = Buffer.from(value.buffer, value.byteOffset, value.length).toString();
  return `{"value":${JSON.stringify(text)}}\n`;
}

/** What most programs do: a line of JSON for each record. */
export const jsonLines: Store = {
  name: "fs.appendFileSync JSON lines",
  class: "K",
  recordsMax: 50_000,
  open(directory) {
    mkdirSync(directory, { recursive: true });
    const path = join(directory, "log.jsonl");
    const descriptor = openSync(path, "a");
    return {
      append: (value) => appendFileSync(path, line(value)),
      settle() {},
      appendDurably(value) {
        appendFileSync(descriptor, line(value));
        fdatasyncSync(descriptor);
      },
      scan() {
        let bytes = 0;
        for (const text of readFileSync(path, "utf8").split("\n")) {
          if (text !== "") bytes += JSON.parse(text).value.length;
        }
        return bytes;
      },
      close: () => closeSync(descriptor),
    };
  },
};

interface Sqlite {
  exec(sql: string): unknown;
  prepare(sql: string): {
    run(...values: unknown[]): unknown;
    get(...values: unknown[]): unknown;
    iterate(...values: unknown[]): Iterable<unknown>;
  };
  close(): unknown;
}

function sqlite(name: string, openDatabase: (path: string) => Sqlite): Store {
  return {
    name,
    class: "K",
    recordsMax: 20_000,
    open(directory) {
      mkdirSync(directory, { recursive: true });
      const database = openDatabase(join(directory, "log.sqlite"));
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
      database.exec("CREATE TABLE IF NOT EXISTS log (id INTEGER PRIMARY KEY, value BLOB)");
      const add = database.prepare("INSERT INTO log (value) VALUES (?)");
      const one = database.prepare("SELECT value FROM log WHERE id = ?");
      let isFull = false;
      return {
        append: (value) => void add.run(value),
        settle() {},
        appendDurably(value) {
          if (!isFull) database.exec("PRAGMA synchronous = FULL");
          isFull = true;
          add.run(value);
        },
        scan() {
          let bytes = 0;
          for (const row of database.prepare("SELECT value FROM log ORDER BY id").iterate()) {
            bytes += valueOf(row).length;
          }
          return bytes;
        },
        read: (index) => valueOf(one.get(index + 1)).length,
        close: () => void database.close(),
      };
    },
  };
}

function valueOf(row: unknown): Uint8Array {
  const isRow = typeof row === "object" && row !== null && "value" in row;
  if (isRow && row.value instanceof Uint8Array) return row.value;
  throw new Error("a row without a value");
}

export const nodeSqlite = sqlite("node:sqlite (WAL, NORMAL)", (path) => new DatabaseSync(path));

/** Those that were installed in `directory`; see `peers.ts`. */
export function installedStores(directory: string): Store[] {
  const require = createRequire(join(directory, "package.json"));
  const found: Store[] = [];
  for (const [name, make] of [
    ["better-sqlite3", betterSqlite],
    ["lmdb", lmdb],
    ["classic-level", classicLevel],
  ] as const) {
    try {
      found.push(make(require(name)));
    } catch (error) {
      const why = error instanceof Error ? error.message.split("\n")[0] : String(error);
      process.stderr.write(`${name} is left out: ${why}\n`);
    }
  }
  return found;
}

// oxlint-disable-next-line typescript/no-explicit-any -- packages that this repository does not have
type Package = any;

function betterSqlite(Database: Package): Store {
  // An addon for another Node is only found out when it is used.
  new Database(":memory:").close();
  return sqlite("better-sqlite3 (WAL, NORMAL)", (path) => new Database(path));
}

function lmdb({ open }: Package): Store {
  return {
    name: "lmdb",
    class: "B",
    recordsMax: 100_000,
    open(directory) {
      const database = open({ path: directory, encoding: "binary", keyEncoding: "uint32" });
      let count = database.getStats().entryCount ?? 0;
      let last: Promise<unknown> = Promise.resolve();
      return {
        append(value) {
          last = database.put(count++, value);
        },
        async settle() {
          await last;
        },
        async appendDurably(value) {
          await database.put(count++, value);
          await database.flushed;
        },
        scan() {
          let bytes = 0;
          for (const { value } of database.getRange({})) bytes += value.length;
          return bytes;
        },
        read: (index) => database.getBinary(index).length,
        close: () => database.close(),
      };
    },
  };
}

function key(index: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(index);
  return bytes;
}

function classicLevel({ ClassicLevel }: Package): Store {
  return {
    name: "classic-level",
    class: "K",
    recordsMax: 20_000,
    async open(directory) {
      const options = { keyEncoding: "view", valueEncoding: "view" };
      const database = new ClassicLevel(directory, options);
      await database.open();
      let count = 0;
      let last: Promise<unknown> = Promise.resolve();
      return {
        append(value) {
          last = database.put(key(count++), value);
        },
        async settle() {
          await last;
        },
        appendDurably: (value) => database.put(key(count++), value, { sync: true }),
        async scan() {
          let bytes = 0;
          for await (const value of database.values()) bytes += value.length;
          return bytes;
        },
        close: () => database.close(),
      };
    },
  };
}

/** Bytes of all files under a directory. */
export function bytesOf(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}
