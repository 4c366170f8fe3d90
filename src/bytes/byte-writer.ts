import { invariant } from "../errors/index.ts";
import { writeInt64 } from "./integers.ts";
import { writeUuid } from "./uuid.ts";
import { putUnsignedVarint, putVarint, putVarlong } from "./varint.ts";

/** Longest form of any integer: a varlong of ten bytes. */
const INTEGER_BYTES_MAX = 10;
/** Up to here a loop over ASCII is faster than a call into the encoder. */
const SHORT_TEXT_MAX = 32;

/**
 * Growing memory, written front to back in network byte order; made to be reused.
 * The memory doubles when it is full and is kept by {@link ByteWriter.reset}.
 */
export class ByteWriter {
  #bytes: Buffer<ArrayBuffer>;
  #view: DataView;
  /** Bytes written so far; always within the memory. */
  #size = 0;

  constructor(initialBytes = 256) {
    this.#bytes = Buffer.allocUnsafeSlow(Math.max(initialBytes, 16));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written so far, hence the position of what is written next. */
  get size(): number {
    return this.#size;
  }

  /** Bytes the memory takes now. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** Skips `count` bytes and answers where they are, to be filled by one of the `patch` calls. Their content is undefined until then. */
  reserve(count: number): number {
    const position = this.#size;
    this.#room(count);
    this.#size += count;
    return position;
  }

  /**
   * The memory itself, with room for `count` bytes behind what was written, until the next call of any
   * method: what is quicker written by hand begins at {@link ByteWriter.size}, and {@link ByteWriter.filled}
   * says how far it goes.
   */
  memory(count: number): Buffer<ArrayBuffer> {
    this.#room(count);
    return this.#bytes;
  }

  /** Takes what was written by hand, up to `size`. */
  filled(size: number): void {
    invariant(size >= this.#size && size <= this.#bytes.length, "what is filled was made room for");
    this.#size = size;
  }

  int8(value: number): void {
    this.#room(1);
    this.#bytes[this.#size++] = value;
  }

  boolean(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  /** Also for unsigned values below 2^16. */
  int16(value: number): void {
    this.#room(2);
    this.#view.setInt16(this.#size, value);
    this.#size += 2;
  }

  /** Also for unsigned values below 2^32. */
  int32(value: number): void {
    this.#room(4);
    this.#view.setInt32(this.#size, value);
    this.#size += 4;
  }

  /** `value` is a safe integer. */
  int64(value: number): void {
    this.#room(8);
    writeInt64(this.#view, this.#size, value);
    this.#size += 8;
  }

  float64(value: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#size, value);
    this.#size += 8;
  }

  /** `value` is an integer from 0 up to 2^53. */
  unsignedVarint(value: number): void {
    this.#room(INTEGER_BYTES_MAX);
    this.#size = putUnsignedVarint(this.#bytes, this.#size, value);
  }

  /** Zig-zag; `value` is a signed 32-bit integer. */
  varint(value: number): void {
    this.#room(INTEGER_BYTES_MAX);
    this.#size = putVarint(this.#bytes, this.#size, value);
  }

  /** Zig-zag; `value` is a safe integer. */
  varlong(value: number): void {
    this.#room(INTEGER_BYTES_MAX);
    this.#size = putVarlong(this.#bytes, this.#size, value);
  }

  /** Copies `bytes`; no length is written. */
  bytes(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
  }

  /** Writes `text` as UTF-8 with no length, and answers how many bytes that took. */
  string(text: string): number {
    // A UTF-16 unit never takes more than three bytes.
    this.#room(text.length * 3);
    const before = this.#size;
    if (text.length > SHORT_TEXT_MAX || !this.#shortAscii(text)) {
      this.#size = before + this.#bytes.write(text, before);
    }
    return this.#size - before;
  }

  /** How many bytes {@link ByteWriter.string} takes, where the length comes before the text. */
  static stringSize(text: string): number {
    return Buffer.byteLength(text);
  }

  /** Sixteen bytes of a canonical UUID. */
  uuid(text: string): void {
    const position = this.reserve(16);
    writeUuid(text, this.#bytes, position);
  }

  patchInt8(position: number, value: number): void {
    this.#mustHold(position, 1);
    this.#view.setInt8(position, value);
  }

  patchInt16(position: number, value: number): void {
    this.#mustHold(position, 2);
    this.#view.setInt16(position, value);
  }

  patchInt32(position: number, value: number): void {
    this.#mustHold(position, 4);
    this.#view.setInt32(position, value);
  }

  patchInt64(position: number, value: number): void {
    this.#mustHold(position, 8);
    writeInt64(this.#view, position, value);
  }

  /** Goes back to an earlier {@link ByteWriter.size}; what was written behind it is forgotten. */
  truncate(size: number): void {
    invariant(size >= 0 && size <= this.#size, "a writer is cut where it was before");
    this.#size = size;
  }

  /** What was written, as a view that is valid until the next call of any method but this. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#size);
  }

  /**
   * What was written, in memory that is the caller's from now on; the writer begins empty.
   * A writer that is mostly empty keeps its memory and gives a copy away.
   */
  take(): Uint8Array<ArrayBuffer> {
    const size = this.#size;
    this.#size = 0;
    if (size * 2 < this.#bytes.length) return new Uint8Array(this.#bytes.subarray(0, size));
    const taken = this.#bytes.subarray(0, size);
    this.#bytes = Buffer.allocUnsafeSlow(this.#bytes.length);
    this.#view = new DataView(this.#bytes.buffer);
    return taken;
  }

  /** Begins anew in the same memory. */
  reset(): void {
    this.#size = 0;
  }

  /** False, and nothing is kept, where a character is not ASCII. */
  #shortAscii(text: string): boolean {
    const bytes = this.#bytes;
    let position = this.#size;
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0x7f) return false;
      bytes[position++] = unit;
    }
    this.#size = position;
    return true;
  }

  #mustHold(position: number, count: number): void {
    invariant(position >= 0 && position + count <= this.#size, "a patch lies in what was written");
  }

  #room(count: number): void {
    if (this.#size + count > this.#bytes.length) this.#grow(this.#size + count);
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
