/** One broker on a recording disk, and the clients of the workloads that are played on it. */
import { Broker } from "../../src/broker/index.ts";
import { type Disk, memoryEnv, type MemoryEnv } from "../../src/env/index.ts";
import type { LogError } from "../../src/errors/index.ts";
import { type AppendOutcome, settled, whenSettled } from "../../src/partitions/index.ts";
import { batchOf } from "../batches.ts";
import { Ledger, type Send, type TopicFacts } from "../ledger.ts";
import { microtasks } from "../scheduler.ts";
import { openedStore, setStoreSizes } from "../small-store.ts";
import { Image } from "./image.ts";
import { type Change, RecordingDisk } from "./recorder.ts";
import { History } from "./states.ts";

/** Files so small that a few batches fill them, and no checkpoint that was not asked for. */
const storeSizes = {
  walFileBytes: 2_500,
  segmentBytes: 3_000,
  checkpointMs: 3_600_000,
};
export const directory = "/store";
/** Its records have a key, all the same one. */
const keyedTopic = "b";
const turnsMax = 1_000;
const payload = "x".repeat(600);

/** A part of the history between two power cuts. */
export interface Era {
  readonly base: Image;
  readonly changes: readonly Change[];
  /** Place in the whole history of the first change. */
  readonly from: number;
}

export interface Idempotent {
  readonly producerId: number;
  /** Next sequence, by partition. */
  readonly sequences: Map<string, number>;
  /** Every batch that was sent, by partition. */
  readonly batches: Map<string, { readonly send: Send; readonly baseSequence: number }[]>;
}

/** A memory environment, but for the kind of its disk. */
export type StageEnv = Omit<MemoryEnv, "disk"> & { readonly disk: Disk };

export async function openBroker(env: StageEnv, fatal: LogError[]): Promise<Broker> {
  setStoreSizes(env, storeSizes);
  return env.run(
    Broker.open(env, {
      directory,
      advertised: () => ({ host: "sim", port: 9092 }),
      settings: new Map([
        ["offsets.topic.num.partitions", "1"],
        ["group.initial.rebalance.delay.ms", "0"],
        ["log.retention.check.interval.ms", "3600000"],
      ]),
      onFatal: (error) => fatal.push(error),
    }),
  );
}

/** A memory environment on some disk. */
export function envOn(disk: Disk, seed: number): StageEnv {
  const env = memoryEnv({ seed });
  const run = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    for (;;) {
      // A checkpoint is a longer chain of promises than the environment's own `run` waits for.
      await microtasks();
      if (isSettled) return promise;
      const dueMs = env.timers.nextDueMs;
      if (env.timers.soonCount > 0) env.timers.runSoon();
      else if (dueMs === undefined) throw new Error("nothing is left that could settle it");
      else env.timers.advance(Math.max(dueMs - env.clock.monotonicMs(), 0));
    }
  };
  return { ...env, disk, run };
}

export class Stage {
  readonly ledger = new Ledger();
  readonly eras: Era[] = [];
  env: StageEnv;
  broker: Broker;
  producer: Idempotent | undefined;
  #disk: RecordingDisk;
  #from = 0;
  #life = 1;
  #serial = 0;
  #commits = 0;
  /** Outcomes that nobody knows yet. */
  readonly #open: AppendOutcome[] = [];
  #mustResend = false;
  readonly #others: Promise<unknown>[] = [];

  private constructor(disk: RecordingDisk, env: StageEnv, broker: Broker) {
    this.#disk = disk;
    this.env = env;
    this.broker = broker;
    this.ledger.now = () => this.at;
    this.#addEra();
  }

  static async open(): Promise<Stage> {
    const disk = new RecordingDisk(new Image());
    const env = envOn(disk, 1);
    return new Stage(disk, env, await openBroker(env, []));
  }

  /** Changes of the disk so far. */
  get at(): number {
    return this.#from + this.#disk.changes.length;
  }

