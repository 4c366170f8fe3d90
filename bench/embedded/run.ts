// The single log beside what programs use in its place: `npm run bench:embedded`.
//
// Runs of all stores are interleaved and the median of each figure is printed, so that whatever else
// the machine does meets all of them. `--quick` makes runs a tenth as long, `--only TEXT` measures the
// stores whose name has it, `--no-peers` leaves out what has to be installed.
import { fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { openLog } from "../../src/index.ts";
import { peersDirectory } from "./peers.ts";
import {
  bytesOf,
  installedStores,
  jsonLines,
  nodeSqlite,
  type OpenStore,
  ourStore,
  type Store,
} from "./stores.ts";
import { measureTyped } from "./typed.ts";

const { values: flags } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    "no-peers": { type: "boolean", default: false },
    only: { type: "string", default: "" },
    runs: { type: "string", default: "3" },
    dir: { type: "string", default: tmpdir() },
  },
});
const runs = Number(flags.runs);
const scale = flags.quick ? 10 : 1;
const root = mkdtempSync(join(flags.dir, "cordwood-bench-"));
let directories = 0;
const newDirectory = (): string => join(root, String(directories++));

const goals: Readonly<Record<string, number>> = {
  "cordwood buffered append 10 B": 70,
  "cordwood buffered append 50 B": 90,
  "cordwood buffered append 200 B": 200,
  "cordwood buffered append 1024 B": 600,
  "cordwood os append 200 B": 900,
  "cordwood buffered scan 100 B": 100,
  "cordwood buffered scan 1024 B": 512,
  "cordwood buffered read 100 B": 250,
  "cordwood fsync 64 writers": 10_000,
};

/** Nanoseconds for one record, of every run. */
const figures = new Map<string, number[]>();

function note(name: string, nanoseconds: number): void {
  const known = figures.get(name);
  if (known === undefined) figures.set(name, [nanoseconds]);
  else known.push(nanoseconds);
}

async function timed(count: number, run: () => void | Promise<void>): Promise<number> {
  const start = performance.now();
  await run();
  return ((performance.now() - start) * 1e6) / count;
}

async function withStore<T>(
  store: Store,
  use: (open: OpenStore, path: string) => Promise<T>,
): Promise<T> {
  const path = newDirectory();
  const open = await store.open(path);
  try {
    return await use(open, path);
  } finally {
    await open.close();
    rmSync(path, { recursive: true, force: true });
  }
}

async function measureAppend(store: Store, size: number): Promise<void> {
  const count = Math.floor(Math.min(store.recordsMax, 400_000_000 / size) / scale);
  const value = new Uint8Array(size).fill(0x61);
  await withStore(store, async (open) => {
    const nanoseconds = await timed(count, async () => {
      for (let n = 0; n < count; n++) open.append(value);
      await open.settle();
    });
    note(`${store.name} append ${size} B`, nanoseconds);
  });
}

async function measureReads(store: Store, size: number): Promise<void> {
  const count = Math.floor(Math.min(store.recordsMax, 100_000) / scale);
  const value = new Uint8Array(size).fill(0x61);
  await withStore(store, async (open, path) => {
    for (let n = 0; n < count; n++) open.append(value);
    await open.settle();
    note(`${store.name} bytes on disk, ${size} B`, bytesOf(path) / count);
    const nanoseconds = await timed(count, async () => {
      const bytes = await open.scan();
      if (bytes !== count * size) throw new Error(`${store.name}: ${bytes} bytes were read`);
    });
    note(`${store.name} scan ${size} B`, nanoseconds);
    const { read } = open;
    if (read === undefined) return;
    for (let n = 0; n < count; n += 10) read(n);
    let state = 1;
    const reads = 200_000 / scale;
    const perRead = await timed(reads, () => {
      for (let n = 0; n < reads; n++) {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        if (read((state >>> 4) % count) !== size) throw new Error("a wrong record");
      }
    });
    note(`${store.name} read ${size} B`, perRead);
  });
}

async function measureDurable(store: Store): Promise<void> {
  const value = new Uint8Array(200).fill(0x61);
  await withStore(store, async (open) => {
    const append = open.appendDurably;
    if (append === undefined) return;
    const each = 200 / scale;
    for (let n = 0; n < 5; n++) await append(value);
    const alone = await timed(each, async () => {
      for (let n = 0; n < each; n++) await append(value);
    });
    note(`${store.name} one writer, durable`, alone);
    const rounds = 50 / scale;
    const together = await timed(64 * rounds, async () => {
      await Promise.all(Array.from({ length: 64 }, () => repeat(rounds, append, value)));
    });
    note(`${store.name} 64 writers`, together);
  });
}

