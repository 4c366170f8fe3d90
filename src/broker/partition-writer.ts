/** Gathers what is appended to one partition in a turn of the event loop into batches. */
import type { Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import {
  type AppendOutcome,
  type Partition,
  type PartitionGatherer,
  settled,
  whenSettled,
} from "../partitions/index.ts";
import { BatchBuilder, type Codec } from "../records/index.ts";
import { BatchDraft, DraftMemory, type StoredRecord, tooLarge } from "./batch-draft.ts";
import { KeyLookup } from "./key-lookup.ts";

/** A batch is handed over at this size; a larger record goes alone. */
const BATCH_BYTES = 64 << 10;

/** Numbers what a producer appends to one partition, so that a batch that comes again is known. */
export interface ProducerSequence {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Of the first record. */
  readonly baseSequence: number;
}

/** Ends the turn for all partitions of a store together, and reads the clock once for it. */
export class WriteTurn {
  /** Of what calls fill, whatever partition it is for. */
  readonly drafts = new DraftMemory();
  readonly #env: Env;
  readonly #write: () => void;
  #dirty: PartitionWriter[] = [];
  /** Undefined until somebody asks in this turn. */
  #nowMs: number | undefined;

  constructor(env: Env, write: () => void) {
    this.#env = env;
    this.#write = write;
  }

  get nowMs(): number {
    if (this.#nowMs !== undefined) return this.#nowMs;
    this.#schedule();
    this.#nowMs = this.#env.clock.wallMs();
    return this.#nowMs;
  }

  add(writer: PartitionWriter): void {
    this.#schedule();
    this.#dirty.push(writer);
  }

  /** Hands over everything that was gathered, and has it written. */
  end(): void {
    const dirty = this.#dirty;
    this.#dirty = [];
    for (const writer of dirty) writer.seal();
    this.#nowMs = undefined;
    if (dirty.length > 0) this.#write();
  }

  #schedule(): void {
    if (this.#nowMs === undefined && this.#dirty.length === 0) {
      this.#env.timers.soon(() => this.end());
    }
  }
}

interface Waiting {
  readonly offset: number;
  readonly resolve: (offset: number) => void;
  readonly reject: (error: LogError) => void;
}

export class PartitionWriter implements PartitionGatherer {
  readonly partition: Partition;
  /** Where keys are, of everything that was appended, durable or not. */
  readonly keys: KeyLookup;
  readonly #name: string;
  readonly #turn: WriteTurn;
  readonly #codec: Codec;
  #builder: BatchBuilder;
  #bytesMax: number;
  /** Offset of the first record of the open batch; meaningless while there is none. */
  #base = 0;
  #waiting: Waiting[] = [];
  /** What is being appended is the writer's own. */
  #isAppending = false;

  // oxlint-disable-next-line max-params -- what it writes to, and how
  constructor(partition: Partition, name: string, turn: WriteTurn, codec: Codec) {
    this.partition = partition;
    this.keys = new KeyLookup(partition);
    this.#name = name;
    this.#turn = turn;
    this.#codec = codec;
    this.#bytesMax = partition.policy.batchBytesMax;
    this.#builder = this.#newBuilder();
    partition.gatherer = this;
  }

  beforeAppend(): void {
    if (!this.#isAppending) this.seal();
  }

  afterAppend(batch: Uint8Array): void {
    if (!this.#isAppending) this.keys.noteBatch(batch);
  }

  /** Offset that the next record gets if nothing fails before it. */
  get nextOffset(): number {
    const { recordCount } = this.#builder;
    return recordCount === 0 ? this.partition.logEndOffset : this.#base + recordCount;
  }

  get nowMs(): number {
    return this.#turn.nowMs;
  }

  /** Whether a batch is open. */
  get isGathering(): boolean {
    return this.#builder.recordCount > 0;
  }

  /** Resolves when it is known what became of everything that was appended so far, by whomever. */
  async drained(): Promise<void> {
    this.seal();
    await new Promise<void>((resolve) => {
      this.partition.whenSettled(resolve);
    });
  }

  /**
   * Takes a record for the open batch; resolves with its offset once that is durable.
   * @throws LogError record_too_large, closed.
   */
  add(record: StoredRecord): Promise<number> {
    this.#refuseIfClosed();
    const offset = this.#put(record);
    if (record.key !== undefined) this.keys.note(record.key, offset);
    const added = new Promise<number>((resolve, reject) => {
      this.#waiting.push({ offset, resolve, reject });
    });
    if (this.#builder.sizeBytes >= BATCH_BYTES) this.seal();
    return added;
  }

  /**
   * A batch to fill and to give to {@link PartitionWriter.addDraft}.
   * @throws LogError closed.
   */
  draft(): BatchDraft {
    this.#refuseIfClosed();
    const options = { codec: this.#codec, bytesMax: this.partition.policy.batchBytesMax };
    return new BatchDraft(this.#name, options, this.#turn.drafts.lend());
  }

  /**
   * Appends a draft, which is used up by it. Resolves with the offset of its first record.
   * @throws LogError record_too_large, closed.
   */
  addDraft(draft: BatchDraft): Promise<number> {
    this.#refuseIfClosed();
    draft.refuseIfTooLarge();
    this.seal();
    this.#turn.add(this);
    const base = this.partition.logEndOffset;
    this.#note(draft.keys, base);
    return new Promise<number>((resolve, reject) => {
      const answers = [{ offset: base, resolve, reject }];
      this.#append(draft.finish(base), base, answers, () => {
        this.#turn.drafts.giveBack(draft.memory);
      });
    });
  }

  /**
   * Makes a batch of records as a producer sends it, which {@link PartitionWriter.addBatch} takes.
   * @throws LogError record_too_large, closed.
   */
  batchOf(records: readonly StoredRecord[], producer: ProducerSequence): Uint8Array {
    this.#refuseIfClosed();
    const options = { codec: this.#codec, bytesMax: this.partition.policy.batchBytesMax };
    const draft = new BatchDraft(this.#name, { ...options, ...producer });
    draft.addAll(records);
    draft.refuseIfTooLarge();
    return draft.finish();
  }

  /** Appends such a batch, or finds that it is in the log. Resolves with the offset of its first record. */
  addBatch(batch: Uint8Array, records: readonly StoredRecord[]): Promise<number> {
    this.seal();
    const outcome = this.#handOver(batch);
    if (outcome.kind === "appended") {
      const keys = records.map(({ key }) => key);
      this.#note(keys, outcome.baseOffset);
    }
    return this.#settled(outcome);
  }

  /** Where the log has the batch already: the offset of its first record, once that is durable. */
  known(batch: Uint8Array): Promise<number> | undefined {
    const outcome = this.partition.duplicateOf(batch);
    return outcome === undefined ? undefined : this.#settled(outcome);
  }

  async #settled(outcome: AppendOutcome): Promise<number> {
    if (outcome.kind === "refused") {
      throw new LogError(outcome.code, `${this.#name}: ${reasonOf(outcome)}`);
    }
    await new Promise<void>((resolve) => {
      whenSettled([outcome], resolve);
    });
    const error = settled(outcome);
    if (error !== undefined) throw error;
    return outcome.baseOffset;
  }

  #handOver(batch: Uint8Array): AppendOutcome {
    this.#isAppending = true;
    const outcome = this.partition.append(batch, this.#turn.nowMs);
    this.#isAppending = false;
    return outcome;
  }

  #note(keys: BatchDraft["keys"], base: number): void {
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index];
      if (key !== undefined) this.keys.note(key, base + index);
    }
  }

  #refuseIfClosed(): void {
    if (this.partition.closeReason !== undefined) throw this.partition.closeReason;
  }

  #put(record: StoredRecord): number {
    if (this.#builder.recordCount === 0) this.#begin();
    const { timestamp, key, value, headers } = record;
    if (!this.#builder.append(timestamp, key, value, headers)) {
      if (this.#builder.recordCount === 0) throw tooLarge(this.#name, this.#bytesMax, record);
      this.seal();
      return this.#put(record);
    }
    return this.#base + this.#builder.recordCount - 1;
  }

  #begin(): void {
    this.#settleLimit();
    this.#base = this.partition.logEndOffset;
    this.#turn.add(this);
  }

  /** The limit is a setting of the topic and may have changed. */
  #settleLimit(): void {
    const { batchBytesMax } = this.partition.policy;
    if (batchBytesMax === this.#bytesMax) return;
    this.#bytesMax = batchBytesMax;
    if (this.#builder.recordCount === 0) this.#builder = this.#newBuilder();
  }

  #newBuilder(): BatchBuilder {
    return new BatchBuilder({ codec: this.#codec, bytesMax: this.#bytesMax });
  }

  /** Hands the open batch to the partition. */
  seal(): void {
    if (this.#builder.recordCount === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#append(this.#builder.finish(this.#base), this.#base, waiting);
  }

  /** `release` is called once nobody needs the memory of the batch any more. */
  // oxlint-disable-next-line max-params -- a batch, and who waits for it
  #append(
    bytes: Uint8Array,
    base: number,
    waiting: readonly Waiting[],
    release?: () => void,
  ): void {
    if (this.partition.logEndOffset !== base) {
      const reason = `${this.#name}: an earlier write failed, so these records have lost their place. None of them is in the log; append them again.`;
      for (const { reject } of waiting) reject(new LogError("storage_failed", reason));
      release?.();
      return;
    }
    const outcome = this.#handOver(bytes);
    if (outcome.kind !== "refused") {
      whenSettled([outcome], () => {
        release?.();
        answer(waiting, settled(outcome));
      });
      return;
    }
    release?.();
    answer(waiting, new LogError(outcome.code, `${this.#name}: ${reasonOf(outcome)}`));
  }
}

function reasonOf(outcome: Extract<AppendOutcome, { readonly kind: "refused" }>): string {
  return outcome.reason;
}

function answer(waiting: readonly Waiting[], error: LogError | undefined): void {
  if (error === undefined) for (const { resolve, offset } of waiting) resolve(offset);
  else for (const { reject } of waiting) reject(error);
}
