// The work behind each figure that has a goal, alone: what is profiled where the goal was missed.
import { setImmediate as settled } from "node:timers/promises";

import { type LogDurability, openLog } from "../../src/index.ts";
import { type OpenStore, ourStore } from "./stores.ts";
import { TypedWork } from "./typed.ts";

export interface Work {
  run(): void | Promise<void>;
  /** Undoes what was prepared for it. */
  end(): void | Promise<void>;
}

/** Prepares work in a directory that is not there yet; `scale` says how much less of it than in a full run. */
type Prepare = (directory: string, scale: number) => Work | Promise<Work>;

const reads = 200_000;

/** By the figure's name. */
export const workBehind: Readonly<Record<string, Prepare>> = {
  "cordwood buffered append 10 B": appends("buffered", 10, 10_000_000),
  "cordwood buffered append 50 B": appends("buffered", 50, 4_000_000),
  "cordwood buffered append 200 B": appends("buffered", 200, 1_000_000),
  "cordwood buffered append 1024 B": appends("buffered", 1024, 100_000),
  "cordwood os append 200 B": appends("os", 200, 100_000),
  "cordwood buffered scan 100 B": scans(100),
  "cordwood buffered scan 1024 B": scans(1024),
  "cordwood buffered read 100 B": readsAtRandom(100, 100_000),
  "cordwood read at random of 10000000 records": readsAtRandom(10, 10_000_000),
  "cordwood reopen of 10000000 records": reopens(10_000_000),
  "cordwood fsync one writer, flush": durably(async ({ appendDurably }) => {
    for (let n = 0; n < 200; n++) await appendDurably?.(value);
  }),
  "cordwood fsync one writer, flushSync": durably(({ appendBlocking }) => {
    for (let n = 0; n < 200; n++) appendBlocking?.(value);
  }),
  "cordwood fsync 64 writers": durably(async ({ appendDurably }) => {
    const writer = async (): Promise<void> => {
      for (let n = 0; n < 50; n++) await appendDurably?.(value);
    };
    await Promise.all(Array.from({ length: 64 }, writer));
  }),
  "typed topic, appendMany of 1,000": async (directory, scale) => {
    const work = await TypedWork.open(directory, 200_000 / scale);
    return { run: () => work.append(), end: () => work.end() };
  },
  "typed topic, read": async (directory, scale) => {
    const work = await TypedWork.open(directory, 200_000 / scale);
    await work.append();
    return { run: () => work.read(), end: () => work.end() };
  },
};

const value = new Uint8Array(200).fill(0x61);

function appends(durability: LogDurability, size: number, full: number): Prepare {
  return async (directory, scale) => {
    const log = await openLog(directory, { durability });
    const record = new Uint8Array(size).fill(0x61);
    const run = (): Promise<void> => {
      for (let n = 0; n < full / scale; n++) log.append(record);
      return settled();
    };
    return { run, end: () => log.close() };
  };
}

async function writeLog(
  directory: string,
  how: { readonly durability: LogDurability; readonly size: number; readonly count: number },
): Promise<void> {
  const log = await openLog(directory, { durability: how.durability });
  const record = new Uint8Array(how.size).fill(0x61);
  for (let n = 0; n < how.count; n++) log.append(record);
  await log.close();
}

function scans(size: number): Prepare {
  return async (directory, scale) => {
    const count = 100_000 / scale;
    await writeLog(directory, { durability: "buffered", size, count });
    const log = await openLog(directory);
    const run = (): void => {
      for (let n = 0; n < 10; n++) {
        for (const record of log.scan()) void record.valueEnd;
      }
    };
    return { run, end: () => log.close() };
  };
}

function readsAtRandom(size: number, full: number): Prepare {
  return async (directory, scale) => {
    const count = full / scale;
    await writeLog(directory, { durability: "buffered", size, count });
    const log = await openLog(directory, { cacheBytes: 1 << 30 });
    for (let n = 0; n < count; n += 10) log.read(n);
    let state = 1;
    const run = (): void => {
      for (let n = 0; n < (5 * reads) / scale; n++) {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
        if (log.read((state >>> 1) % count).value?.length !== size) throw new Error("a wrong one");
      }
    };
    return { run, end: () => log.close() };
  };
}

function reopens(full: number): Prepare {
  return async (directory, scale) => {
    await writeLog(directory, { durability: "buffered", size: 10, count: full / scale });
    const run = async (): Promise<void> => {
      const log = await openLog(directory);
      await log.close();
    };
    return { run, end() {} };
  };
}

function durably(run: (store: OpenStore) => void | Promise<void>): Prepare {
  return async (directory) => {
    const store = await ourStore("fsync").open(directory);
    return { run: () => run(store), end: () => store.close() };
  };
}