async function repeat(
  times: number,
  append: NonNullable<OpenStore["appendDurably"]>,
  value: Uint8Array,
): Promise<void> {
  for (let n = 0; n < times; n++) await append(value);
}

/** The machine's own: a block over blocks that are written already, and its fdatasync. */
function measureDevice(): void {
  const descriptor = openSync(join(root, "device"), "w");
  const block = Buffer.alloc(4096, 0x61);
  for (let n = 0; n < 256; n++) writeSync(descriptor, block, 0, 4096, n * 4096);
  fdatasyncSync(descriptor);
  const start = performance.now();
  const count = 200 / scale;
  for (let n = 0; n < count; n++) {
    writeSync(descriptor, block, 0, 4096, (n % 256) * 4096);
    fdatasyncSync(descriptor);
  }
  note("the device: write 4 KiB and fdatasync", ((performance.now() - start) * 1e6) / count);
}

async function measureReopen(): Promise<void> {
  const path = newDirectory();
  const count = 10_000_000 / scale;
  const log = await openLog(path, { durability: "buffered" });
  const value = new Uint8Array(10).fill(0x61);
  for (let n = 0; n < count; n++) log.append(value);
  await log.close();
  const start = performance.now();
  const again = await openLog(path);
  note(`cordwood reopen of ${count} records`, (performance.now() - start) * 1e6);
  if (again.endOffset !== count) throw new Error("records are missing");
  await again.close();
  rmSync(path, { recursive: true, force: true });
}

/** Bytes of garbage that a record leaves, on append and on scan. */
async function measureGarbage(): Promise<void> {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") return;
  const path = newDirectory();
  const log = await openLog(path, { durability: "buffered" });
  const value = new Uint8Array(100).fill(0x61);
  const count = 100_000;
  for (const [name, run] of [
    ["append", () => void log.append(value)],
    ["scan", undefined],
  ] as const) {
    const work = (): void => {
      if (run === undefined) for (const record of log.scan({ from: -count })) void record.valueEnd;
      else for (let n = 0; n < count; n++) run();
    };
    work();
    collect();
    const before = process.memoryUsage().heapUsed;
    work();
    note(
      `cordwood ${name}, heap bytes a record`,
      (process.memoryUsage().heapUsed - before) / count,
    );
  }
  await log.close();
  rmSync(path, { recursive: true, force: true });
}

async function measureRound(stores: readonly Store[]): Promise<void> {
  measureDevice();
  for (const size of [10, 50, 200, 1024]) {
    for (const store of stores) await measureAppend(store, size);
  }
  for (const size of [100, 1024]) {
    for (const store of stores) await measureReads(store, size);
  }
  for (const store of stores) await measureDurable(store);
  await measureReopen();
  const typed = await measureTyped(newDirectory(), 100_000 / scale);
  note("JSON.stringify alone", typed.stringifyNs);
  note("typed topic, appendMany of 1,000", typed.appendNs);
  note("JSON.parse alone", typed.parseNs);
  note("typed topic, read", typed.readNs);
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? NaN;
}

function report(): void {
  process.stdout.write("\nmedians; nanoseconds for a record where nothing else is said\n\n");
  for (const [name, values] of figures) {
    const figure = median(values);
    const goal = goals[name];
    const verdict =
      goal === undefined ? "" : figure <= goal ? `  goal ${goal}: met` : `  goal ${goal}: MISSED`;
    const text = figure >= 100 ? figure.toFixed(0) : figure.toFixed(1);
    process.stdout.write(`${name.padEnd(58)}${text.padStart(12)}${verdict}\n`);
  }
}

try {
  const peers = flags["no-peers"] ? undefined : peersDirectory();
  const stores = [
    ourStore("buffered"),
    ourStore("os"),
    ourStore("fsync"),
    jsonLines,
    nodeSqlite,
    ...(peers === undefined ? [] : installedStores(peers)),
  ].filter(({ name }) => name.includes(flags.only));
  for (let round = 0; round < runs; round++) {
    process.stderr.write(`round ${round + 1} of ${runs}\n`);
    await measureRound(stores);
  }
  await measureGarbage();
  report();
} finally {
  rmSync(root, { recursive: true, force: true });
}
