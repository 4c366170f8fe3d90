/** The newest offset of each key, in memory that is bounded: what a pass of compaction decides by. */

/** Memory for keys is taken in pieces of this size; a larger key gets a piece of its own. */
const CHUNK_BYTES = 1 << 20;
const CHUNK_BITS = 20;
/** Offset, place and length of a key. */
const ENTRY_BYTES = 16;
/** Hash and entry. */
const SLOT_BYTES = 8;
/** Of the memory, what one key is reckoned to take, its own bytes included, when the table is made. */
const KEY_BYTES_RECKONED = 48;

export interface KeyOffsetsLimits {
  /** Memory of table and keys together. One key is taken in any case. */
  readonly bytesMax: number;
  /** There will not be more keys than this. */
  readonly keysMax: number;
  /** Of the hash, so that nobody can send keys that all collide. */
  readonly seed: readonly [number, number];
}

/**
 * Keys are kept and compared, not only hashed: two keys are never taken for one. Nothing moves once
 * it is there, so no call takes long; the system gives the memory when it is touched.
 */
export class KeyOffsets {
  readonly #limits: KeyOffsetsLimits;
  readonly #capacity: number;
  /** Pairs of hash and entry + 1; 0 where the slot is free. Never more than three quarters full. */
  readonly #slots: Uint32Array;
  readonly #mask: number;
  readonly #offsets: Float64Array;
  /** Chunk and place in it. */
  readonly #places: Uint32Array;
  readonly #lengths: Uint32Array;
  readonly #chunks: Uint8Array[] = [];
  /** Bytes used of the last chunk. */
  #used = CHUNK_BYTES;
  #keyBytes = 0;
  #count = 0;
  /** Where the last probe ended. */
  #slot = 0;

  constructor(limits: KeyOffsetsLimits) {
    this.#limits = limits;
    const fitting = Math.floor(limits.bytesMax / KEY_BYTES_RECKONED);
    this.#capacity = Math.max(1, Math.min(limits.keysMax, fitting));
    const slotCount = 2 ** Math.ceil(Math.log2((this.#capacity * 4) / 3 + 1));
    this.#mask = slotCount - 1;
    this.#slots = new Uint32Array(slotCount * 2);
    this.#offsets = new Float64Array(this.#capacity);
    this.#places = new Uint32Array(this.#capacity);
    this.#lengths = new Uint32Array(this.#capacity);
  }

  get count(): number {
    return this.#count;
  }

  /** Memory that is taken, as far as it was touched or may be. */
  get sizeBytes(): number {
    return this.#slots.length * (SLOT_BYTES / 2) + this.#capacity * ENTRY_BYTES + this.#keyBytes;
  }

  // hot: once for every record of the part that is not compacted yet; bench/compaction.
  /** `offset` is the newest of the key so far. False where there is no room for one more key. */
  // oxlint-disable-next-line max-params -- a key where it lies
  put(bytes: Uint8Array, start: number, end: number, offset: number): boolean {
    const hash = this.#hash(bytes, start, end);
    const known = this.#probe(bytes, start, end, hash);
    if (known >= 0) {
      this.#offsets[known] = offset;
      return true;
    }
    const entry = this.#count;
    const length = end - start;
    if (entry > 0 && !this.#hasRoom(length)) return false;
    this.#slots[this.#slot] = hash;
    this.#slots[this.#slot + 1] = entry + 1;
    this.#offsets[entry] = offset;
    this.#places[entry] = this.#keep(bytes, start, end);
    this.#lengths[entry] = length;
    this.#count++;
    return true;
  }

  // hot: once for every record.
  /** The newest offset of the key; -1 where it is not there. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const known = this.#probe(bytes, start, end, this.#hash(bytes, start, end));
    return known < 0 ? -1 : (this.#offsets[known] ?? -1);
  }

  #hasRoom(length: number): boolean {
    if (this.#count >= this.#capacity) return false;
    const isNewChunk = this.#used + length > CHUNK_BYTES;
    const more = isNewChunk ? Math.max(CHUNK_BYTES, length) : 0;
    return this.sizeBytes + more <= Math.max(this.#limits.bytesMax, CHUNK_BYTES * 2);
  }

  #keep(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (this.#used + length > CHUNK_BYTES) {
      const size = Math.max(CHUNK_BYTES, length);
      this.#chunks.push(new Uint8Array(size));
      this.#keyBytes += size;
      this.#used = 0;
    }
    const chunk = this.#chunks.length - 1;
    const at = this.#used;
    this.#chunks[chunk]?.set(bytes.subarray(start, end), at);
    this.#used += length;
    return chunk * 2 ** CHUNK_BITS + at;
  }

  /** The key's entry, or -1 and the free slot for it in `#slot`. */
  // oxlint-disable-next-line max-params -- a key where it lies
  #probe(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const entry = slots[slot * 2 + 1] ?? 0;
      if (entry === 0) {
        this.#slot = slot * 2;
        return -1;
      }
      if (slots[slot * 2] === hash && this.#isKey(entry - 1, bytes, start, end)) return entry - 1;
    }
  }

  // oxlint-disable-next-line max-params -- an entry, and a key where it lies
  #isKey(entry: number, bytes: Uint8Array, start: number, end: number): boolean {
    const length = end - start;
    if (this.#lengths[entry] !== length) return false;
    const place = this.#places[entry] ?? 0;
    const key = this.#chunks[place >>> CHUNK_BITS] ?? nothing;
    const at = place & (CHUNK_BYTES - 1);
    for (let i = 0; i < length; i++) if (key[at + i] !== bytes[start + i]) return false;
    return true;
  }

  /** HalfSipHash-1-3 of Aumasson and Bernstein, made for tables whose keys come from others. */
  #hash(bytes: Uint8Array, start: number, end: number): number {
    const [seed0, seed1] = this.#limits.seed;
    let v0 = seed0;
    let v1 = seed1;
    let v2 = seed0 ^ 0x6c796765;
    let v3 = seed1 ^ 0x74656462;
    const length = end - start;
    const rounds = (length >>> 2) + 4;
    for (let round = 0, at = start; round < rounds; round++, at += 4) {
      let word = 0;
      const isData = round < rounds - 4;
      const isLast = round === rounds - 4;
      if (isData) {
        word =
          (bytes[at] ?? 0) |
          ((bytes[at + 1] ?? 0) << 8) |
          ((bytes[at + 2] ?? 0) << 16) |
          ((bytes[at + 3] ?? 0) << 24);
      } else if (isLast) {
        word = length << 24;
        const left = end - at;
        if (left > 2) word |= (bytes[at + 2] ?? 0) << 16;
        if (left > 1) word |= (bytes[at + 1] ?? 0) << 8;
        if (left > 0) word |= bytes[at] ?? 0;
      } else if (round === rounds - 3) {
        v2 ^= 0xff;
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = (v1 << 5) | (v1 >>> 27);
      v1 ^= v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = (v3 << 8) | (v3 >>> 24);
      v3 ^= v2;
      v0 = (v0 + v3) | 0;
      v3 = (v3 << 7) | (v3 >>> 25);
      v3 ^= v0;
      v2 = (v2 + v1) | 0;
      v1 = (v1 << 13) | (v1 >>> 19);
      v1 ^= v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return (v1 ^ v3) >>> 0;
  }
}

const nothing = new Uint8Array(0);
