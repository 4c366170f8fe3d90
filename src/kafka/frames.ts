import { LogError, invariant } from "../errors/index.ts";
import type { Source } from "./codec/writer.ts";
import { sourceOf } from "./codec/writer.ts";

/** Memory of a connection that says little. */
const slabBytesMin = 16_384;

/** Memory of a connection whose reads fill what they are offered. */
const slabBytesMax = 1_048_576;

/** Slabs go from one size to the next by this factor. */
const slabGrowth = 4;

/** A larger tail than this is still worth reading into. */
const tailBytesMin = 4096;

/** A frame up to this size gets its memory at once; a larger one as its bytes arrive. */
const reservedBytesMax = 4 * slabBytesMax;

/** Bytes of the size in front of a frame. */
export const framePrefixBytes = 4;

/**
 * Memory that frames are received into and parsed in. It is written again only when nobody holds
 * it: the receiver that fills it, and every request whose bytes lie in it, until it is answered.
 */
export class Slab {
  readonly source: Source;
  readonly capacity: number;
  readonly #pool: SlabPool;
  holders = 1;

  constructor(capacity: number, pool: SlabPool) {
    this.source = sourceOf(Buffer.allocUnsafeSlow(capacity));
    this.capacity = capacity;
    this.#pool = pool;
  }

  hold(): void {
    this.holders += 1;
  }

  release(): void {
    this.holders -= 1;
    invariant(this.holders >= 0, "a slab is released once by each holder");
    if (this.holders === 0) this.#pool.take(this);
  }
}

/** Slabs that nobody holds, for the connections of one listener. */
export class SlabPool {
  readonly #free = new Map<number, Slab[]>();
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** A slab of at least `bytes`, with one holder. */
  acquire(bytes: number): Slab {
    let capacity = slabBytesMin;
    while (capacity < bytes && capacity < slabBytesMax) capacity *= slabGrowth;
    if (capacity < bytes) return new Slab(bytes, this);
    const slab = this.#free.get(capacity)?.pop();
    if (slab === undefined) return new Slab(capacity, this);
    this.#bytes -= capacity;
    slab.holders = 1;
    return slab;
  }

  /** Called by the slab that lost its last holder. Sizes made for one frame are left to the collector. */
  take(slab: Slab): void {
    if (slab.capacity > slabBytesMax || this.#bytes + slab.capacity > this.#bytesMax) return;
    const list = this.#free.get(slab.capacity);
    if (list === undefined) this.#free.set(slab.capacity, [slab]);
    else list.push(slab);
    this.#bytes += slab.capacity;
  }
}

/**
 * Cuts what arrives on one connection into frames, where it landed: only the head of a frame that
 * does not fit behind what is there already is copied to the next slab.
 */
export class FrameReceiver {
  /** The frame found by {@link FrameReceiver.next}: the slab it lies in, and where. */
  slab: Slab;
  start = 0;
  end = 0;
  /** Frames beyond this are refused; may be raised between frames. */
  frameBytesMax: number;
  readonly #pool: SlabPool;
  /** Bytes of the slab that were parsed into frames, and bytes that were received. */
  #parsed = 0;
  #filled = 0;
  #offered = 0;
  #lastCount = 0;
  /** Size of the slab that suits how much this connection says. */
  #usual = slabBytesMin;

  constructor(pool: SlabPool, frameBytesMax: number) {
    this.#pool = pool;
    this.frameBytesMax = frameBytesMax;
    this.slab = pool.acquire(slabBytesMin);
  }

  /** Bytes received that are no frame yet, or whose frame was not asked for yet. */
  get pendingBytes(): number {
    return this.#filled - this.#parsed;
  }

  /** Bytes that the frame in front takes with its size; undefined while its size is not known. */
  get frameBytes(): number | undefined {
    if (this.pendingBytes < framePrefixBytes) return undefined;
    return framePrefixBytes + this.slab.source.view.getInt32(this.#parsed);
  }

  /** The pending bytes as they lie, up to `count` of them. */
  peek(count: number): Uint8Array {
    const end = Math.min(this.#filled, this.#parsed + count);
    return this.slab.source.bytes.subarray(this.#parsed, end);
  }

  /** Free memory for the next read. */
  target(): Uint8Array {
    this.#makeRoom();
    const view = this.slab.source.bytes.subarray(this.#filled);
    this.#offered = view.length;
    return view;
  }

  /** `count` bytes were put at the start of the last target. */
  received(count: number): void {
    invariant(count <= this.#offered, "a read stays within its target");
    this.#filled += count;
    this.#lastCount = count;
    if (count === this.#offered && this.#usual < slabBytesMax) this.#usual *= slabGrowth;
  }

  /**
   * Steps to the next whole frame; false while there is none.
   * @throws LogError `protocol_violation` for a size that is negative or over the limit.
   */
  next(): boolean {
    const bytes = this.frameBytes;
    if (bytes === undefined) return false;
    const size = bytes - framePrefixBytes;
    if (size < 0 || size > this.frameBytesMax) {
      throw new LogError(
        "protocol_violation",
        `a frame of ${size} bytes is not accepted: the limit here is ${this.frameBytesMax}`,
      );
    }
    if (this.pendingBytes < bytes) return false;
    this.start = this.#parsed + framePrefixBytes;
    this.end = this.#parsed + bytes;
    this.#parsed = this.end;
    return true;
  }

  /** Gives the memory back; nothing may be called after it. */
  dispose(): void {
    this.slab.release();
  }

  #makeRoom(): void {
    if (this.pendingBytes === 0) return this.#makeRoomForAny();
    const needed = this.frameBytes ?? framePrefixBytes;
    const tail = this.slab.capacity - this.#filled;
    const fits = this.#parsed + needed <= this.slab.capacity;
    if (tail > 0 && fits) return undefined;
    // A frame that gets its memory step by step goes on where it is while there is room.
    if (tail >= tailBytesMin && this.slab.capacity >= slabBytesMax) return undefined;
    return this.#move(needed);
  }

  #makeRoomForAny(): void {
    const isFree = this.slab.holders === 1;
    if (isFree && this.#lastCount < this.slab.capacity / 8 && this.#usual > slabBytesMin) {
      this.#usual /= slabGrowth;
    }
    // Memory that nobody else holds is used again from its start: it is warm in the caches.
    if (isFree && this.slab.capacity === this.#usual) {
      this.#parsed = 0;
      this.#filled = 0;
    } else if (isFree || this.slab.capacity - this.#filled < tailBytesMin) this.#move(0);
  }

  /** Goes on in another slab, with the pending bytes at its start. */
  #move(needed: number): void {
    const pending = this.pendingBytes;
    const isReserved = needed <= reservedBytesMax || pending * slabGrowth >= needed;
    const bytes = isReserved ? needed : Math.max(slabBytesMax, pending * slabGrowth);
    // Whole frames may be pending while the connection is held back: room for more comes behind them.
    const held = pending < needed ? 0 : pending + this.#usual;
    const next = this.#pool.acquire(Math.max(bytes, held, this.#usual));
    next.source.bytes.set(this.peek(pending), 0);
    this.slab.release();
    this.slab = next;
    this.#parsed = 0;
    this.#filled = pending;
  }
}
