/** Writes the wire format of protobuf. */

const BYTES_START = 4 * 1024;

/** Growing memory; {@link ProtobufWriter.take} gives it away. */
// hot: once for every field of the records that a reading sends.
export class ProtobufWriter {
  #memory: Buffer;
  #size = 0;

  constructor(bytes = BYTES_START) {
    this.#memory = Buffer.allocUnsafe(bytes);
  }

  get size(): number {
    return this.#size;
  }

  /** `count` bytes that {@link ProtobufWriter.patchUint32} and such fill later. */
  reserve(count: number): number {
    this.#room(count);
    const position = this.#size;
    this.#size += count;
    return position;
  }

  byte(value: number): void {
    this.#room(1);
    this.#memory[this.#size++] = value;
  }

  /** From 0 up to 2^53. */
  varint(value: number): void {
    this.#room(10);
    let left = value;
    while (left >= 0x80) {
      // The bit operators know 32 bits only.
      this.#memory[this.#size++] = (left % 0x80) | 0x80;
      left = Math.floor(left / 0x80);
    }
    this.#memory[this.#size++] = left;
  }

  /** A partition as field 1 and an offset as field 2. As everywhere in proto3, zero is not written. */
  place(partition: number, offset: number): void {
    if (partition !== 0) {
      this.byte(0x08);
      this.varint(partition);
    }
    if (offset !== 0) {
      this.byte(0x10);
      this.varint(offset);
    }
  }

  /** Any safe integer, as int64 is written. */
  int64(value: number): void {
    if (value >= 0) {
      this.varint(value);
      return;
    }
    this.#room(10);
    let left = BigInt.asUintN(64, BigInt(value));
    while (left >= 0x80n) {
      this.#memory[this.#size++] = Number(left & 0x7fn) | 0x80;
      left >>= 7n;
    }
    this.#memory[this.#size++] = Number(left);
  }

  raw(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.#room(end - start);
    if (end - start < 32) {
      for (let from = start; from < end; from++) this.#memory[this.#size++] = bytes[from] ?? 0;
      return;
    }
    this.#memory.set(bytes.subarray(start, end), this.#size);
    this.#size += end - start;
  }

  patchByte(position: number, value: number): void {
    this.#memory[position] = value;
  }

  patchUint32(position: number, value: number): void {
    this.#memory.writeUInt32BE(value, position);
  }

  /** What was written, which is the caller's from now on; the writer begins anew. */
  take(): Buffer {
    const taken = this.#memory.subarray(0, this.#size);
    // Half a memory and more is given away as it is; of less a copy is worth its time.
    if (this.#size * 2 < this.#memory.length) {
      this.#size = 0;
      return Buffer.from(taken);
    }
    this.#memory = Buffer.allocUnsafe(this.#memory.length);
    this.#size = 0;
    return taken;
  }

  #room(count: number): void {
    const needed = this.#size + count;
    if (needed <= this.#memory.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#memory.length * 2));
    larger.set(this.#memory.subarray(0, this.#size));
    this.#memory = larger;
  }
}

/** Bytes of `value` as a varint. */
export function varintBytes(value: number): number {
  if (value < 0) return 10;
  let bytes = 1;
  for (let left = value; left >= 0x80; left = Math.floor(left / 0x80)) bytes++;
  return bytes;
}
