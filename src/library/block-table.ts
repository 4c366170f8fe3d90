/** Finds, among blocks of any lengths, the one that holds an offset, with a look or two however many there are. */
import type { LogBlock } from "./log-block.ts";

const SLOTS_MIN = 64;
/** Spans are powers of two up to 2^30; no batch has more than 2^31 offsets. */
const LEVEL_MAX = 30;

/**
 * A block of level n has from 2^n up to 2^(n+1) offsets, one or two multiples of 2^n among them, and
 * stands in a hash table under each. So whoever knows the level of an offset's block finds it under
 * the multiple before the offset or the one behind it; and nearly all blocks of a log are of one or
 * two levels.
 */
export class BlockTable {
  /** Collisions go to the next free slot; at most half of the slots are taken. */
  #slots: (LogBlock | undefined)[] = Array.from({ length: SLOTS_MIN }, () => undefined);
  /** Low bits of the multiple that a slot is taken for. */
  #multiples = new Int32Array(SLOTS_MIN);
  #taken = 0;
  /** Blocks of each level. */
  readonly #counts = new Int32Array(LEVEL_MAX + 1);
  /** Of the block that was found last. */
  #level = 0;

  // hot: once for nearly every read.
  find(offset: number): LogBlock | undefined {
    return this.#findAt(this.#level, offset) ?? this.#findElsewhere(offset);
  }

  #findElsewhere(offset: number): LogBlock | undefined {
    for (let level = 0; level <= LEVEL_MAX; level++) {
      const block = this.#counts[level] === 0 ? undefined : this.#findAt(level, offset);
      if (block === undefined) continue;
      this.#level = level;
      return block;
    }
    return undefined;
  }

  #findAt(level: number, offset: number): LogBlock | undefined {
    const multiple = Math.floor(offset / (1 << level));
    return this.#findUnder(multiple, offset) ?? this.#findUnder(multiple + 1, offset);
  }

  #findUnder(multiple: number, offset: number): LogBlock | undefined {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let at = home(multiple, mask); ; at = (at + 1) & mask) {
      const block = slots[at];
      if (block === undefined || block.holds(offset)) return block;
    }
  }

  add(block: LogBlock): void {
    if (2 * (this.#taken + 2) > this.#slots.length) this.#grow();
    const level = levelOf(block);
    this.#level = level;
    this.#counts[level] = (this.#counts[level] ?? 0) + 1;
    this.#place(block);
  }

  #place(block: LogBlock): void {
    const mask = this.#slots.length - 1;
    for (const multiple of multiplesOf(block)) {
      let at = home(multiple, mask);
      while (this.#slots[at] !== undefined) at = (at + 1) & mask;
      this.#slots[at] = block;
      this.#multiples[at] = multiple;
      this.#taken++;
    }
  }

  #grow(): void {
    const blocks = new Set(this.#slots);
    const length = this.#slots.length * 2;
    this.#slots = Array.from({ length }, () => undefined);
    this.#multiples = new Int32Array(length);
    this.#taken = 0;
    for (const block of blocks) if (block !== undefined) this.#place(block);
  }

  /** `block` was added. */
  remove(block: LogBlock): void {
    const level = levelOf(block);
    this.#counts[level] = (this.#counts[level] ?? 0) - 1;
    const mask = this.#slots.length - 1;
    for (const multiple of multiplesOf(block)) {
      let at = home(multiple, mask);
      while (this.#slots[at] !== block) at = (at + 1) & mask;
      this.#free(at);
    }
  }

  /** What stands behind a freed slot, and could stand in it, moves up: a look ends at the first free one. */
  #free(freed: number): void {
    const slots = this.#slots;
    const multiples = this.#multiples;
    const mask = slots.length - 1;
    let free = freed;
    for (let at = (free + 1) & mask; slots[at] !== undefined; at = (at + 1) & mask) {
      const multiple = multiples[at] ?? 0;
      if (((at - home(multiple, mask)) & mask) < ((at - free) & mask)) continue;
      slots[free] = slots[at];
      multiples[free] = multiple;
      free = at;
    }
    slots[free] = undefined;
    this.#taken--;
  }

  clear(): void {
    this.#slots = Array.from({ length: SLOTS_MIN }, () => undefined);
    this.#multiples = new Int32Array(SLOTS_MIN);
    this.#taken = 0;
    this.#counts.fill(0);
  }
}

/** The slot where a look for a multiple begins: neighbours are spread, or what is missing is looked for among many. */
function home(multiple: number, mask: number): number {
  return (Math.imul(multiple, 0x9e37_79b1) >>> 7) & mask;
}

function levelOf({ baseOffset, nextOffset }: LogBlock): number {
  return Math.min(31 - Math.clz32(nextOffset - baseOffset), LEVEL_MAX);
}

function multiplesOf(block: LogBlock): number[] {
  const span = 1 << levelOf(block);
  const first = Math.ceil(block.baseOffset / span);
  return (first + 1) * span < block.nextOffset ? [first, first + 1] : [first];
}
