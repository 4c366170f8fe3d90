// Random sequences of operations on a store, against a model that keeps an array for each partition.
import { MemoryDisk, seededFates, SeededRandom } from "../../src/env/index.ts";
import type { PartitionLog } from "../../src/storage/index.ts";
import { append, openStore, type OpenedStore, readAll, TOPIC } from "../fixtures/store.ts";
import { untilSettled } from "./settle.ts";

const partitionCount = 2;
const stepsMax = 14;

const compaction = {
  deleteRetentionMs: 0,
  lagMinMs: 0,
  lagMaxMs: Infinity,
  dirtyRatioMin: 0,
  endOffset: () => Infinity,
};
/** Of so many keys one is taken for a batch, or none. */
const keyCount = 3;

interface ModelLog {
  startOffset: number;
  /** By offset. */
  readonly timestamps: number[];
  readonly keys: (string | undefined)[];
  /** Offsets that a compaction has emptied. */
  readonly removed: Set<number>;
  /** What the last checkpoint has. */
  checkpointed: { readonly startOffset: number; readonly endOffset: number };
}

/** Plays one sequence; throws at the first difference. */
export async function playSequence(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  // Every other one, so that seeds which found something keep their meaning.
  const sequence = new Sequence(random, seed % 2 === 0 ? new SeededRandom(~seed) : undefined);
  await sequence.open();
  try {
    const steps = 1 + random.below(stepsMax);
    for (let step = 0; step < steps; step++) await sequence.step();
    await sequence.compare();
  } catch (error) {
    throw new Error(sequence.done.join(" "), { cause: error });
  }
}

