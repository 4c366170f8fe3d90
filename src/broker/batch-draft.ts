/** Batches that are filled before anything of them is appended. */
import { ByteWriter } from "../bytes/index.ts";
import { LogError } from "../errors/index.ts";
import { BatchBuilder, type BatchBuilderOptions, type RecordHeader } from "../records/index.ts";

/** Pieces of memory that wait for the next drafts, and bytes of each, at most. */
const IDLE_MAX = 4;
const IDLE_BYTES_MAX = 2 << 20;
const FIRST_BYTES = 4 << 10;

/**
 * The memory of drafts, used again once their batches are settled: new memory costs the machine more
 * than all that is written into it.
 */
export class DraftMemory {
  readonly #idle: ByteWriter[] = [];

  /** Whoever does not give it back leaves it to the garbage collector. */
  lend(): ByteWriter {
    return this.#idle.pop() ?? new ByteWriter(FIRST_BYTES);
  }

  giveBack(memory: ByteWriter): void {
    if (this.#idle.length < IDLE_MAX && memory.capacity <= IDLE_BYTES_MAX) this.#idle.push(memory);
  }
}

/** A record as it is stored. */
export interface StoredRecord {
  readonly timestamp: number;
  /** Text is stored as UTF-8, here and of the value. */
  readonly key: Uint8Array | string | undefined;
  /** Undefined says that the key is deleted. */
  readonly value: Uint8Array | string | undefined;
  readonly headers: readonly RecordHeader[];
}

type DraftOptions = BatchBuilderOptions & { readonly bytesMax: number };

/** One batch for one partition: all of its records are appended, or none. */
export class BatchDraft {
  /** Of each record. */
  readonly keys: StoredRecord["key"][] = [];
  readonly memory: ByteWriter;
  readonly #name: string;
  readonly #bytesMax: number;
  readonly #builder: BatchBuilder;
  /** The first record that found no room; what comes after it is counted only. */
  #outsider: Pick<StoredRecord, "key" | "value"> | undefined;

  /** `name` is the partition's, for messages. */
  constructor(name: string, options: DraftOptions, memory = new ByteWriter(FIRST_BYTES)) {
    this.memory = memory;
    this.#name = name;
    this.#bytesMax = options.bytesMax;
    this.#builder = new BatchBuilder(options, memory);
  }

  // oxlint-disable-next-line max-params -- the parts of a record
  add(
    timestamp: number,
    key: StoredRecord["key"],
    value: StoredRecord["value"],
    headers: readonly RecordHeader[],
  ): void {
    this.keys.push(key);
    if (this.#outsider !== undefined) return;
    if (!this.#builder.append(timestamp, key, value, headers)) this.#outsider = { key, value };
  }

  addAll(records: readonly StoredRecord[]): void {
    for (const { timestamp, key, value, headers } of records) {
      this.add(timestamp, key, value, headers);
    }
  }

  /** @throws LogError record_too_large. */
  refuseIfTooLarge(): void {
    if (this.#outsider === undefined) return;
    const { length } = this.keys;
    if (length === 1) throw tooLarge(this.#name, this.#bytesMax, this.#outsider);
    throw new LogError(
      "record_too_large",
      `${this.#name}: ${length} records do not fit into one batch of ${this.#bytesMax} bytes (max.message.bytes). Append fewer at once.`,
    );
  }

  /** The batch, in the draft's own memory: nothing can be added any more. */
  finish(baseOffset = 0): Uint8Array {
    return this.#builder.finishInPlace(baseOffset);
  }
}

/** A record that does not even fit into a batch of its own. */
export function tooLarge(
  name: string,
  bytesMax: number,
  { key, value }: Pick<StoredRecord, "key" | "value">,
): LogError {
  const bytes = sizeOf(key) + sizeOf(value);
  return new LogError(
    "record_too_large",
    `${name}: a record with ${bytes} bytes of key and value does not fit into a batch of ${bytesMax} bytes (max.message.bytes of the topic). Store less, or raise the setting.`,
  );
}

function sizeOf(field: Uint8Array | string | undefined): number {
  return typeof field === "string" ? ByteWriter.stringSize(field) : (field?.length ?? 0);
}
