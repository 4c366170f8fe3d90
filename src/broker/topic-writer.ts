/** Appends records to the partitions of one topic, and knows where their keys are. */
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import type { Codec } from "../records/index.ts";
import { partitionOfKey } from "../values/index.ts";
import type { BatchDraft, StoredRecord } from "./batch-draft.ts";
import type { KeyLookup } from "./key-lookup.ts";
import { PartitionWriter, type ProducerSequence, type WriteTurn } from "./partition-writer.ts";
import type { OpenTopic } from "./topic-verbs.ts";

interface Lane {
  readonly partition: Partition;
  readonly writer: PartitionWriter;
  readonly keys: KeyLookup;
}

/** What must hold for an append to be made; refused with offset_conflict where it does not. */
export interface AppendConditions {
  /** The offset that the first record must get. */
  readonly expectedOffset?: number | undefined;
  /** Where the newest record of the key must be, or that there must be none. */
  readonly expectedLastOffset?: number | "none" | undefined;
}

export class TopicWriter {
  readonly name: string;
  readonly #topic: OpenTopic;
  readonly #turn: WriteTurn;
  readonly #codec: Codec;
  readonly #lanes: Lane[] = [];
  /** The partition of records without a key, until the turn ends. */
  #rotation = 0;

  constructor(topic: OpenTopic, turn: WriteTurn, codec: Codec) {
    this.name = topic.name;
    this.#topic = topic;
    this.#turn = turn;
    this.#codec = codec;
  }

  get partitions(): readonly Partition[] {
    return this.#topic.partitions;
  }

  /** Wall clock, read once for what is appended in one turn of the event loop. */
  get nowMs(): number {
    return this.#turn.nowMs;
  }

