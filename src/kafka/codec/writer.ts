import { uuidToString, writeUuid } from "../../bytes/index.ts";
import { invariant } from "../../errors/index.ts";
import type { RecordChunks } from "./schema.ts";

/** Chunks up to this size are copied: cheaper than a piece of their own in the system call. */
const copiedBytesMax = 1024;

/** Memory beyond this is not kept by an idle writer. */
const keptBytesMax = 65_536;

const frameSizeBytes = 4;

/**
 * Writes size-prefixed messages one behind another into one piece of memory, which grows as needed.
 *
 * A message is a list of parts in the end: views of this memory, and between them the long record
 * chunks that were handed in, not copied. Memory that a part shows stays untouched until
 * {@link MessageWriter.rewind}: growing leaves it behind and goes on elsewhere.
 */
export class MessageWriter {
  bytes: Buffer;
  view: DataView;
  /** Where the open message begins in `bytes`. */
  start = 0;
  /** Behind the last byte written, between messages; while one is encoded the codec holds it. */
  position = 0;
  readonly #bytesMin: number;
  #foreign: { readonly at: number; readonly part: Uint8Array }[] = [];
  #foreignBytes = 0;

  constructor(bytesMin = 1024) {
    this.#bytesMin = bytesMin;
    this.bytes = Buffer.allocUnsafeSlow(bytesMin);
    this.view = viewOf(this.bytes);
  }

  /** Opens a message with room for its size, which {@link MessageWriter.finish} fills in. */
  begin(): void {
    this.start = this.position;
    this.position = this.grow(this.position, frameSizeBytes) + frameSizeBytes;
  }

  /** Opens a message without a size: one that travels inside another. */
  beginBare(): void {
    this.start = this.position;
  }

  /** Gives up the open message. */
  abandon(): void {
    this.position = this.start;
    this.#dropForeign();
  }

  /** Closes the open message: its parts in order. */
  finish(): Uint8Array[] {
    const size = this.position - this.start - frameSizeBytes + this.#foreignBytes;
    invariant(size <= 0x7fff_ffff, "a message takes less than 2 GiB");
    this.view.setInt32(this.start, size);
    return this.finishBare();
  }

  finishBare(): Uint8Array[] {
    const parts: Uint8Array[] = [];
    let from = this.start;
    for (const { at, part } of this.#foreign) {
      if (this.start + at > from) parts.push(this.#own(from, this.start + at));
      parts.push(part);
      from = this.start + at;
    }
    if (this.position > from) parts.push(this.#own(from, this.position));
    this.start = this.position;
    this.#dropForeign();
    return parts;
  }

  /** All that was written is sent: its memory may be used again. */
  rewind(): void {
    this.start = 0;
    this.position = 0;
    if (this.bytes.length <= keptBytesMax) return;
    this.bytes = Buffer.allocUnsafeSlow(this.#bytesMin);
    this.view = viewOf(this.bytes);
  }

  /**
   * Makes sure of `count` bytes behind `position`, and answers where `position` is now: an open
   * message that outgrows its memory moves to a larger one.
   */
  grow(position: number, count: number): number {
    if (this.bytes.length - position >= count) return position;
    const written = position - this.start;
    const needed = written + count;
    const usual = Math.min(this.bytes.length * 2, keptBytesMax);
    const larger = Buffer.allocUnsafeSlow(Math.max(usual, needed > usual ? needed * 2 : 0));
    larger.set(this.bytes.subarray(this.start, position), 0);
    this.bytes = larger;
    this.view = viewOf(larger);
    this.start = 0;
    return written;
  }

  /** Adds record chunks with their length in front; answers the position behind. */
  records(position: number, chunks: RecordChunks | undefined, isCompact: boolean): number {
    if (chunks === undefined) return this.#length(position, -1, isCompact);
    if (chunks instanceof Uint8Array) {
      return this.#chunk(this.#length(position, chunks.length, isCompact), chunks);
    }
    let total = 0;
    for (const chunk of chunks) total += chunk.length;
    let next = this.#length(position, total, isCompact);
    for (const chunk of chunks) next = this.#chunk(next, chunk);
    return next;
  }

  /** Adds bytes with their length in front, copied; answers the position behind. */
  bytesField(position: number, value: Uint8Array | undefined, isCompact: boolean): number {
    const next = this.#length(position, value === undefined ? -1 : value.length, isCompact);
    return value === undefined ? next : this.#copy(next, value);
  }

  /**
   * Closes a tagged field: puts its size into the byte left free at `mark` (counted from the start
   * of the message), moving the field up where the size takes more than that one byte.
   */
  seal(mark: number, position: number): number {
    const size = position - this.start - mark - 1;
    const extra = unsignedSize(size) - 1;
    const end = extra === 0 ? position : this.grow(position, extra);
    const at = this.start + mark;
    if (extra > 0) this.bytes.copyWithin(at + 1 + extra, at + 1, end);
    putUnsigned(this.bytes, at, size);
    return end + extra;
  }

  #length(position: number, length: number, isCompact: boolean): number {
    const at = this.grow(position, 5);
    if (isCompact) return putUnsigned(this.bytes, at, length + 1);
    this.view.setInt32(at, length);
    return at + 4;
  }

  #chunk(position: number, chunk: Uint8Array): number {
    if (chunk.length <= copiedBytesMax) return this.#copy(position, chunk);
    this.#foreign.push({ at: position - this.start, part: chunk });
    this.#foreignBytes += chunk.length;
    return position;
  }

  #copy(position: number, value: Uint8Array): number {
    const at = this.grow(position, value.length);
    this.bytes.set(value, at);
    return at + value.length;
  }

