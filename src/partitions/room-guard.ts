import type { Env, Timer } from "../env/index.ts";
import type { Refused } from "./outcomes.ts";

/**
 * Clients are refused when fewer bytes are free: what is left is for deleting topics and records, for
 * moving offsets, and for the checkpoints that make room.
 */
export const freeBytesMin = 16 << 20;

/** The free room is looked at after this many more bytes. */
const checkBytes = 4 << 20;

/** While there is too little, it is looked at this often. */
const checkMs = 500;

/** Sees to it that a full disk can still be emptied. */
export class RoomGuard {
  readonly #env: Env;
  readonly #directory: string;
  /** Bytes that had been written when the room was looked at last. */
  #checkedAt = 0;
  #timer: Timer | undefined;
  #fault: Refused | undefined;

  constructor(env: Env, directory: string) {
    this.#env = env;
    this.#directory = directory;
  }

  /** Why clients may not append now. */
  get fault(): Refused | undefined {
    return this.#fault;
  }

  // hot: once for every frame.
  /** `bytes` were written since the store was opened. */
  wrote(bytes: number): void {
    if (bytes - this.#checkedAt < checkBytes) return;
    this.#checkedAt = bytes;
    this.#check();
  }

  #check(): void {
    const { disk, timers, events } = this.#env;
    const free = disk.freeBytes(this.#directory);
    const hadFault = this.#fault !== undefined;
    if (free >= freeBytesMin) {
      this.#fault = undefined;
      if (hadFault) events.info("there is room on the disk again", { free });
      return;
    }
    const reason = `${this.#directory}: only ${free} bytes are free, and ${freeBytesMin} are kept for making room. Nothing is lost; delete topics or records, or give the disk more room`;
    this.#fault = { kind: "refused", code: "storage_full", reason };
    if (!hadFault) events.warn("the disk is nearly full: producers are refused", { free });
    this.#timer ??= timers.after(checkMs, () => {
      this.#timer = undefined;
      this.#check();
    });
  }

  close(): void {
    this.#timer?.cancel();
  }
}
