// The single log beside what programs use in its place: `npm run bench:embedded`.
//
// Runs of all stores are interleaved and the median of each figure is printed, so that whatever else
// the machine does meets all of them. `--quick` makes runs a tenth as long, `--only TEXT` measures the
// stores whose name has it, `--no-peers` leaves out what has to be installed. Where a goal is missed, a
// profile of the same work follows.
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";

import { openLog } from "../../src/index.ts";
import { workBehind } from "./missed.ts";
import { peersDirectory } from "./peers.ts";
import { cpuProfile, heapProfile } from "./profiles.ts";
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
/** One walk through all records takes 10 ms or less of the quick ones, half of it to compile the code. */
const SCANS = 5;
const newDirectory = (): string => join(root, String(directories++));

/** What a figure is held to: nanoseconds on the reference machine, or times another figure of the same run. */
type Goal =
  | { readonly ns: number; readonly rawName?: string }
  | { readonly times: number; readonly of: string };

const writeName = "the machine: write(2) of 200 B";
const writeLargeName = "the machine: write(2) of 64 KiB, for each KiB";
const deviceName = "the machine: write 4 KiB and fdatasync";
const deviceThreadName = "the machine: the same, fdatasync in a thread of Node";
const typedAppend = "typed topic, appendMany of 1,000";
const typedRead = "typed topic, read";

const goals: Readonly<Record<string, Goal>> = {
  "cordwood buffered append 10 B": { ns: 70 },
  "cordwood buffered append 50 B": { ns: 90 },
  "cordwood buffered append 200 B": { ns: 200 },
  "cordwood buffered append 1024 B": { ns: 600, rawName: writeLargeName },
  "cordwood os append 200 B": { ns: 900, rawName: writeName },
  "cordwood buffered scan 100 B": { ns: 100 },
  "cordwood buffered scan 1024 B": { ns: 512 },
  "cordwood buffered read 100 B": { ns: 250 },
  "cordwood read at random of 10000000 records": { ns: 1000 },
  "cordwood fsync one writer, flush": { times: 1.3, of: deviceThreadName },
  "cordwood fsync one writer, flushSync": { times: 1.3, of: deviceName },
  "cordwood fsync 64 writers": { ns: 10_000 },
  "cordwood reopen of 10000000 records": { ns: 200e6 },
  [typedAppend]: { times: 1 / 0.6, of: "JSON.stringify alone" },
  [typedRead]: { times: 1 / 0.6, of: "JSON.parse alone" },
};

