import { LogError } from "../errors/index.ts";
import { uuidToString } from "./uuid.ts";

const TWO_32 = 0x1_0000_0000;

/**
 * Reads `bytes` from a start up to an end, front to back in network byte order, and never past that
 * end: whatever a peer claims about lengths, the worst that happens is a
 * `LogError("protocol_violation")`. Made to be reused by {@link ByteReader.reset}.
 */
export class ByteReader {
  /** The whole memory under the bytes that were given, so that positions need one addition only once. */
  #buffer: Buffer;
  #view: DataView;
  /** Where the given bytes begin in their memory. */
  #base = 0;
  /** Absolute in the memory; never above `#end`. */
  #position = 0;
  #end = 0;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.#buffer = Buffer.from(bytes.buffer);
    this.#view = new DataView(bytes.buffer);
    this.reset(bytes, start, end);
  }

  /** Reads other bytes from now on; in the memory of the bytes before nothing is allocated. */
  reset(bytes: Uint8Array, start = 0, end = bytes.length): void {
    if (start < 0 || end > bytes.length || start > end) this.#fail("a range outside its bytes");
    if (this.#view.buffer !== bytes.buffer) {
      this.#buffer = Buffer.from(bytes.buffer);
      this.#view = new DataView(bytes.buffer);
    }
    this.#base = bytes.byteOffset;
    this.#position = bytes.byteOffset + start;
    this.#end = bytes.byteOffset + end;
  }

  /** Position in the bytes that were given. */
  get position(): number {
    return this.#position - this.#base;
  }

  get end(): number {
    return this.#end - this.#base;
  }

  get remaining(): number {
    return this.#end - this.#position;
  }

  int8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  boolean(): boolean {
    return this.uint8() !== 0;
  }

  int16(): number {
    return this.#view.getInt16(this.#take(2));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4));
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** Refused where it is no safe integer. */
  int64(): number {
    const position = this.#take(8);
    const value = this.#view.getInt32(position) * TWO_32 + this.#view.getUint32(position + 4);
    if (!Number.isSafeInteger(value)) this.#fail("a 64-bit integer beyond 2^53");
    return value;
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8));
  }

  /** From 0 to 2^32 - 1, in at most five bytes. */
  unsignedVarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.uint8();
      if (shift === 28 && byte > 0x0f) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    return this.#fail("a varint of more than 32 bits");
  }

  /** Zig-zag, a signed 32-bit integer. */
  varint(): number {
    const zigzag = this.unsignedVarint();
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }

  /** Zig-zag, in at most ten bytes; refused where it is no safe integer. */
  varlong(): number {
    let byte = this.uint8();
    const isNegative = (byte & 1) === 1;
    let magnitude = (byte >> 1) & 0x3f;
    let scale = 0x40;
    for (let count = 1; byte >= 0x80; count++) {
      if (count === 10) this.#fail("a varlong of more than ten bytes");
      byte = this.uint8();
      magnitude += (byte & 0x7f) * scale;
      scale *= 0x80;
    }
    const value = isNegative ? -magnitude - 1 : magnitude;
    if (!Number.isSafeInteger(value)) this.#fail("a varlong beyond 2^53");
    return value;
  }

  /** A view of the next `count` bytes. */
  bytes(count: number): Uint8Array {
    const start = this.#take(count);
    return new Uint8Array(this.#buffer.buffer, start, count);
  }

  skip(count: number): void {
    this.#take(count);
  }

  /** The next `count` bytes as UTF-8. */
  string(count: number): string {
    const start = this.#take(count);
    return this.#buffer.toString("utf8", start, start + count);
  }

  /** Sixteen bytes as a canonical UUID. */
  uuid(): string {
    return uuidToString(this.#buffer, this.#take(16));
  }

  /** Checked before anything is read, so a lying length costs no memory. */
  #take(count: number): number {
    const position = this.#position;
    if (count < 0 || count > this.#end - position) {
      this.#fail(`${count} bytes where ${this.remaining} are left`);
    }
    this.#position = position + count;
    return position;
  }

  #fail(what: string): never {
    throw new LogError("protocol_violation", `malformed bytes at ${this.position}: ${what}`);
  }
}
