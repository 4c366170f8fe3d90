/** Reads the wire format of protobuf where it lies. */
import { isUtf8 } from "node:buffer";

import { LogError } from "../../errors/index.ts";

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/**
 * Walks the fields of one message.
 * @example
 * while (reader.next()) if (reader.field === 1) name = reader.string();
 */
// hot: once for every message and record of the append calls; nothing is allocated but what they ask for.
export class ProtobufReader {
  readonly #bytes: Uint8Array;
  #position: number;
  readonly #end: number;
  /** Number of the field that {@link ProtobufReader.next} has reached. */
  field = 0;
  #wireType = 0;
  #isTaken = true;

  constructor(bytes: Uint8Array, position = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#position = position;
    this.#end = end;
  }

  /** Reaches the next field; false behind the last one. A field that was not read is passed over. */
  next(): boolean {
    if (!this.#isTaken) this.#skip();
    if (this.#position >= this.#end) return false;
    const tag = this.#varint();
    this.field = Math.floor(tag / 8);
    this.#wireType = tag % 8;
    if (this.field === 0 || tag > 0xffff_ffff) throw malformed("a field without a number");
    this.#isTaken = false;
    return true;
  }

  /** An int64 or int32. */
  integer(): number {
    this.#take(VARINT);
    return this.#signedVarint();
  }

  /** A view. */
  bytes(): Uint8Array {
    const end = this.#lengthEnd();
    const view = this.#bytes.subarray(this.#position, end);
    this.#position = end;
    return view;
  }

  string(): string {
    const bytes = this.bytes();
    if (!isUtf8(bytes)) throw malformed("a text that is not UTF-8");
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString();
  }

  /** The fields of a message within. */
  message(): ProtobufReader {
    const end = this.#lengthEnd();
    const within = new ProtobufReader(this.#bytes, this.#position, end);
    this.#position = end;
    return within;
  }

  #lengthEnd(): number {
    this.#take(BYTES);
    const end = this.#varint() + this.#position;
    if (end > this.#end) throw malformed("a field that is cut");
    return end;
  }

  #take(wireType: number): void {
    if (this.#wireType !== wireType) {
      throw malformed(`field ${this.field} has the wire type ${this.#wireType}, not ${wireType}`);
    }
    this.#isTaken = true;
  }

  #skip(): void {
    const wireType = this.#wireType;
    if (wireType === VARINT) this.#position = this.#varintEnd();
    else if (wireType === FIXED64) this.#position += 8;
    else if (wireType === FIXED32) this.#position += 4;
    else if (wireType === BYTES) this.#position = this.#lengthEnd();
    else throw malformed(`field ${this.field} has the wire type ${wireType}, which is none`);
    if (this.#position > this.#end) throw malformed("a field that is cut");
  }

  /** Below 2^53. */
  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      if (this.#position >= this.#end) throw malformed("a number that is cut");
      const byte = this.#bytes[this.#position++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 0x80;
    }
    throw malformed("a number beyond 2^53");
  }

  #signedVarint(): number {
    const start = this.#position;
    const end = this.#varintEnd();
    return end - start < 8 ? this.#varint() : this.#longVarint(start, end - 1);
  }

  #varintEnd(): number {
    const start = this.#position;
    for (let position = start; position < this.#end && position - start < 10; position++) {
      if ((this.#bytes[position] ?? 0) < 0x80) return position + 1;
    }
    throw malformed("a number that is cut");
  }

  /** What takes eight bytes and more: negative ones take ten. */
  #longVarint(start: number, last: number): number {
    let value = 0n;
    for (let position = last; position >= start; position--) {
      value = (value << 7n) | BigInt((this.#bytes[position] ?? 0) & 0x7f);
    }
    this.#position = last + 1;
    const signed = Number(BigInt.asIntN(64, value));
    if (!Number.isSafeInteger(signed)) throw malformed("a number beyond 2^53");
    return signed;
  }
}

function malformed(reason: string): LogError {
  return new LogError("protocol_violation", `malformed message: ${reason}`);
}