const syncInThread = promisify(fdatasync);

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
    const walk = async (): Promise<void> => {
      const bytes = await open.scan();
      if (bytes !== count * size) throw new Error(`${store.name}: ${bytes} bytes were read`);
    };
    // The first one is for the compiler, as are the first reads at random below.
    await walk();
    const nanoseconds = await timed(SCANS * count, async () => {
      for (let n = 0; n < SCANS; n++) await walk();
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
    note(`${store.name} one writer, flush`, alone);
    const { appendBlocking } = open;
    if (appendBlocking !== undefined) {
      const blocking = await timed(each, () => {
        for (let n = 0; n < each; n++) appendBlocking(value);
      });
      note(`${store.name} one writer, flushSync`, blocking);
    }
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
async function measureDevice(): Promise<void> {
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
  note(deviceName, ((performance.now() - start) * 1e6) / count);
  const perSync = await timed(count, async () => {
    for (let n = 0; n < count; n++) {
      writeSync(descriptor, block, 0, 4096, (n % 256) * 4096);
      await syncInThread(descriptor);
    }
  });
  note(deviceThreadName, perSync);
  closeSync(descriptor);
}

/** The machine's own write into the page cache, which no log is quicker than. */
function measureWrites(): void {
  for (const [name, size, share] of [
    [writeName, 200, 1],
    [writeLargeName, 64 << 10, 64],
  ] as const) {
    const path = join(root, "writes");
    const descriptor = openSync(path, "w");
    const block = Buffer.alloc(size, 0x61);
    const count = Math.floor(Math.min(100_000, 200_000_000 / size) / scale);
    const start = performance.now();
    for (let n = 0; n < count; n++) writeSync(descriptor, block);
    note(name, ((performance.now() - start) * 1e6) / count / share);
    closeSync(descriptor);
    rmSync(path);
  }
}

async function measureManyRecords(): Promise<void> {
  const path = newDirectory();
  const count = 10_000_000 / scale;
  const log = await openLog(path, { durability: "buffered" });
  const value = new Uint8Array(10).fill(0x61);
  for (let n = 0; n < count; n++) log.append(value);
  await log.close();
  const start = performance.now();
  // Room for all of it: warm is what is asked for.
  const again = await openLog(path, { cacheBytes: 1 << 30 });
  note(`cordwood reopen of ${count} records`, (performance.now() - start) * 1e6);
  if (again.endOffset !== count) throw new Error("records are missing");
  for (let n = 0; n < count; n += 200) again.read(n);
  let state = 1;
  const reads = 500_000 / scale;
  const perRead = await timed(reads, () => {
    for (let n = 0; n < reads; n++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      if (again.read((state >>> 1) % count).value?.length !== 10) throw new Error("a wrong record");
    }
  });
  note(`cordwood read at random of ${count} records`, perRead);
  await again.close();
  rmSync(path, { recursive: true, force: true });
}

/** Bytes that a record takes on the heap, if only for a moment, on append and on scan. */
async function measureHeap(): Promise<void> {
  const path = newDirectory();
  const log = await openLog(path, { durability: "buffered" });
  const value = new Uint8Array(100).fill(0x61);
  const count = 1_000_000 / scale;
  const append = (): void => {
    for (let n = 0; n < count; n++) log.append(value);
  };
  const scan = (): void => {
    for (const record of log.scan({ from: -count })) void record.valueEnd;
  };
  for (const [name, run] of [
    ["append", append],
    ["scan", scan],
  ] as const) {
    run();
    const { bytes, largest } = await heapProfile(run);
    note(`cordwood ${name}, heap bytes a record`, bytes / count);
    const most = largest.slice(0, 3).map((one) => `${one.name} ${one.percent.toFixed(0)} %`);
    process.stderr.write(
      `heap of ${name}, ${bytes} bytes for ${count} records: ${most.join(", ")}\n`,
    );
  }
  await log.close();
  rmSync(path, { recursive: true, force: true });
}

/** The same work again, where its goal was missed, to see where its time goes. */
async function reportProfiles(missed: readonly string[]): Promise<void> {
  for (const name of missed) {
    const prepare = workBehind[name];
    if (prepare === undefined) continue;
    const directory = newDirectory();
    const work = await prepare(directory, scale);
    const { idlePercent, shares } = await cpuProfile(() => work.run());
    await work.end();
    rmSync(directory, { recursive: true, force: true });
    process.stdout.write(`\nwhere the time goes: ${name}\n`);
    if (idlePercent >= 1) {
      process.stdout.write(`${idlePercent.toFixed(1).padStart(6)} % of it waiting; of the rest:\n`);
    }
    const busyNs = (figureOf(name) * (100 - idlePercent)) / 100;
    for (const { percent, name: part } of shares) {
      const ns = ((busyNs * percent) / 100).toFixed(busyNs < 1000 ? 1 : 0).padStart(10);
      process.stdout.write(`${percent.toFixed(1).padStart(6)} %${ns} ns  ${part}\n`);
    }
  }
}

async function measureRound(stores: readonly Store[]): Promise<void> {
  await measureDevice();
  measureWrites();
  for (const size of [10, 50, 200, 1024]) {
    for (const store of stores) await measureAppend(store, size);
  }
  for (const size of [100, 1024]) {
    for (const store of stores) await measureReads(store, size);
  }
  for (const store of stores) await measureDurable(store);
  await measureManyRecords();
  const typed = await measureTyped(newDirectory(), 100_000 / scale);
  note("JSON.stringify alone", typed.stringifyNs);
  note(typedAppend, typed.appendNs);
  note("JSON.parse alone", typed.parseNs);
  note(typedRead, typed.readNs);
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[values.length >> 1] ?? NaN;
}

function figureOf(name: string): number {
  return median(figures.get(name) ?? []);
}

/** Prints every figure, and answers those whose goal was missed. */
function report(): string[] {
  process.stdout.write("\nmedians; nanoseconds for a record where nothing else is said\n\n");
  const missed: string[] = [];
  for (const name of figures.keys()) {
    const figure = figureOf(name);
    const goal = goals[name];
    const text = figure >= 100 ? figure.toFixed(0) : figure.toFixed(1);
    const verdict = goal === undefined ? "" : verdictOf(figure, goal);
    if (verdict.includes("MISSED")) missed.push(name);
    process.stdout.write(`${name.padEnd(58)}${text.padStart(12)}${verdict}\n`);
  }
  return missed;
}

function verdictOf(figure: number, goal: Goal): string {
  if ("times" in goal) {
    const times = figure / figureOf(goal.of);
    const isMet = times <= goal.times;
    return `  ${times.toFixed(2)} of ${goal.of}, goal ${goal.times.toFixed(2)}: ${isMet ? "met" : "MISSED"}`;
  }
  const raw = goal.rawName === undefined ? NaN : figureOf(goal.rawName);
  const beside = Number.isNaN(raw) ? "" : `  ${(figure / raw).toFixed(1)} of ${goal.rawName}`;
  return `  goal ${goal.ns}: ${figure <= goal.ns ? "met" : "MISSED"}${beside}`;
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
  await measureHeap();
  await reportProfiles(report());
} finally {
  rmSync(root, { recursive: true, force: true });
}
