import { markAsUntransferable } from "node:worker_threads";

import { invariant } from "../errors/index.ts";

const SMALLEST_CLASS_BITS = 12;
const LARGEST_CLASS_BITS = 22;

/** What a pool may keep for later. */
export interface BufferPoolLimits {
  /** Bytes that lie idle in the pool at most; what comes back beyond it is left to the garbage collector. */
  readonly retainedBytesMax: number;
}

/**
 * Memory that is lent and given back, in powers of two from 4 KiB to 4 MiB; larger pieces are made
 * for the occasion. Lent memory holds whatever it held before. A piece that is never given back is
 * collected like any other memory.
 */
export class BufferPool {
  readonly #retainedBytesMax: number;
  readonly #idle: ArrayBuffer[][];
  readonly #lent = new WeakSet<ArrayBufferLike>();
  /** Sum of all idle memory; never above the limit. */
  #retainedBytes = 0;
  /** Sum of all memory that was lent and not given back. */
  #lentBytes = 0;

  constructor(limits: BufferPoolLimits) {
    this.#retainedBytesMax = limits.retainedBytesMax;
    const classes = LARGEST_CLASS_BITS - SMALLEST_CLASS_BITS + 1;
    this.#idle = Array.from({ length: classes }, () => []);
  }

  get retainedBytes(): number {
    return this.#retainedBytes;
  }

  get lentBytes(): number {
    return this.#lentBytes;
  }

  /** A view of exactly `size` bytes at the start of lent memory; the rest of `view.buffer` belongs to the holder too. */
  acquire(size: number): Uint8Array<ArrayBuffer> {
    invariant(Number.isInteger(size) && size >= 0, "a size is a whole number");
    const memory = this.#memoryFor(size);
    this.#lent.add(memory);
    this.#lentBytes += memory.byteLength;
    return new Uint8Array(memory, 0, size);
  }

  /** Gives back what `acquire` lent: that view or any other view of the same memory, once. */
  release(view: Uint8Array): void {
    const memory = view.buffer;
    invariant(this.#lent.delete(memory), "what is released was lent, and is released once");
    this.#lentBytes -= memory.byteLength;
    const idle = this.#idle[classOf(memory.byteLength)];
    const isPooled = idle !== undefined && memory instanceof ArrayBuffer;
    if (!isPooled || this.#retainedBytes + memory.byteLength > this.#retainedBytesMax) return;
    this.#retainedBytes += memory.byteLength;
    idle.push(memory);
  }

  #memoryFor(size: number): ArrayBuffer {
    const index = classOf(size);
    const reused = this.#idle[index]?.pop();
    if (reused !== undefined) {
      this.#retainedBytes -= reused.byteLength;
      return reused;
    }
    const isPooled = index < this.#idle.length;
    const bytes = isPooled ? 2 ** (index + SMALLEST_CLASS_BITS) : size;
    const { buffer } = Buffer.allocUnsafeSlow(bytes);
    // Programs get views of it: given to a worker with one of them it would be gone for all others.
    markAsUntransferable(buffer);
    return buffer;
  }
}

/** Index of the smallest class that holds `size`; past the last one where none does. */
function classOf(size: number): number {
  const bits = size <= 1 ? 0 : 32 - Math.clz32(Math.min(size, 2 ** 31) - 1);
  return Math.max(bits - SMALLEST_CLASS_BITS, 0);
}
