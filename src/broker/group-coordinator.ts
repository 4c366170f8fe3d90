import { uuidToString } from "../bytes/index.ts";
import {
  type Answer,
  type Answered,
  type EncodedRecord,
  type GroupEvent,
  type GroupLimits,
  Groups,
} from "../coordination/index.ts";
import type { Env, Timer } from "../env/index.ts";
import { type ErrorCode, LogError } from "../errors/index.ts";
import type { Partition, PendingFrame } from "../partitions/index.ts";
import { BatchBuilder } from "../records/index.ts";
import type { Store } from "../storage/index.ts";
import { replay } from "./replay.ts";

/** A group log larger than this is cut back to what the last checkpoint does not know. */
const logBytesMax = 32 << 20;

/** What could not be written is tried again after this time. */
const retryMs = 1_000;

/** The times of an event. */
export interface Moment {
  readonly nowMs: number;
  readonly wallMs: number;
}

/** A step whose records are on their way into the log. */
interface PendingStep {
  readonly seq: number;
  readonly nextOffset: number;
  readonly frame: PendingFrame;
  /** Given once the records are durable; those of later steps without records wait here too. */
  readonly answers: Answered[];
}

export interface CoordinatorParts {
  readonly env: Env;
  readonly store: Store;
  readonly partition: Partition;
  readonly limits: Partial<GroupLimits>;
}

/**
 * Drives the groups of one partition of the group log: gives events their times, appends the records
 * of each step, gives the answers once these are durable, and wakes the groups at their deadlines.
 */
export class GroupCoordinator {
  readonly #env: Env;
  readonly #store: Store;
  readonly #partition: Partition;
  #groups: Groups;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #nextToken = 1;
  readonly #pending: PendingStep[] = [];
  #timer: Timer | undefined;
  #armedForMs = Infinity;
  /** Everything before it is in the state and durable. Never falls. */
  #settledOffset = 0;
  #snapshot: { readonly offset: number; readonly bytes: Uint8Array } | undefined;
  #isClosed = false;

  private constructor(parts: CoordinatorParts) {
    this.#env = parts.env;
    this.#store = parts.store;
    this.#partition = parts.partition;
    this.#groups = new Groups(parts.limits);
  }

