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
import { BatchBuilder, type Codec, type RecordHeader } from "../records/index.ts";
import { KeyLookup } from "./key-lookup.ts";

/** A batch is handed over at this size; a larger record goes alone. */
const BATCH_BYTES = 64 << 10;

/** A record as it is stored. */
export interface StoredRecord {
  readonly timestamp: number;
  readonly key: Uint8Array | undefined;
  /** Undefined says that the key is deleted. */
  readonly value: Uint8Array | undefined;
  readonly headers: readonly RecordHeader[];
}

/** Numbers what a producer appends to one partition, so that a batch that comes again is known. */
export interface ProducerSequence {
  readonly producerId: number;
  readonly producerEpoch: number;
  /** Of the first record. */
  readonly baseSequence: number;
}

/** Ends the turn for all partitions of a store together, and reads the clock once for it. */
export class WriteTurn {
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
   * Writes records as one batch: all of them or none. Resolves with the offset of the first.
   * @throws LogError record_too_large, closed.
   */
  addAll(records: readonly StoredRecord[]): Promise<number> {
    this.#refuseIfClosed();
    this.seal();
    this.#settleLimit();
    this.#fill(this.#builder, records);
    this.#turn.add(this);
    const base = this.partition.logEndOffset;
    this.#note(records, base);
    return new Promise<number>((resolve, reject) => {
      this.#append(base, [{ offset: base, resolve, reject }]);
    });
  }

  /**
   * Makes a batch of records as a producer sends it, which {@link PartitionWriter.addBatch} takes.
   * @throws LogError record_too_large, closed.
   */
  batchOf(records: readonly StoredRecord[], producer: ProducerSequence): Uint8Array {
    this.#refuseIfClosed();
    const { batchBytesMax: bytesMax } = this.partition.policy;
    const builder = new BatchBuilder({ codec: this.#codec, bytesMax, ...producer });
    this.#fill(builder, records);
    return builder.finish();
  }

  /** Appends such a batch, or finds that it is in the log. Resolves with the offset of its first record. */
  addBatch(batch: Uint8Array, records: readonly StoredRecord[]): Promise<number> {
    this.seal();
    const outcome = this.#handOver(batch);
    if (outcome.kind === "appended") this.#note(records, outcome.baseOffset);
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

  #note(records: readonly StoredRecord[], base: number): void {
    for (let index = 0; index < records.length; index++) {
      const key = records[index]?.key;
      if (key !== undefined) this.keys.note(key, base + index);
    }
  }

  #fill(builder: BatchBuilder, records: readonly StoredRecord[]): void {
    for (const { timestamp, key, value, headers } of records) {
      if (builder.append(timestamp, key, value, headers)) continue;
      builder.reset();
      if (records.length === 1) throw this.#tooLarge((key?.length ?? 0) + (value?.length ?? 0));
      throw new LogError(
        "record_too_large",
        `${this.#name}: ${records.length} records do not fit into one batch of ${this.partition.policy.batchBytesMax} bytes (max.message.bytes). Append fewer at once.`,
      );
    }
  }

  #refuseIfClosed(): void {
    if (this.partition.closeReason !== undefined) throw this.partition.closeReason;
  }

  #put(record: StoredRecord): number {
    if (this.#builder.recordCount === 0) this.#begin();
    const { timestamp, key, value, headers } = record;
    if (!this.#builder.append(timestamp, key, value, headers)) {
      const bytes = (key?.length ?? 0) + (value?.length ?? 0);
      if (this.#builder.recordCount === 0) throw this.#tooLarge(bytes);
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
    this.#append(this.#base, waiting);
  }

  #append(base: number, waiting: readonly Waiting[]): void {
    const bytes = this.#builder.finish(base);
    if (this.partition.logEndOffset !== base) {
      const reason = `${this.#name}: an earlier write failed, so these records have lost their place. None of them is in the log; append them again.`;
      for (const { reject } of waiting) reject(new LogError("storage_failed", reason));
      return;
    }
    const outcome = this.#handOver(bytes);
    if (outcome.kind !== "refused") {
      whenSettled([outcome], () => answer(waiting, settled(outcome)));
      return;
    }
    answer(waiting, new LogError(outcome.code, `${this.#name}: ${reasonOf(outcome)}`));
  }

  #tooLarge(bytes: number): LogError {
    return new LogError(
      "record_too_large",
      `${this.#name}: a record with ${bytes} bytes of key and value does not fit into a batch of ${this.partition.policy.batchBytesMax} bytes (max.message.bytes of the topic). Store less, or raise the setting.`,
    );
  }
}

function reasonOf(outcome: Extract<AppendOutcome, { readonly kind: "refused" }>): string {
  return outcome.reason;
}

function answer(waiting: readonly Waiting[], error: LogError | undefined): void {
  if (error === undefined) for (const { resolve, offset } of waiting) resolve(offset);
  else for (const { reject } of waiting) reject(error);
}