  #addEra(): void {
    this.eras.push({ base: this.#disk.base, changes: this.#disk.changes, from: this.#from });
  }

  async createTopic(name: string, settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const facts = this.ledger.topicSent(name, 1);
    const [created] = await this.env.run(
      this.broker.createTopics([
        { name, partitionCount: 1, settings: new Map(Object.entries(settings)) },
      ]),
    );
    if (created?.topicId === undefined) throw new Error(`${name}: ${created?.errorMessage}`);
    this.ledger.topicAcked(facts, created.topicId);
  }

  topic(name: string): TopicFacts | undefined {
    return this.ledger.topics.findLast(
      (one) => one.name === name && one.topicId !== undefined && one.deleteSentAt === Infinity,
    );
  }

  placeOf(name: string): string {
    return `${this.broker.topicNamed(name)?.topicId}/0`;
  }

  /** Appends a batch of a producer that never sends again. */
  append(topic: string, recordCount: number): void {
    const values = this.#values(topic, recordCount);
    const key = topic === keyedTopic ? "k" : undefined;
    const send = this.ledger.sent(this.placeOf(topic), {
      producer: "plain",
      isIdempotent: false,
      values,
      key,
    });
    this.#append(topic, batchOf(values, this.env.clock.wallMs(), { key }), send);
  }

  appendIdempotent(topic: string): void {
    const { producer } = this;
    if (producer === undefined) throw new Error("the producer has no id yet");
    if (this.#mustResend) this.resend();
    const place = this.placeOf(topic);
    const values = this.#values(topic, 2);
    const send = this.ledger.sent(place, { producer: "idempotent", isIdempotent: true, values });
    const baseSequence = producer.sequences.get(place) ?? 0;
    producer.sequences.set(place, baseSequence + values.length);
    const batches = producer.batches.get(place) ?? [];
    producer.batches.set(place, [...batches, { send, baseSequence }]);
    const identity = { producerId: producer.producerId, producerEpoch: 0, baseSequence };
    this.#append(topic, batchOf(values, this.env.clock.wallMs(), identity), send);
  }

  /** As a client does that was left without an answer: sends again, in order, what was not acknowledged. */
  resend(): void {
    this.#mustResend = false;
    const { producer } = this;
    for (const [place, batches] of producer?.batches ?? []) {
      const partition = this.broker.partitionById(place.split("/")[0] ?? "", 0);
      for (const { send, baseSequence } of batches) {
        if (send.ackedAt <= this.at || producer === undefined || partition === undefined) continue;
        const identity = { producerId: producer.producerId, producerEpoch: 0, baseSequence };
        const nowMs = this.env.clock.wallMs();
        this.#noteOutcome(partition.append(batchOf(send.values, nowMs, identity), nowMs), send);
      }
    }
  }

  async takeProducerId(): Promise<void> {
    const { producerId } = await this.env.run(this.broker.initProducerId({}));
    this.ledger.producerId(producerId);
    this.producer = { producerId, sequences: new Map(), batches: new Map() };
  }

  nextCommit(): number {
    return ++this.#commits;
  }

  #values(topic: string, count: number): string[] {
    return Array.from({ length: count }, () => `${topic}-${this.#serial++}:${payload}`);
  }

  #append(topic: string, bytes: Uint8Array, send: Send): void {
    const partition = this.broker.partition(topic, 0);
    const outcome = partition?.append(bytes, this.env.clock.wallMs());
    if (outcome?.kind !== "appended") throw new Error(`${topic} takes it as ${outcome?.kind}`);
    this.#noteOutcome(outcome, send);
  }

  #noteOutcome(outcome: AppendOutcome, send: Send): void {
    if (outcome.kind === "refused") throw new Error(`"${send.values[0]}": ${outcome.reason}`);
    this.#open.push(outcome);
    whenSettled([outcome], () => {
      if (settled(outcome) === undefined) this.ledger.ackedSend(send, outcome.baseOffset);
    });
  }

  /** A reader looks at every partition. */
  look(): void {
    for (const { topicId, isInternal, partitions } of this.broker.listTopics()) {
      if (isInternal) continue;
      for (const { index, highWatermark } of partitions) {
        this.ledger.saw(`${topicId}/${index}`, highWatermark);
      }
    }
  }

  /** Something whose end is waited for with {@link Stage.settle}. */
  start(work: Promise<unknown>): void {
    // A process that dies takes it along.
    this.#others.push(work.catch(() => undefined));
  }

  /** Ends the turn: what is open is written, and its sync is under way. */
  turn(): void {
    this.env.timers.runSoon();
  }

  /** Waits until nothing is open. */
  async settle(): Promise<void> {
    this.turn();
    const open = this.#open.splice(0);
    await this.env.run(
      new Promise<void>((resolve) => {
        whenSettled(open, resolve);
      }),
    );
    await this.env.run(Promise.all(this.#others.splice(0)));
  }

  checkpoint(): Promise<void> {
    return this.env.run(openedStore(this.env).checkpoint());
  }

  /** Compacts the topic whose records have a key, where it is still there: also a segment that holds nothing else, so that it goes. */
  async compact(): Promise<void> {
    if (this.topic(keyedTopic) === undefined) return;
    this.append(keyedTopic, 1);
    await this.checkpoint();
    this.append(keyedTopic, 1);
    this.ledger.compacted(this.placeOf(keyedTopic));
    await this.env.run(this.broker.compactTopic({ name: keyedTopic }));
  }

  /** A checkpoint up to the moment at which it has its name, and no further. */
  async beginCheckpoint(): Promise<void> {
    const from = this.#disk.changes.length;
    this.start(openedStore(this.env).checkpoint());
    const isNamed = (): boolean =>
      this.#disk.changes.slice(from).some((one) => one.kind === "name" && one.from !== undefined);
    for (let turn = 0; turn < turnsMax && !isNamed(); turn++) await Promise.resolve();
  }

  async close(): Promise<void> {
    await this.env.run(this.broker.close());
    await this.settle();
  }

  /** A new process on the same disk; the one before is dead, and what it waited for never comes. */
  async reopen(): Promise<void> {
    this.#forget();
    this.#disk = this.#disk.afterKill();
    this.env = envOn(this.#disk, ++this.#life);
    this.broker = await openBroker(this.env, []);
  }

  /** The power goes, `keeps` of what was not synced is left, and a new process starts. */
  async cutPower(keeps: (index: number) => boolean): Promise<void> {
    this.#forget();
    const history = new History(this.#disk.base, this.#disk.changes);
    history.moveTo(this.#disk.changes.length);
    const fates = Array.from({ length: history.waitingCount }, (_, i) => keeps(i));
    this.#from = this.at;
    this.#disk.afterKill();
    this.#disk = new RecordingDisk(history.image(fates).reachable());
    this.#addEra();
    this.env = envOn(this.#disk, ++this.#life);
    this.broker = await openBroker(this.env, []);
  }

  #forget(): void {
    this.#mustResend = true;
    this.#open.length = 0;
    this.#others.length = 0;
  }
}