  /**
   * Rebuilds the groups: from the checkpoint, then from the records after it.
   * @throws LogError data_corrupt, format_newer.
   */
  static async open(parts: CoordinatorParts): Promise<GroupCoordinator> {
    const { store, partition, limits } = parts;
    const coordinator = new GroupCoordinator(parts);
    const name = `groups-${partition.index}`;
    const opened = store.attachment(name);
    let isReplayed = false;
    // A checkpoint that comes before the replay is done keeps what the last one had.
    store.setAttachment(name, () =>
      isReplayed ? coordinator.#snapshotBytes() : (opened ?? nothing),
    );
    if (opened !== undefined && opened.length > 0) {
      const restored = Groups.restore(opened, limits);
      coordinator.#groups = restored.groups;
      coordinator.#settledOffset = restored.offset;
    }
    await replay(partition, coordinator.#settledOffset, (record) => {
      const key = record.key();
      if (key === undefined) {
        throw new LogError("data_corrupt", `group record ${record.offset} has no key`);
      }
      coordinator.#groups.replay({ key, value: record.value() });
    });
    coordinator.#settledOffset = partition.highWatermark;
    isReplayed = true;
    coordinator.#step({ kind: "loaded", ...coordinator.#now() });
    return coordinator;
  }

  get groups(): Groups {
    return this.#groups;
  }

  /** A random UUID, for the ids of members. */
  uuid(): string {
    return uuidToString(this.#env.random.uuid());
  }

  /** An event that is answered: at once, or when others have come, or when its time is over. */
  ask(make: (token: number, moment: Moment) => GroupEvent): Promise<Answer> {
    return new Promise((resolve) => {
      const token = this.#nextToken++;
      this.#waiting.set(token, resolve);
      if (this.#isClosed) this.#refuse([token], "coordinator_unavailable", "the broker is closing");
      else this.#step(make(token, this.#now()));
    });
  }

  /** An event that nobody waits for. */
  tell(make: (moment: Moment) => GroupEvent): void {
    if (!this.#isClosed) this.#step(make(this.#now()));
  }

  /** What `look` finds, once all of it is durable. */
  async read<T>(look: (groups: Groups) => T): Promise<T> {
    for (;;) {
      const found = look(this.#groups);
      const last = this.#pending.at(-1);
      if (last === undefined) return found;
      await new Promise<void>((resolve) => {
        last.frame.whenSettled(resolve);
      });
      if (last.frame.error === undefined) return found;
    }
  }

  /** Drops offsets of a topic, and tries again while the log cannot be written. */
  async dropOffsetsOf(topic: string): Promise<void> {
    while (!this.#isClosed && this.#partition.fatalError === undefined) {
      this.tell(() => ({ kind: "topics-deleted", topics: [topic] }));
      const isLeft = await this.read((groups) => hasOffsetsOf(groups, topic));
      if (!isLeft) return;
      await new Promise<void>((resolve) => {
        this.#env.timers.after(retryMs, resolve);
      });
    }
  }

  /** Drops offsets of topics that are gone: what was deleted right before a crash may have left some. */
  dropOffsetsOfUnknown(isKnown: (topic: string) => boolean): void {
    const unknown = new Set<string>();
    for (const { groupId } of this.#groups.list()) {
      for (const { topic } of this.#groups.allCommitted(groupId)) {
        if (!isKnown(topic)) unknown.add(topic);
      }
    }
    if (unknown.size > 0) this.#step({ kind: "topics-deleted", topics: [...unknown] });
  }

  /** Cuts a log that grew large back to what the checkpoint does not hold. */
  async trim(): Promise<void> {
    if (this.#partition.sizeBytes < logBytesMax || this.#isClosed) return;
    // A snapshot of before this checkpoint is surely in it, or in one that is later than it.
    const saved = this.#snapshot?.offset;
    await this.#store.checkpoint();
    if (saved !== undefined && !this.#isClosed) await this.#partition.deleteRecords(saved);
  }

  /** Refuses whoever waits, and whatever comes. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    const tokens = [...this.#waiting.keys()];
    this.#refuse(tokens, "coordinator_unavailable", "the broker is closing");
  }

  #now(): Moment {
    const { clock } = this.#env;
    return { nowMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  #step(event: GroupEvent): void {
    const { seq, records, answers } = this.#groups.step(event);
    if (records.length > 0) this.#append(seq, records, answers);
    else this.#giveInOrder(answers);
    this.#arm();
  }

  #append(seq: number, records: readonly EncodedRecord[], answers: readonly Answered[]): void {
    const { wallMs } = this.#now();
    const builder = new BatchBuilder({ codec: "none" });
    for (const { key, value } of records) builder.append(wallMs, key, value);
    const outcome = this.#partition.appendInternal(builder.finish(), wallMs);
    if (outcome.kind === "refused") {
      this.#undo(seq, answers, outcome.code, outcome.reason);
      return;
    }
    const { frame, lastOffset } = outcome;
    const step = { seq, nextOffset: lastOffset + 1, frame, answers: [...answers] };
    this.#pending.push(step);
    frame.whenSettled(() => this.#wasSettled(step, frame.error));
  }

  #wasSettled(step: PendingStep, error: LogError | undefined): void {
    this.#pending.splice(this.#pending.indexOf(step), 1);
    if (error !== undefined) {
      this.#undo(step.seq, step.answers, error.code, error.message);
      return;
    }
    this.#groups.settled(step.seq);
    this.#settledOffset = step.nextOffset;
    this.#give(step.answers);
  }

  // oxlint-disable-next-line max-params -- a step and why it failed
  #undo(seq: number, answers: readonly Answered[], code: ErrorCode, reason: string): void {
    const stranded = this.#groups.undo(seq, this.#now());
    const tokens = answers.map(({ token }) => token);
    // Clients know this code of a coordinator: they look for it again and retry.
    this.#refuse(tokens, "coordinator_unavailable", `the log of groups: ${code}: ${reason}`);
    this.#give(stranded);
    this.#arm();
  }

  /** An answer never overtakes the records of an earlier step, on which it may rest. */
  #giveInOrder(answers: readonly Answered[]): void {
    if (answers.length === 0) return;
    const last = this.#pending.at(-1);
    if (last === undefined) this.#give(answers);
    else last.answers.push(...answers);
  }

  #give(answers: readonly Answered[]): void {
    for (const { token, answer } of answers) {
      const resolve = this.#waiting.get(token);
      this.#waiting.delete(token);
      resolve?.(answer);
    }
  }

  #refuse(tokens: readonly number[], code: ErrorCode, message: string): void {
    const answer: Answer = { kind: "refused", code, message, memberId: undefined };
    this.#give(tokens.map((token) => ({ token, answer })));
  }

  #arm(): void {
    const dueMs = this.#groups.nextDeadlineMs;
    if (dueMs === this.#armedForMs || this.#isClosed) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#armedForMs = dueMs;
    if (dueMs === Infinity) return;
    this.#timer = this.#env.timers.after(Math.max(0, dueMs - this.#now().nowMs), () => {
      this.#armedForMs = Infinity;
      this.tell((moment) => ({ kind: "tick", ...moment }));
    });
  }

  #snapshotBytes(): Uint8Array {
    const offset = this.#settledOffset;
    if (offset === 0) return nothing;
    if (this.#snapshot?.offset !== offset) {
      this.#snapshot = { offset, bytes: this.#groups.snapshot(offset) };
    }
    return this.#snapshot.bytes;
  }
}

const nothing = new Uint8Array(0);

function hasOffsetsOf(groups: Groups, name: string): boolean {
  for (const { groupId } of groups.list()) {
    for (const { topic } of groups.allCommitted(groupId)) if (topic === name) return true;
  }
  return false;
}
