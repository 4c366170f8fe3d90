// A broker in a world in memory, for the tests beside this file.
import assert from "node:assert/strict";

import { MemoryDisk, memoryEnv, type MemoryEnv, seededFates } from "../env/index.ts";
import type { MetricRegistry } from "../metrics/index.ts";
import type { LogError } from "../errors/index.ts";
import { type AppendOutcome, settled, whenSettled } from "../partitions/index.ts";
import { BatchBuilder, BatchHeader, RecordCursor } from "../records/index.ts";
import { Broker } from "./broker.ts";
import type { FetchedPartition, Fetching } from "./record-verbs.ts";

export interface WorldOptions {
  readonly disk?: MemoryDisk;
  readonly settings?: Readonly<Record<string, string>>;
  readonly seed?: number;
  readonly metrics?: MetricRegistry;
}

export class BrokerWorld {
  readonly env: MemoryEnv;
  readonly broker: Broker;
  /** What the broker said is fatal. */
  readonly fatal: LogError[];

  readonly #seed: number;

  private constructor(env: MemoryEnv, broker: Broker, fatal: LogError[], seed: number) {
    this.#seed = seed;
    this.env = env;
    this.broker = broker;
    this.fatal = fatal;
  }

  static async open(options: WorldOptions = {}): Promise<BrokerWorld> {
    const { seed = 1, disk = new MemoryDisk() } = options;
    const env = memoryEnv({ seed, disk });
    const fatal: LogError[] = [];
    const opening = Broker.open(env, {
      directory: "/store",
      metrics: options.metrics,
      advertised: () => ({ host: "broker.test", port: 9092 }),
      // Few partitions of groups and no wait for more members keep the worlds small.
      settings: new Map(
        Object.entries({
          "offsets.topic.num.partitions": "4",
          "group.initial.rebalance.delay.ms": "0",
          ...options.settings,
        }),
      ),
      onFatal: (error) => fatal.push(error),
    });
    return new BrokerWorld(env, await env.run(opening), fatal, seed);
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.env.run(promise);
  }

  /** Lets time pass, with all that falls due in it. */
  async pass(ms: number): Promise<void> {
    await this.run(
      new Promise<void>((resolve) => {
        this.env.timers.after(ms, resolve);
      }),
    );
  }

  /** Lets so much time pass that a checkpoint is made of what was written. */
  async checkpoint(): Promise<void> {
    const before = this.broker.stats().store.checkpoints;
    await this.pass(400_000);
    assert.ok(this.broker.stats().store.checkpoints > before, "a checkpoint was made");
  }

  /** The broker is killed, and another one started on what the disk has. */
  async killAndOpen(options: WorldOptions = {}): Promise<BrokerWorld> {
    const disk = this.env.disk.kill();
    return BrokerWorld.open({ ...options, disk, seed: this.#seed + 1 });
  }

  /** The power goes, and a broker is started on what the disk has kept. */
  async crashAndOpen(fateSeed: number): Promise<BrokerWorld> {
    const disk = this.env.disk.crash(seededFates(fateSeed));
    return BrokerWorld.open({ disk, seed: this.#seed + 1 });
  }

  async closeAndOpen(options: WorldOptions = {}): Promise<BrokerWorld> {
    await this.run(this.broker.close());
    return BrokerWorld.open({ ...options, disk: this.env.disk, seed: this.#seed + 1 });
  }

  async createTopic(name: string, partitionCount = 1): Promise<void> {
    const [created] = await this.run(this.broker.createTopics([{ name, partitionCount }]));
    assert.equal(created?.errorCode, undefined, created?.errorMessage);
  }

  append(topic: string, index: number, values: readonly string[]): AppendOutcome {
    const partition = this.broker.partition(topic, index);
    assert.ok(partition !== undefined, `${topic}/${index} is there`);
    return partition.append(batchOf(values, this.env.clock.wallMs()), this.env.clock.wallMs());
  }

  /** Appends and waits until it is durable; answers the error where it is not. */
  async produce(
    topic: string,
    index: number,
    values: readonly string[],
  ): Promise<LogError | undefined> {
    const outcome = this.append(topic, index, values);
    await this.run(new Promise<void>((resolve) => whenSettled([outcome], resolve)));
    return settled(outcome);
  }

  /** Starts a fetch; `answer` is there once it is done. */
  startFetch(
    topic: string,
    index: number,
    wanted: {
      readonly offset: number;
      readonly bytesMin?: number;
      readonly bytesMax?: number;
      readonly waitMsMax?: number;
    },
  ): { readonly fetching: Fetching; readonly answers: FetchedPartition[] } {
    const partition = this.broker.partition(topic, index);
    assert.ok(partition !== undefined, `${topic}/${index} is there`);
    const { offset: fetchOffset, bytesMin = 1, bytesMax = 1 << 20, waitMsMax = 0 } = wanted;
    const answers: FetchedPartition[] = [];
    const fetching = this.broker.fetch(
      { items: [{ partition, fetchOffset, bytesMax }], bytesMin, bytesMax, waitMsMax },
      (answer) => answers.push(...answer),
    );
    return { fetching, answers };
  }

  /** All values of a partition from an offset on. */
  async valuesOf(topic: string, index: number, offset = 0): Promise<string[]> {
    const partition = this.broker.partition(topic, index);
    assert.ok(partition !== undefined, `${topic}/${index} is there`);
    const values: string[] = [];
    let fetchOffset = offset;
    while (fetchOffset < partition.highWatermark) {
      const items = [{ partition, fetchOffset, bytesMax: 1 << 20 }];
      const request = { items, bytesMin: 1, bytesMax: 1 << 20, waitMsMax: 1000 };
      const reading = new Promise<FetchedPartition[]>((resolve) => {
        this.broker.fetch(request, resolve);
      });
      const [answer] = await this.run(reading);
      assert.ok(answer?.fetched !== undefined, answer?.errorMessage ?? "nothing was fetched");
      fetchOffset = endOf(answer.fetched.bytes);
      values.push(...takeValues(answer));
    }
    return values;
  }
}

/** The offset behind the last batch. */
function endOf(bytes: Uint8Array): number {
  const header = new BatchHeader();
  for (let position = 0; position < bytes.length; position += header.sizeBytes) {
    header.read(bytes, position);
  }
  return header.nextOffset;
}

export function batchOf(values: readonly string[], timestampMs: number): Uint8Array {
  const builder = new BatchBuilder({ codec: "none" });
  const encoder = new TextEncoder();
  for (const value of values) {
    builder.append(timestampMs, encoder.encode("key"), encoder.encode(value));
  }
  return builder.finish();
}

/** The values of an answer, whose memory is given back. */
export function takeValues({ fetched }: FetchedPartition): string[] {
  if (fetched === undefined) return [];
  const values: string[] = [];
  const cursor = new RecordCursor();
  const { bytes } = fetched;
  for (let position = 0; position < bytes.length; position += cursor.header.sizeBytes) {
    cursor.reset(bytes, position);
    while (cursor.advance()) values.push(new TextDecoder().decode(cursor.value()));
  }
  fetched.release();
  return values;
}

/** A disk that has no room for another byte while `isFull`. */
export function fillingDisk(): { readonly disk: MemoryDisk; readonly state: { isFull: boolean } } {
  const state = { isFull: false };
  const disk = new MemoryDisk({
    onCall: ({ kind, path }) => {
      if (!state.isFull || kind !== "write") return;
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC", path });
    },
  });
  return { disk, state };
}
