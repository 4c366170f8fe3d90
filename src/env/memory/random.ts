import type { Random } from "../env.ts";

/** Random numbers that one seed fixes for ever: the generator sfc32, seeded by splitmix32. */
export class SeededRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    let state = seed | 0;
    const seedWord = (): number => {
      state = (state + 0x9e37_79b9) | 0;
      const once = Math.imul(state ^ (state >>> 16), 0x21f0_aaad);
      const twice = Math.imul(once ^ (once >>> 15), 0x735a_2d97);
      return twice ^ (twice >>> 15);
    };
    this.#a = seedWord();
    this.#b = seedWord();
    this.#c = seedWord();
    for (let round = 0; round < 12; round++) this.uint32();
  }

  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** From 0 up to 1, without 1. */
  next(): number {
    return this.uint32() / 2 ** 32;
  }

  /** A whole number from 0 up to `end`, without `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end);
  }

  fill(target: Uint8Array): void {
    for (const index of target.keys()) target[index] = this.uint32() >>> 24;
  }

  uuid(): Uint8Array {
    const bytes = Uint8Array.from({ length: 16 }, () => this.uint32() >>> 24);
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    return bytes;
  }
}