  /** @throws LogError partition_not_found. */
  lane(index: number): Lane {
    const known = this.#lanes[index];
    if (known !== undefined) return known;
    const partition = this.partitions[index];
    if (partition === undefined) {
      throw new LogError(
        "partition_not_found",
        `${this.name} has ${this.partitions.length} partitions, numbered from 0; there is no ${index}`,
      );
    }
    const name = `${this.name}/${index}`;
    const writer = new PartitionWriter(partition, name, this.#turn, this.#codec);
    const lane = { partition, writer, keys: writer.keys };
    this.#lanes[index] = lane;
    return lane;
  }

  /** Where a record goes: by its key as Kafka's clients place it, else from partition to partition. */
  partitionFor(key: StoredRecord["key"]): number {
    const count = this.partitions.length;
    if (count === 1) return 0;
    if (typeof key === "string" && key.length * 3 <= keyText.length) {
      return partitionOfKey(keyText, count, keyText.write(key));
    }
    if (key !== undefined) return partitionOfKey(bytesOf(key), count);
    const index = this.#rotation % count;
    // A partition keeps what comes until it has gathered a batch's worth, so that batches are not thin.
    if (this.lane(index).writer.isGathering) return index;
    this.#rotation = (index + 1) % count;
    return this.#rotation;
  }

  /** The only partition. @throws LogError invalid_argument where there are more: `what` needs one to be named. */
  onlyPartition(what: string): number {
    if (this.partitions.length === 1) return 0;
    throw new LogError(
      "invalid_argument",
      `${this.name} has ${this.partitions.length} partitions, each with offsets of its own: ${what} needs { partition }`,
    );
  }

  refuseIfClosed(): void {
    const reason = this.partitions[0]?.closeReason;
    if (reason !== undefined) throw reason;
  }

  /**
   * Appends a record. Resolves with its offset once that is durable.
   * @throws LogError, or rejects with one: offset_conflict, partition_not_found, record_too_large, storage_full, closed.
   */
  append(
    partition: number,
    record: StoredRecord,
    conditions: AppendConditions = {},
  ): Promise<number> {
    return conditions.expectedLastOffset === undefined
      ? this.#add(partition, record, conditions.expectedOffset)
      : this.#after(partition, record.key, {
          ...conditions,
          put: () => this.#add(partition, record, conditions.expectedOffset),
        });
  }

  /**
   * Appends records in one batch: all of them or none. Resolves with the offset of the first.
   * @throws LogError as `append`.
   */
  async appendAll(
    partition: number,
    records: readonly StoredRecord[],
    { expectedOffset }: Pick<AppendConditions, "expectedOffset"> = {},
  ): Promise<number> {
    const { writer } = this.lane(partition);
    this.#refuseOffset(partition, expectedOffset);
    const draft = writer.draft();
    draft.addAll(records);
    return writer.addDraft(draft);
  }

  /** A batch to fill with what `appendDraft` appends. @throws LogError partition_not_found, closed. */
  draft(partition: number): BatchDraft {
    return this.lane(partition).writer.draft();
  }

  /** Appends all of a draft or nothing of it. Resolves with the offset of the first record. */
  async appendDraft(partition: number, draft: BatchDraft): Promise<number> {
    return this.lane(partition).writer.addDraft(draft);
  }

  /**
   * Appends records once, however often they come: again it resolves with the offset of the first
   * time, whatever was expected.
   * @throws LogError as `append`; sequence_out_of_order, sequence_duplicate, producer_fenced.
   */
  async appendOnce(
    partition: number,
    records: readonly StoredRecord[],
    { producer, ...conditions }: AppendConditions & { readonly producer: ProducerSequence },
  ): Promise<number> {
    const { writer } = this.lane(partition);
    const batch = writer.batchOf(records, producer);
    const known = writer.known(batch);
    if (known !== undefined) return known;
    const put = (): Promise<number> => {
      this.#refuseOffset(partition, conditions.expectedOffset);
      return writer.addBatch(batch, records);
    };
    if (conditions.expectedLastOffset === undefined) return put();
    return this.#after(partition, records[0]?.key, { ...conditions, put });
  }

  /** Offset of the newest durable record of a key, which may say that the key is deleted. The first call reads the partition once, to learn its keys. */
  async lastOffset(partition: number, key: Uint8Array): Promise<number | undefined> {
    const { keys, writer } = this.lane(partition);
    await keys.prepare(() => writer.drained());
    return keys.find(key);
  }

  #add(
    partition: number,
    record: StoredRecord,
    expectedOffset: number | undefined,
  ): Promise<number> {
    const { writer } = this.lane(partition);
    this.#refuseOffset(partition, expectedOffset);
    return writer.add(record);
  }

  #refuseOffset(partition: number, expectedOffset: number | undefined): void {
    const { nextOffset } = this.lane(partition).writer;
    if (expectedOffset === undefined || expectedOffset === nextOffset) return;
    throw new LogError(
      "offset_conflict",
      `${this.name}/${partition}: the next offset is ${nextOffset}, not ${expectedOffset}. Read what came in between and decide again.`,
    );
  }

  /** Appends by `put` where the newest record of the key is the expected one: between the look and the append nothing else runs. */
  async #after(
    partition: number,
    givenKey: StoredRecord["key"],
    { expectedLastOffset, put }: AppendConditions & { readonly put: () => Promise<number> },
  ): Promise<number> {
    if (givenKey === undefined) {
      throw new LogError("invalid_argument", `${this.name}: expectedLastOffset needs a key`);
    }
    const key = bytesOf(givenKey);
    const expected = expectedLastOffset === "none" ? undefined : expectedLastOffset;
    const { writer, keys } = this.lane(partition);
    await keys.prepare(() => writer.drained());
    for (;;) {
      if (keys.isSurely(key, expected)) return put();
      await writer.drained();
      const { nextOffset } = writer;
      const found = await keys.find(key);
      if (found !== expected) throw this.#keyConflict(partition, key, { found, expected });
      if (writer.nextOffset === nextOffset && !keys.isUnderWay(key)) {
        return put();
      }
    }
  }

  #keyConflict(
    partition: number,
    key: Uint8Array,
    offsets: { readonly found: number | undefined; readonly expected: number | undefined },
  ): LogError {
    const { found, expected } = offsets;
    const has = found === undefined ? "has no record" : `was appended last at offset ${found}`;
    const wanted = expected === undefined ? "no record" : `offset ${expected}`;
    return new LogError(
      "offset_conflict",
      `${this.name}/${partition}: the key "${Buffer.from(key).toString()}" ${has}, and ${wanted} was expected. Read its last record and decide again.`,
    );
  }
}

/** Where a text is hashed; a UTF-16 unit takes three bytes at most. */
const keyText = Buffer.allocUnsafeSlow(1 << 10);

function bytesOf(key: Uint8Array | string): Uint8Array {
  return typeof key === "string" ? Buffer.from(key) : key;
}
