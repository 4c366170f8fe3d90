/** Finds the newest record of a key in one partition. */
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import { RecordCursor } from "../records/index.ts";
import { KeyIndex } from "./key-index.ts";

const READ_BYTES = 192 << 10;
/** Offsets looked at first where the index does not help; each step further back takes twice as many. */
const WINDOW_OFFSETS = 1024;

/**
 * Built by one walk over the partition when it is first asked, and told of every append from then
 * on. Looks at the record before it answers, because the index only hints.
 */
export class KeyLookup {
  readonly #partition: Partition;
  #index: KeyIndex | undefined;
  #building: Promise<void> | undefined;

  constructor(partition: Partition) {
    this.#partition = partition;
  }

  /** A record of `key` was appended at `offset`, and may not be durable yet. */
  note(key: Uint8Array | string, offset: number): void {
    this.#index?.note(typeof key === "string" ? Buffer.from(key) : key, offset);
  }

  /** The same for a batch that others have appended. */
  noteBatch(batch: Uint8Array): void {
    const index = this.#index;
    if (index === undefined) return;
    const cursor = new RecordCursor();
    try {
      cursor.reset(batch, 0);
      while (cursor.advance()) {
        const key = cursor.key();
        if (key !== undefined) index.note(key, cursor.offset);
      }
    } catch (thrown) {
      if (!(thrown instanceof LogError)) throw thrown;
      // What was compressed is no records. The append is made; whoever asks for a key from now on is
      // told of the batch, because the index is made anew then.
      this.#index = undefined;
      this.#building = undefined;
    }
  }

  /**
   * Makes the index; appends that come meanwhile are noted in it as they come, and those that came
   * before are durable, or failed, once `drained` resolves.
   */
  async prepare(drained: () => Promise<void>): Promise<void> {
    this.#building ??= this.#build(drained);
    await this.#building;
  }

  /** Once prepared: whether a record of `key` may be under way that is not durable yet. */
  isUnderWay(key: Uint8Array): boolean {
    const { highWatermark, logEndOffset } = this.#partition;
    if (this.#index?.isOverfull !== false) return logEndOffset > highWatermark;
    return (this.#index.find(key) ?? -1) >= highWatermark;
  }

  /**
   * Once prepared: whether the newest record of `key`, durable or not, is surely at `offset`, or
   * surely not there where that is undefined. False says nothing.
   */
  isSurely(key: Uint8Array, offset: number | undefined): boolean {
    return this.#index?.isOverfull === false && this.#index.find(key) === offset;
  }

  /** Once prepared: offset of the newest durable record of `key`. Puts a wrong hint right. */
  async find(key: Uint8Array): Promise<number | undefined> {
    const index = this.#index;
    const hint = index?.find(key);
    if (hint === undefined && index?.isOverfull === false) return undefined;
    const { highWatermark } = this.#partition;
    const end = Math.min(hint === undefined ? Infinity : hint + 1, highWatermark);
    const found = await this.#searchBack(key, end);
    // A hint beyond the durable end is of an append that is under way.
    const isKnown = hint !== undefined && hint < highWatermark && index?.find(key) === hint;
    if (isKnown && found !== undefined) index?.correct(key, found);
    return found;
  }

  async #build(drained: () => Promise<void>): Promise<void> {
    const index = new KeyIndex();
    this.#index = index;
    await drained();
    const { logStartOffset, highWatermark } = this.#partition;
    await this.#walk(logStartOffset, highWatermark, (cursor) => {
      const key = cursor.key();
      if (key !== undefined) index.note(key, cursor.offset);
    });
  }

  async #searchBack(key: Uint8Array, before: number): Promise<number | undefined> {
    let end = before;
    // The hint is nearly always right, so one record is looked at first.
    let window = 1;
    while (end > this.#partition.logStartOffset) {
      const start = Math.max(end - window, this.#partition.logStartOffset);
      const found: number[] = [];
      await this.#walk(start, end, (cursor) => {
        if (isKey(cursor, key)) found.push(cursor.offset);
      });
      if (found.length > 0) return found.at(-1);
      end = start;
      window = Math.max(window * 2, WINDOW_OFFSETS);
    }
    return undefined;
  }

  /** Visits the records of [start, end). */
  async #walk(start: number, end: number, visit: (cursor: RecordCursor) => void): Promise<void> {
    const cursor = new RecordCursor();
    let next = start;
    while (next < end) {
      next = Math.max(next, this.#partition.logStartOffset);
      const fetched = await this.#partition.read(next, {
        bytesMax: READ_BYTES,
        atLeastOneBatch: true,
      });
      if (fetched === undefined) return;
      try {
        for (let at = 0; at < fetched.bytes.length; at += cursor.header.sizeBytes) {
          cursor.reset(fetched.bytes, at);
          visitBatch(cursor, next, end, visit);
        }
        next = Math.max(fetched.nextOffset, next + 1);
      } finally {
        fetched.release();
      }
    }
  }
}

/** Visits those of a batch's records that lie in [start, end). */
// oxlint-disable-next-line max-params -- a batch, a range, and what to do
function visitBatch(
  cursor: RecordCursor,
  start: number,
  end: number,
  visit: (cursor: RecordCursor) => void,
): void {
  while (cursor.advance()) {
    if (cursor.offset >= start && cursor.offset < end) visit(cursor);
  }
}

function isKey(cursor: RecordCursor, key: Uint8Array): boolean {
  if (cursor.keyStart < 0 || cursor.keyEnd - cursor.keyStart !== key.length) return false;
  for (let at = 0; at < key.length; at++) {
    if (cursor.bytes[cursor.keyStart + at] !== key[at]) return false;
  }
  return true;
}