class Sequence {
  readonly done: string[] = [];
  readonly #random: SeededRandom;
  readonly #model: ModelLog[] = Array.from({ length: partitionCount }, () => ({
    startOffset: 0,
    timestamps: [],
    keys: [],
    removed: new Set(),
    checkpointed: { startOffset: 0, endOffset: 0 },
  }));
  readonly #options: {
    readonly walFileBytes: number;
    readonly segmentBytes: number;
    readonly segmentRecords: number;
    readonly segmentMs: number;
    readonly durability: "fsync" | "os";
  };
  #opened: OpenedStore | undefined;
  #nowMs = 1_000;

  constructor(random: SeededRandom, limits: SeededRandom | undefined) {
    this.#random = random;
    this.#options = {
      walFileBytes: 600 + random.below(3_000),
      segmentBytes: 300 + random.below(3_000),
      durability: random.below(3) === 0 ? "os" : "fsync",
      segmentRecords: 1 + (limits?.below(20) ?? Infinity),
      segmentMs: 50 + (limits?.below(300) ?? Infinity),
    };
  }

  get #world(): OpenedStore {
    if (this.#opened === undefined) throw new Error("the store is open");
    return this.#opened;
  }

  #log(partition: number): PartitionLog {
    return this.#world.store.openLog(TOPIC, partition);
  }

  async open(disk: MemoryDisk = new MemoryDisk()): Promise<void> {
    this.#opened = await openStore(disk, this.#options);
  }

  async step(): Promise<void> {
    const random = this.#random;
    const partition = random.below(partitionCount);
    const model = this.#model[partition];
    if (model === undefined) return;
    const log = this.#log(partition);
    const what = random.below(13);
    if (what < 5) this.#append(partition, model);
    else if (what === 5) await this.#moveStart(log, model);
    else if (what === 6) await this.#retain(log, model);
    else if (what < 9) await this.#checkpoint();
    else if (what === 9) await this.#readSome(log, model);
    else if (what === 12) await this.#compact(log, model);
    else await this.#restart(what === 10);
  }

  /** All that was appended is as durable as it is to be: with `os` that is before any sync. */
  async #settle(): Promise<void> {
    if (this.#options.durability === "os") this.#world.store.flush();
    else await untilSettled(this.#world);
  }

  #append(partition: number, model: ModelLog): void {
    const recordCount = 1 + this.#random.below(4);
    this.#nowMs += this.#random.below(100);
    const number = this.#random.below(keyCount + 1);
    const key = number === keyCount ? undefined : `k${number}`;
    this.done.push(`append ${partition} ${recordCount} ${key}`);
    const batch = { recordCount, timestampMs: this.#nowMs, key };
    append(this.#world.store, this.#log(partition), batch);
    for (let i = 0; i < recordCount; i++) {
      model.timestamps.push(this.#nowMs);
      model.keys.push(key);
    }
    if (this.#random.below(2) === 0) this.#world.store.flush();
  }

  async #moveStart(log: PartitionLog, model: ModelLog): Promise<void> {
    await this.#settle();
    const { startOffset } = model;
    const target = startOffset + this.#random.below(model.timestamps.length - startOffset + 1);
    this.done.push(`delete ${log.partition} ${target}`);
    this.#world.store.moveStart(log, target);
    await this.#settle();
    model.startOffset = Math.max(startOffset, target);
  }

  async #retain(log: PartitionLog, model: ModelLog): Promise<void> {
    await this.#settle();
    const isByTime = this.#random.below(2) === 0;
    const retentionMs = isByTime ? this.#random.below(300) : Infinity;
    const retentionBytes = isByTime ? Infinity : this.#random.below(2_000);
    this.done.push(`retain ${log.partition} ${retentionMs} ${retentionBytes}`);
    const { sizeBytes } = log;
    const limits = { nowMs: this.#nowMs, retentionMs, retentionBytes };
    const moved = this.#world.store.retain(log, limits) ?? model.startOffset;
    if (moved < model.startOffset || moved > model.timestamps.length) throw new Error("out of it");
    const tooNew = offsetsOf(model, model.startOffset, moved).some(
      (offset) => (model.timestamps[offset] ?? 0) >= this.#nowMs - retentionMs,
    );
    if (isByTime && tooNew) throw new Error("a record was removed that is too new");
    if (!isByTime && moved > model.startOffset && sizeBytes < retentionBytes) {
      throw new Error("records were removed though there is room");
    }
    await this.#settle();
    model.startOffset = moved;
  }

  /** Of the records with one key the newest stays; with little memory for keys that takes several passes. */
  async #compact(log: PartitionLog, model: ModelLog): Promise<void> {
    await this.#settle();
    const keyBytesMax = this.#random.below(2) === 0 ? 1 << 20 : 100;
    this.done.push(`compact ${log.partition} ${keyBytesMax}`);
    const { env, store } = this.#world;
    await env.run(store.compact(log, { ...compaction, keyBytesMax }));
    const newest = new Map(model.keys.map((key, offset) => [key, offset]));
    for (const [offset, key] of model.keys.entries()) {
      const isReplaced = key !== undefined && (newest.get(key) ?? 0) > offset;
      if (isReplaced && offset >= model.startOffset) model.removed.add(offset);
    }
    this.#noteCheckpoint();
  }

  #noteCheckpoint(): void {
    for (const model of this.#model) {
      const { startOffset, timestamps } = model;
      model.checkpointed = { startOffset, endOffset: timestamps.length };
    }
  }

  async #checkpoint(): Promise<void> {
    this.done.push("checkpoint");
    await this.#world.env.run(this.#world.store.checkpoint());
    this.#noteCheckpoint();
  }

  async #restart(isClean: boolean): Promise<void> {
    await this.#settle();
    const { env, store } = this.#world;
    const losesPower = this.#random.below(2) === 0;
    this.done.push(isClean ? "close" : losesPower ? "power" : "kill");
    if (isClean) await env.run(store.close());
    const isLossy = losesPower && !isClean && this.#options.durability === "os";
    const fates = seededFates(this.#random.uint32());
    await this.open(losesPower ? env.disk.crash(fates) : env.disk.kill());
    if (isLossy) this.#forgetWhatWasLost();
    await this.compare();
  }

  /** With durability `os` the power takes what no checkpoint has, from the end. */
  #forgetWhatWasLost(): void {
    for (const [partition, model] of this.#model.entries()) {
      const { startOffset, endOffset } = this.#log(partition);
      const { checkpointed, timestamps, keys, removed } = model;
      const isPossible =
        endOffset >= checkpointed.endOffset &&
        endOffset <= timestamps.length &&
        startOffset >= checkpointed.startOffset &&
        startOffset <= model.startOffset;
      if (!isPossible) {
        throw new Error(
          `${partition}: [${startOffset}, ${endOffset}) is left of [${model.startOffset}, ${timestamps.length}); a checkpoint had [${checkpointed.startOffset}, ${checkpointed.endOffset})`,
        );
      }
      model.startOffset = startOffset;
      timestamps.length = endOffset;
      keys.length = endOffset;
      for (const offset of removed) if (offset >= endOffset) removed.delete(offset);
    }
  }

  async #readSome(log: PartitionLog, model: ModelLog): Promise<void> {
    const { startOffset, timestamps } = model;
    const from = startOffset + this.#random.below(timestamps.length - startOffset + 1);
    this.done.push(`read ${log.partition} ${from}`);
    await this.#settle();
    const found = await readAll(log, { from, bytesMax: 1 + this.#random.below(500) });
    check(found, offsetsOf(model, from));
    const timestampMs = this.#nowMs - this.#random.below(400);
    const sought = log.seekTime(timestampMs);
    const first = offsetsOf(model, startOffset).find(
      (offset) => (timestamps[offset] ?? 0) >= timestampMs,
    );
    if (first !== undefined && (sought === undefined || sought > first)) {
      throw new Error(`time ${timestampMs} is at ${first}, reading would begin at ${sought}`);
    }
  }

  async compare(): Promise<void> {
    await this.#settle();
    for (const [partition, model] of this.#model.entries()) {
      const { startOffset, timestamps } = model;
      const log = this.#log(partition);
      if (log.startOffset !== startOffset || log.endOffset !== timestamps.length) {
        throw new Error(
          `${partition}: [${log.startOffset}, ${log.endOffset}), not [${startOffset}, ${timestamps.length})`,
        );
      }
      check(await readAll(log), offsetsOf(model, startOffset));
    }
  }
}

/** Offsets with a record, from `start` up to `end`. */
function offsetsOf(model: ModelLog, start: number, end = model.timestamps.length): number[] {
  return [...model.timestamps.keys()].filter(
    (offset) => offset >= start && offset < end && !model.removed.has(offset),
  );
}

/** The values of the fixture are their offsets. */
function check(found: readonly [number, string][], offsets: readonly number[]): void {
  const isEqual =
    found.length === offsets.length &&
    found.every(([offset, value], i) => offset === offsets[i] && value === String(offset));
  if (!isEqual) throw new Error(`${offsets.join()} reads as ${JSON.stringify(found)}`);
}
