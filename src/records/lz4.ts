import { LogError } from "../errors/index.ts";
import { loadNativeCodec } from "./native-codec.ts";

// The LZ4 frame format with independent blocks, which is what every client since KIP-57 can read.
// The native decoder knows no limit and forgives a missing end mark. So the frame is walked first:
// a walk over the sequences touches little memory and gives the exact size before anything is
// allocated, and an offset that would reach before the data is found on the way.

interface NativeLz4 {
  compressFrameSync(bytes: Uint8Array): Uint8Array;
  decompressFrameSync(bytes: Uint8Array): Uint8Array;
}

const FRAME_MAGIC = 0x184d2204;
const VERSION_BITS = 0xc0;
const VERSION_1 = 0x40;
const INDEPENDENT_BIT = 0x20;
const BLOCK_CHECKSUM_BIT = 0x10;
const CONTENT_SIZE_BIT = 0x08;
const CONTENT_CHECKSUM_BIT = 0x04;
/** A reserved bit and a dictionary, which nobody could have agreed upon. */
const REFUSED_BITS = 0x03;

const STORED_BIT = 0x8000_0000;
const MATCH_BYTES_MIN = 4;
const LENGTH_GOES_ON = 15;

let loaded: NativeLz4 | undefined;

export function lz4Compress(bytes: Uint8Array): Uint8Array {
  return native().compressFrameSync(bytes);
}

export function lz4Decompress(bytes: Uint8Array, sizeMax: number): Uint8Array {
  const size = lz4FrameSize(bytes, sizeMax);
  const inflated = native().decompressFrameSync(bytes);
  if (inflated.length !== size) throw malformed(`${inflated.length} bytes came out of ${size}`);
  return inflated;
}

/** Decompressed size of one whole frame, found without decompressing; refused as soon as it passes `sizeMax`. */
function lz4FrameSize(bytes: Uint8Array, sizeMax: number): number {
  const walk = new FrameWalk(bytes, sizeMax);
  return walk.run();
}

class FrameWalk {
  readonly #bytes: Uint8Array;
  readonly #sizeMax: number;
  #position = 0;
  /** Bytes that would have come out so far; never above the limit. */
  #size = 0;
  /** How far back a match may reach: to the start of the block, or of the frame where blocks are linked. */
  #reach = 0;

  constructor(bytes: Uint8Array, sizeMax: number) {
    this.#bytes = bytes;
    this.#sizeMax = sizeMax;
  }

  run(): number {
    if (this.#uint32() !== FRAME_MAGIC) throw malformed("no frame");
    const flags = this.#byte();
    if ((flags & VERSION_BITS) !== VERSION_1 || (flags & REFUSED_BITS) !== 0) {
      throw malformed(`flags ${flags.toString(16)} of another version`);
    }
    const blockBytesMax = blockBytesMaxOf(this.#byte());
    if ((flags & CONTENT_SIZE_BIT) !== 0) this.#skip(8);
    // The header's checksum, which the decoder verifies.
    this.#skip(1);
    for (let block = this.#uint32(); block !== 0; block = this.#uint32()) {
      this.#block(block, flags, blockBytesMax);
    }
    if ((flags & CONTENT_CHECKSUM_BIT) !== 0) this.#skip(4);
    if (this.#position !== this.#bytes.length) throw malformed("bytes behind the frame");
    return this.#size;
  }

  #block(word: number, flags: number, blockBytesMax: number): void {
    const isStored = word >= STORED_BIT;
    const length = isStored ? word - STORED_BIT : word;
    const start = this.#position;
    const sizeBefore = this.#size;
    this.#skip(length);
    if (isStored) {
      this.#grow(length);
      this.#reach += length;
    } else {
      if ((flags & INDEPENDENT_BIT) !== 0) this.#reach = 0;
      this.#sequences(start, this.#position);
    }
    if (this.#size - sizeBefore > blockBytesMax) throw malformed("a block above its size");
    if ((flags & BLOCK_CHECKSUM_BIT) !== 0) this.#skip(4);
  }

  /** Literals and matches in turn; the last sequence has no match. */
  #sequences(start: number, end: number): void {
    const bytes = this.#bytes;
    this.#position = start;
    for (;;) {
      if (this.#position >= end) throw malformed("a block without its last literals");
      const token = this.#byte();
      const literals = this.#length(token >> 4, end);
      if (literals > end - this.#position) throw malformed("literals are cut");
      this.#position += literals;
      this.#grow(literals);
      this.#reach += literals;
      if (this.#position === end) return;
      if (end - this.#position < 2) throw malformed("a match is cut");
      const low = bytes[this.#position] ?? 0;
      const offset = low | ((bytes[this.#position + 1] ?? 0) << 8);
      this.#position += 2;
      if (offset === 0 || offset > this.#reach) throw malformed("a match before the data");
      const matched = this.#length(token & 15, end) + MATCH_BYTES_MIN;
      this.#grow(matched);
      this.#reach += matched;
    }
  }

  #length(nibble: number, end: number): number {
    if (nibble < LENGTH_GOES_ON) return nibble;
    let length = nibble;
    for (;;) {
      if (this.#position >= end) throw malformed("a length is cut");
      const byte = this.#byte();
      length += byte;
      if (byte !== 255) return length;
    }
  }

  #grow(count: number): void {
    this.#size += count;
    if (this.#size > this.#sizeMax) {
      throw new LogError("limit_exceeded", `lz4: more than ${this.#sizeMax} bytes`);
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#position++];
    if (byte === undefined) throw malformed("the frame is cut");
    return byte;
  }

  #uint32(): number {
    const low = this.#byte() | (this.#byte() << 8);
    return (low | (this.#byte() << 16) | (this.#byte() << 24)) >>> 0;
  }

  #skip(count: number): void {
    if (count > this.#bytes.length - this.#position) throw malformed("the frame is cut");
    this.#position += count;
  }
}

/** 64 KiB, 256 KiB, 1 MiB or 4 MiB. */
function blockBytesMaxOf(descriptor: number): number {
  const size = (descriptor >> 4) & 7;
  if (size < 4 || (descriptor & 0x8f) !== 0) throw malformed("an unknown block size");
  return 2 ** (8 + size * 2);
}

function malformed(reason: string): LogError {
  return new LogError("batch_corrupt", `lz4: ${reason}`);
}

function native(): NativeLz4 {
  if (loaded !== undefined) return loaded;
  const found = loadNativeCodec("lz4-napi");
  if (!isLz4(found)) throw new LogError("unsupported_compression", "lz4 lacks its functions");
  loaded = found;
  return found;
}

function isLz4(found: unknown): found is NativeLz4 {
  if (typeof found !== "object" || found === null) return false;
  return "compressFrameSync" in found && "decompressFrameSync" in found;
}