  #own(from: number, to: number): Uint8Array {
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + from, to - from);
  }

  #dropForeign(): void {
    if (this.#foreign.length === 0) return;
    this.#foreign = [];
    this.#foreignBytes = 0;
  }
}

/** Memory to decode from: the bytes and the view over them, made once for many messages. */
export interface Source {
  readonly bytes: Buffer;
  readonly view: DataView;
}

export function sourceOf(bytes: Uint8Array): Source {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return { bytes: buffer, view: viewOf(buffer) };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

// What both codecs share: the single values whose encoding leaves no choice.

function unsignedSize(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

/** Writes an unsigned varint; answers the position behind it. */
export function putUnsigned(bytes: Uint8Array, position: number, value: number): number {
  let rest = value;
  let next = position;
  for (; rest >= 0x80; rest >>>= 7) bytes[next++] = (rest & 0x7f) | 0x80;
  bytes[next++] = rest;
  return next;
}

/** Bytes to have free before {@link putString} or {@link putCompactString} of a text. */
export function stringBytesMax(text: string): number {
  return text.length * 3 + 5;
}

/** Writes a text with its two-byte length; answers the position behind, or -1 where it is too long. */
export function putString(bytes: Buffer, position: number, text: string): number {
  const size = bytes.write(text, position + 2, "utf8");
  if (size > 0x7fff) return -1;
  bytes[position] = size >>> 8;
  bytes[position + 1] = size & 0xff;
  return position + 2 + size;
}

/** Writes a text with its varint length, which is one more than its bytes. */
export function putCompactString(bytes: Buffer, position: number, text: string): number {
  // Up to 42 code units cannot take more bytes than a one-byte length can tell.
  if (text.length <= 42) {
    const size = bytes.write(text, position + 1, "utf8");
    bytes[position] = size + 1;
    return position + 1 + size;
  }
  const size = Buffer.byteLength(text, "utf8");
  if (size > 0x7fff) return -1;
  const at = putUnsigned(bytes, position, size + 1);
  bytes.write(text, at, "utf8");
  return at + size;
}

export function putUuid(bytes: Uint8Array, position: number, value: string): void {
  writeUuid(value, bytes, position);
}

export function uuidAt(bytes: Uint8Array, position: number): string {
  return uuidToString(bytes, position);
}

/** A high and a low half as one number; not a safe integer where the value does not fit one. */
export function joinInt64(high: number, low: number): number {
  return high * 0x1_0000_0000 + low;
}
