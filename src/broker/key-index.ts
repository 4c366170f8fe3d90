/** Where the newest record of each key is: 16 bytes for a slot, whatever the keys' sizes. */
import { crc32c } from "../bytes/index.ts";
import { murmur2 } from "../values/index.ts";

const CAPACITY_START = 1024;
/** Most slots of one partition's index; with more keys than three quarters of it there is none. */
const CAPACITY_MAX = 1 << 26;

/**
 * A table from the 64-bit hash of a key to an offset. Two keys may share a hash, so an offset found
 * here is only a hint until the record was looked at; a key that is not found is surely not there.
 */
export class KeyIndex {
  #high = new Uint32Array(CAPACITY_START);
  #low = new Uint32Array(CAPACITY_START);
  /** Offset + 1; zero where the slot is free. */
  #offsets = new Float64Array(CAPACITY_START);
  #count = 0;
  #isOverfull = false;

  /** More keys than the index may hold: it knows nothing any more. */
  get isOverfull(): boolean {
    return this.#isOverfull;
  }

  /** `offset` holds the newest record of `key`, unless a newer one is known. */
  note(key: Uint8Array, offset: number): void {
    if (this.#isOverfull) return;
    const slot = this.#slot(murmur2(key) >>> 0, crc32c(key));
    if ((this.#offsets[slot] ?? 0) < offset + 1) this.#offsets[slot] = offset + 1;
  }

  /** Puts right what a lookup has found out. */
  correct(key: Uint8Array, offset: number): void {
    if (this.#isOverfull) return;
    this.#offsets[this.#slot(murmur2(key) >>> 0, crc32c(key))] = offset + 1;
  }

  find(key: Uint8Array): number | undefined {
    const high = murmur2(key) >>> 0;
    const slot = this.#probe(high, crc32c(key));
    const found = this.#offsets[slot] ?? 0;
    return found === 0 ? undefined : found - 1;
  }

  #slot(high: number, low: number): number {
    const slot = this.#probe(high, low);
    if (this.#offsets[slot] !== 0) return slot;
    if ((this.#count + 1) * 4 > this.#offsets.length * 3) {
      this.#grow();
      return this.#slot(high, low);
    }
    this.#count++;
    this.#high[slot] = high;
    this.#low[slot] = low;
    return slot;
  }

  #probe(high: number, low: number): number {
    const mask = this.#offsets.length - 1;
    let slot = low & mask;
    while (this.#offsets[slot] !== 0) {
      if (this.#low[slot] === low && this.#high[slot] === high) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #grow(): void {
    const high = this.#high;
    const low = this.#low;
    const offsets = this.#offsets;
    const isFull = offsets.length >= CAPACITY_MAX;
    const capacity = isFull ? CAPACITY_START : offsets.length * 2;
    this.#isOverfull = isFull;
    this.#high = new Uint32Array(capacity);
    this.#low = new Uint32Array(capacity);
    this.#offsets = new Float64Array(capacity);
    if (isFull) return;
    for (let at = 0; at < offsets.length; at++) {
      const offset = offsets[at] ?? 0;
      if (offset === 0) continue;
      const slot = this.#probe(high[at] ?? 0, low[at] ?? 0);
      this.#high[slot] = high[at] ?? 0;
      this.#low[slot] = low[at] ?? 0;
      this.#offsets[slot] = offset;
    }
  }
}
