import { VirtualClock, type SeededRandom, type Timer, type Timers } from "../src/env/index.ts";

interface Due {
  readonly atMs: number;
  readonly task: () => void;
}

/** Steps of one world at most: beyond it something turns in a circle. */
const stepsMax = 2_000_000;

/**
 * Owns every callback of a world: timers, ends of turns, answers of the device and of the network. Of
 * what may run now, the seed chooses what does; time passes when nothing may.
 */
export class Scheduler implements Timers {
  readonly clock: VirtualClock;
  readonly #random: SeededRandom;
  readonly #ready: (() => void)[] = [];
  /** Not ordered; small. */
  readonly #due: Due[] = [];
  #steps = 0;

  constructor(clock: VirtualClock, random: SeededRandom) {
    this.clock = clock;
    this.#random = random;
  }

  get steps(): number {
    return this.#steps;
  }

  after(ms: number, task: () => void): Timer {
    const due = { atMs: this.clock.monotonicMs() + Math.max(ms, 0), task };
    this.#due.push(due);
    return {
      cancel: () => {
        const at = this.#due.indexOf(due);
        if (at >= 0) this.#due.splice(at, 1);
      },
    };
  }

  soon(task: () => void): void {
    this.#ready.push(task);
  }

  /** The device answers: at once, or some time later. */
  answer(task: () => void): void {
    const kind = this.#random.below(4);
    if (kind === 0) this.#ready.push(task);
    else this.after(kind === 3 ? this.#random.below(200) / 10 : this.#random.below(20) / 10, task);
  }

  /** Lets `ms` pass for whoever waits. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }

  /**
   * Runs the world until `promise` settles, and gives what it gives.
   * @throws Error where nothing is left that could settle it.
   */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    promise.then(settle, settle);
    for (;;) {
      await microtasks();
      if (isSettled) return promise;
      if (!this.step()) throw new Error("nothing is left to run, and the promise has not settled");
    }
  }

  /** Runs the world as long as `isWanted` says, and something is left to run. */
  async runWhile(isWanted: () => boolean): Promise<void> {
    for (;;) {
      await microtasks();
      if (!isWanted() || !this.step()) return;
    }
  }

  /** Runs one callback; false where there is none. */
  step(): boolean {
    if (++this.#steps > stepsMax) throw new Error(`no end after ${stepsMax} steps`);
    const now = this.clock.monotonicMs();
    for (let at = this.#due.length - 1; at >= 0; at--) {
      const due = this.#due[at];
      if (due === undefined || due.atMs > now) continue;
      this.#due.splice(at, 1);
      this.#ready.push(due.task);
    }
    if (this.#ready.length === 0) return this.#pass();
    const [task] = this.#ready.splice(this.#random.below(this.#ready.length), 1);
    task?.();
    return true;
  }

  /** Nothing may run now: time passes until something may. */
  #pass(): boolean {
    let next = Infinity;
    for (const { atMs } of this.#due) next = Math.min(next, atMs);
    if (next === Infinity) return false;
    this.clock.moveTo(Math.max(next, this.clock.monotonicMs()));
    return true;
  }
}

/** Settles when every promise that could has: no callback runs in between, so their order is the program's own. */
export function microtasks(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
