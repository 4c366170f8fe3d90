import type { Env } from "../env/index.ts";
import { invariant, LogError } from "../errors/index.ts";
import type { TopicPolicy } from "../metadata/index.ts";
import { Counter } from "../metrics/index.ts";
import { BatchHeader, RecordCursor } from "../records/index.ts";
import {
  type FrameEntry,
  type PartitionLog,
  Store,
  type StoreOptions,
  type StoreOwner,
} from "../storage/index.ts";
import type { AppendOutcome, Refused } from "./outcomes.ts";
import { PartitionState } from "./partition-state.ts";
import { type AppendCounters, Partition, type PartitionShare } from "./partition.ts";
import { PendingFrame } from "./pending-frame.ts";
import { RoomGuard } from "./room-guard.ts";

/** Largest that a batch of a compacted topic may be without its compression, when its keys are looked at. */
const inflatedBytesMax = 64 << 20;

export interface PartitionsOptions {
  readonly store: StoreOptions;
  /** Called once, when nothing may be acknowledged any more and the process must end. */
  readonly onFatal: (error: LogError) => void;
  readonly counters?: AppendCounters | undefined;
}

export interface TopicOfPartition {
  readonly topicId: string;
  readonly policy: TopicPolicy;
  readonly isInternal: boolean;
}

/** All partitions of one store, and the store's owner: it is told what was written and what is durable. */
export class Partitions implements StoreOwner, PartitionShare {
  readonly header = new BatchHeader();
  readonly cursor = new RecordCursor({ inflatedBytesMax });
  readonly counters: AppendCounters;
  readonly #env: Env;
  readonly #onFatal: (error: LogError) => void;
  #store: Store | undefined;
  /** What was recovered and is not opened yet. */
  readonly #recovered = new Map<PartitionLog, PartitionState>();
  readonly #partitions = new Map<PartitionLog, Partition>();
  /** Takes what is appended now; undefined while that is nothing. */
  #open: PendingFrame | undefined;
  /** Written and not durable yet, in the order of their numbers. */
  #written: PendingFrame[] = [];
  #fatalError: LogError | undefined;
  readonly #room: RoomGuard;

  private constructor(env: Env, { store, onFatal, counters }: PartitionsOptions) {
    this.#env = env;
    this.#room = new RoomGuard(env, store.directory);
    this.#onFatal = onFatal;
    this.counters = counters ?? uncounted();
  }

