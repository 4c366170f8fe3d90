// A store with as many segments as 100 GB would have, made small: opening it, and reading all of it.
import { readdirSync } from "node:fs";

import { nodeEnv } from "../../src/env/node/index.ts";
import { BatchBuilder, BatchHeader, patchBatch } from "../../src/records/index.ts";
import {
  type PartitionLog,
  Store,
  type StoreOptions,
  type StoreOwner,
} from "../../src/storage/index.ts";
import { freshDirectory, removeDirectory } from "../server/brokers.ts";
import type { Bound } from "./bound.ts";

const topicId = "6f6f6f6f-6f6f-4f6f-8f6f-6f6f6f6f6f6f";
const partitionCount = 64;
const segmentBytes = 2 ** 20;
const batchValueBytes = 64 * 2 ** 10;
/** 100 GB are 1,600 segments of 64 MiB. */
const storeBytes = [100 * 2 ** 20, 400 * 2 ** 20, 1_600 * 2 ** 20];
const openings = 3;
const slopeMsMax = 100;
const descriptorsMax = 560;

/** Gives batches no meaning. */
class NoOwner implements StoreOwner {
  recoverPartition(): void {}
  recoverBatch(): void {}
  written(): void {}
  durable(): void {}
  failed(error: Error): void {
    throw error;
  }
  snapshot(): Uint8Array {
    return new Uint8Array(0);
  }
  fatal(error: Error): void {
    throw error;
  }
}

export async function manySegments(say: (line: string) => void): Promise<Bound[]> {
  const medians: number[] = [];
  let descriptors = 0;
  for (const bytes of storeBytes) {
    const directory = freshDirectory("segments");
    const segments = await fillStore(directory, bytes);
    const ms = await openingMs(directory);
    const mb = Math.round(bytes / 1e6).toLocaleString("en");
    say(`  opening a store of ${mb} MB in ${segments} segments: ${ms.toFixed(1)} ms`);
    medians.push(ms);
    descriptors = await descriptorsOfReading(directory);
    removeDirectory(directory);
  }
  const [first = 0] = medians;
  const slope = Math.max(...medians) - first;
  return [
    {
      what: "opening as many segments as 100 GB have, against a 16th",
      figure: slope,
      limit: slopeMsMax,
      unit: "ms",
    },
    {
      what: "reading all of them, descriptors",
      figure: descriptors,
      limit: descriptorsMax,
      unit: "",
    },
  ];
}

function openStore(directory: string): Promise<Store> {
  const options: StoreOptions = {
    directory,
    durability: "os",
    segmentBytes,
    walFileBytes: 16 * 2 ** 20,
    checkpointBytes: 32 * 2 ** 20,
  };
  return Store.open(nodeEnv({}), options, new NoOwner());
}

/** Returns how many segments came of it. */
async function fillStore(directory: string, bytes: number): Promise<number> {
  const store = await openStore(directory);
  const builder = new BatchBuilder({ codec: "none" });
  builder.append(Date.now(), undefined, new Uint8Array(batchValueBytes));
  const batch = builder.finish();
  const header = new BatchHeader();
  let written = 0;
  let sinceCheckpoint = 0;
  while (written < bytes) {
    for (let partition = 0; partition < partitionCount; partition += 1) {
      const log = store.openLog(topicId, partition);
      patchBatch(batch, 0, log.endOffset, store.incarnation);
      header.read(batch, 0);
      store.append(log, batch, header);
      store.flush();
      written += batch.length;
      sinceCheckpoint += batch.length;
    }
    if (sinceCheckpoint < 32 * 2 ** 20) continue;
    await store.checkpoint();
    sinceCheckpoint = 0;
  }
  await store.checkpoint();
  await store.close();
  return readdirSync(`${directory}/segments`).length;
}

async function openingMs(directory: string): Promise<number> {
  const times: number[] = [];
  // Code that runs for the first time is no property of the store.
  await (await openStore(directory)).close();
  for (let opening = 0; opening < openings; opening += 1) {
    const startMs = performance.now();
    const store = await openStore(directory);
    times.push(performance.now() - startMs);
    await store.close();
  }
  return times.toSorted((a, b) => a - b)[openings >> 1] ?? Infinity;
}

async function descriptorsOfReading(directory: string): Promise<number> {
  const store = await openStore(directory);
  const before = readdirSync("/proc/self/fd").length;
  let most = 0;
  for (const log of store.logs()) {
    await readAll(log);
    most = Math.max(most, readdirSync("/proc/self/fd").length - before);
  }
  await store.close();
  return most;
}

async function readAll(log: PartitionLog): Promise<void> {
  const limits = { bytesMax: 2 ** 20, endOffset: log.endOffset, atLeastOneBatch: true };
  for (let offset = log.startOffset; offset < log.endOffset;) {
    const fetched = await log.read(offset, limits);
    if (fetched === undefined) throw new Error(`partition ${log.partition}: nothing at ${offset}`);
    offset = fetched.nextOffset;
    fetched.release();
  }
}
