// Random sequences of operations on a store, against a model that keeps an array for each partition.
import { MemoryDisk, SeededRandom } from "../../src/env/index.ts";
import type { PartitionLog } from "../../src/storage/index.ts";
import { append, openStore, type OpenedStore, readAll, TOPIC } from "../fixtures/store.ts";
import { untilSettled } from "./settle.ts";

const partitionCount = 2;
const stepsMax = 14;

interface ModelLog {
  startOffset: number;
  /** By offset. */
  readonly timestamps: number[];
}

/** Plays one sequence; throws at the first difference. */
export async function playSequence(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const sequence = new Sequence(random);
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
  }));
  readonly #options: { readonly walFileBytes: number; readonly segmentBytes: number };
  #opened: OpenedStore | undefined;
  #nowMs = 1_000;

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#options = {
      walFileBytes: 600 + random.below(3_000),
      segmentBytes: 300 + random.below(3_000),
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
    const what = random.below(12);
    if (what < 5) this.#append(partition, model);
    else if (what === 5) await this.#moveStart(log, model);
    else if (what === 6) await this.#retain(log, model);
    else if (what < 9) await this.#checkpoint();
    else if (what === 9) await this.#readSome(log, model);
    else await this.#restart(what === 10);
  }

  #append(partition: number, model: ModelLog): void {
    const recordCount = 1 + this.#random.below(4);
    this.#nowMs += this.#random.below(100);
    this.done.push(`append ${partition} ${recordCount}`);
    append(this.#world.store, this.#log(partition), { recordCount, timestampMs: this.#nowMs });
    for (let i = 0; i < recordCount; i++) model.timestamps.push(this.#nowMs);
    if (this.#random.below(2) === 0) this.#world.store.flush();
  }

  async #moveStart(log: PartitionLog, model: ModelLog): Promise<void> {
    await untilSettled(this.#world);
    const { startOffset } = model;
    const target = startOffset + this.#random.below(model.timestamps.length - startOffset + 1);
    this.done.push(`delete ${log.partition} ${target}`);
    this.#world.store.moveStart(log, target);
    await untilSettled(this.#world);
    model.startOffset = Math.max(startOffset, target);
  }

  async #retain(log: PartitionLog, model: ModelLog): Promise<void> {
    await untilSettled(this.#world);
    const isByTime = this.#random.below(2) === 0;
    const retentionMs = isByTime ? this.#random.below(300) : Infinity;
    const retentionBytes = isByTime ? Infinity : this.#random.below(2_000);
    this.done.push(`retain ${log.partition} ${retentionMs} ${retentionBytes}`);
    const { sizeBytes } = log;
    const limits = { nowMs: this.#nowMs, retentionMs, retentionBytes };
    const moved = this.#world.store.retain(log, limits) ?? model.startOffset;
    if (moved < model.startOffset || moved > model.timestamps.length) throw new Error("out of it");
    const tooNew = model.timestamps
      .slice(model.startOffset, moved)
      .some((timestamp) => timestamp >= this.#nowMs - retentionMs);
    if (isByTime && tooNew) throw new Error("a record was removed that is too new");
    if (!isByTime && moved > model.startOffset && sizeBytes < retentionBytes) {
      throw new Error("records were removed though there is room");
    }
    await untilSettled(this.#world);
    model.startOffset = moved;
  }

  async #checkpoint(): Promise<void> {
    this.done.push("checkpoint");
    await this.#world.env.run(this.#world.store.checkpoint());
  }

  async #restart(isClean: boolean): Promise<void> {
    await untilSettled(this.#world);
    const { env, store } = this.#world;
    const losesPower = this.#random.below(2) === 0;
    this.done.push(isClean ? "close" : losesPower ? "power" : "kill");
    if (isClean) await env.run(store.close());
    await this.open(losesPower ? env.disk.crash(() => "lost") : env.disk.kill());
    await this.compare();
  }

  async #readSome(log: PartitionLog, model: ModelLog): Promise<void> {
    const { startOffset, timestamps } = model;
    const from = startOffset + this.#random.below(timestamps.length - startOffset + 1);
    this.done.push(`read ${log.partition} ${from}`);
    await untilSettled(this.#world);
    const found = await readAll(log, { from, bytesMax: 1 + this.#random.below(500) });
    check(found, from, timestamps.length);
    const timestampMs = this.#nowMs - this.#random.below(400);
    const sought = log.seekTime(timestampMs);
    const first = timestamps.findIndex((at, offset) => offset >= startOffset && at >= timestampMs);
    if (first >= 0 && (sought === undefined || sought > first)) {
      throw new Error(`time ${timestampMs} is at ${first}, reading would begin at ${sought}`);
    }
  }

  async compare(): Promise<void> {
    await untilSettled(this.#world);
    for (const [partition, { startOffset, timestamps }] of this.#model.entries()) {
      const log = this.#log(partition);
      if (log.startOffset !== startOffset || log.endOffset !== timestamps.length) {
        throw new Error(
          `${partition}: [${log.startOffset}, ${log.endOffset}), not [${startOffset}, ${timestamps.length})`,
        );
      }
      check(await readAll(log), startOffset, timestamps.length);
    }
  }
}

/** The values of the fixture are their offsets. */
function check(found: readonly [number, string][], from: number, end: number): void {
  const isEqual =
    found.length === end - from &&
    found.every(([offset, value], i) => offset === from + i && value === String(offset));
  if (!isEqual) throw new Error(`[${from}, ${end}) reads as ${JSON.stringify(found)}`);
}