  /**
   * Opens the store and recovers the state of every partition in it.
   * @throws LogError as the opening of the store, data_corrupt, format_newer.
   */
  static async open(env: Env, options: PartitionsOptions): Promise<Partitions> {
    const partitions = new Partitions(env, options);
    partitions.#store = await Store.open(env, options.store, partitions);
    for (const log of partitions.store.logs()) {
      if (!partitions.#recovered.has(log)) partitions.#recovered.set(log, new PartitionState());
    }
    return partitions;
  }

  get store(): Store {
    invariant(this.#store !== undefined, "the store is open before its partitions are");
    return this.#store;
  }

  get fatalError(): LogError | undefined {
    return this.#fatalError;
  }

  get roomFault(): Refused | undefined {
    return this.#room.fault;
  }

  get count(): number {
    return this.#partitions.size;
  }

  all(): Iterable<Partition> {
    return this.#partitions.values();
  }

  /** Opens a partition, a new one where the store has none. No I/O. */
  openPartition(topic: TopicOfPartition, index: number): Partition {
    const log = this.store.openLog(topic.topicId, index);
    invariant(!this.#partitions.has(log), "a partition is opened once");
    const state = this.#recovered.get(log) ?? new PartitionState();
    this.#recovered.delete(log);
    const { policy, isInternal } = topic;
    const partition = new Partition(this, { log, state, policy, isInternal });
    this.#partitions.set(log, partition);
    return partition;
  }

  /** Closes a partition and forgets its records for ever. */
  dropPartition(partition: Partition): void {
    partition.close(new LogError("topic_not_found", "the topic was deleted"));
    const log = this.store.openLog(partition.topicId, partition.index);
    this.#partitions.delete(log);
    this.store.dropLog(log);
  }

  /** Forgets the records of what was recovered and never opened; answers how many partitions that were. */
  dropUnopened(): number {
    const logs = [...this.#recovered.keys()];
    for (const log of logs) this.store.dropLog(log);
    this.#recovered.clear();
    return logs.length;
  }

  /** Refuses appends, wakes whoever waits, and closes the store with a clean end. */
  async close(): Promise<void> {
    const reason = new LogError("closed", "the store is closed");
    for (const partition of this.#partitions.values()) partition.close(reason);
    this.#room.close();
    await this.store.close();
    this.#settleAll(reason);
  }

  /** Lets the event loop turn once. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#env.timers.soon(resolve);
    });
  }

  openFrame(): PendingFrame {
    this.#open ??= new PendingFrame();
    return this.#open;
  }

  frameOf(partition: Partition, offset: number): PendingFrame {
    if (offset < partition.highWatermark) return durableFrame;
    for (const frame of this.#written) if (frame.holds(partition, offset)) return frame;
    invariant(
      this.#open?.holds(partition, offset) === true,
      "what is not durable is in some frame",
    );
    return this.#open;
  }

  recoverPartition(log: PartitionLog, state: Uint8Array): void {
    const name = `partition ${log.partition} of topic ${log.topicId}`;
    this.#recovered.set(log, PartitionState.decode(state, name));
  }

  recoverBatch(log: PartitionLog, entry: FrameEntry): void {
    let state = this.#recovered.get(log);
    if (state === undefined) {
      state = new PartitionState();
      this.#recovered.set(log, state);
    }
    state.recover(entry, this.#env.clock.wallMs());
  }

  snapshot(log: PartitionLog): Uint8Array {
    const partition = this.#partitions.get(log);
    if (partition !== undefined) return partition.snapshot();
    const state = this.#recovered.get(log) ?? new PartitionState();
    return state.encode(log.endOffset, log.startOffset);
  }

  written(frameSeq: number): void {
    this.counters.frames.add();
    this.#room.wrote(this.store.stats.bytes);
    const frame = this.#open;
    if (frame === undefined) return;
    this.#open = undefined;
    frame.wasWritten(frameSeq);
    this.#written.push(frame);
  }

  /** Acknowledges before it wakes readers: a producer waits with its next batch, a reader has time. */
  // hot: once for every frame or sync.
  durable(frameSeq: number): void {
    const frames = this.#written;
    const [first] = frames;
    if (first === undefined || (first.sequence ?? Infinity) > frameSeq) return;
    if (frames.length === 1) {
      // What most logs have; the array stays, and need not grow anew.
      frames.pop();
      first.reach();
      first.settle();
      first.wake();
      first.disband();
      return;
    }
    let count = 1;
    while (count < frames.length && (frames[count]?.sequence ?? Infinity) <= frameSeq) count++;
    const done = count === frames.length ? frames : frames.slice(0, count);
    this.#written = count === frames.length ? [] : frames.slice(count);
    for (const frame of done) frame.reach();
    for (const frame of done) frame.settle();
    for (const frame of done) {
      frame.wake();
      frame.disband();
    }
  }

  failed(error: LogError): void {
    const frame = this.#open;
    if (frame === undefined) return;
    this.#open = undefined;
    frame.undo();
    frame.settle(error);
    frame.disband();
  }

  fatal(error: LogError): void {
    if (this.#fatalError !== undefined) return;
    this.#fatalError = error;
    this.#settleAll(error);
    this.#onFatal(error);
  }

  #settleAll(error: LogError): void {
    const frames = this.#written;
    const open = this.#open;
    this.#written = [];
    this.#open = undefined;
    for (const frame of frames) frame.settle(error);
    open?.settle(error);
  }
}

/** Counters that nobody reads. */
function uncounted(): AppendCounters {
  return {
    batches: new Counter(),
    records: new Counter(),
    bytes: new Counter(),
    duplicates: new Counter(),
    frames: new Counter(),
  };
}

/** Stands for every frame that is durable already. */
const durableFrame = new PendingFrame();
durableFrame.settle();

/**
 * Calls back once when every batch of `outcomes` is durable or failed; before this returns, where
 * that is known already. Then {@link settled} says which. Refused ones are not waited for.
 */
export function whenSettled(outcomes: readonly AppendOutcome[], callback: () => void): void {
  let waiting = 1;
  const done = (): void => {
    waiting--;
    if (waiting === 0) callback();
  };
  let last: PendingFrame | undefined;
  for (const outcome of outcomes) {
    if (outcome.kind === "refused" || outcome.frame === last) continue;
    last = outcome.frame;
    if (last.isSettled) continue;
    waiting++;
    last.whenSettled(done);
  }
  done();
}

/** After {@link whenSettled}: why a batch is not known to be in the log; undefined where it is durable. */
export function settled(outcome: AppendOutcome): LogError | undefined {
  if (outcome.kind === "refused") return new LogError(outcome.code, outcome.reason);
  invariant(outcome.frame.isSettled, "an outcome is asked for once it is known");
  return outcome.frame.error;
}
