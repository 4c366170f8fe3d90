import { invariant } from "../../errors/index.ts";
import type { Clock, Timer, Timers } from "../env.ts";

interface Due {
  readonly atMs: number;
  /** Of two timers due at once, the one that was set first runs first. */
  readonly order: number;
  readonly task: () => void;
}

/** A clock that stands still unless its {@link VirtualTimers} move it. */
export class VirtualClock implements Clock {
  #elapsedMs = 0;
  #wallStartMs: number;

  constructor(wallStartMs: number) {
    this.#wallStartMs = wallStartMs;
  }

  wallMs(): number {
    return this.#wallStartMs + Math.floor(this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** What an operator or a time server does: the wall clock jumps, the monotonic one does not. */
  jump(ms: number): void {
    this.#wallStartMs += ms;
  }

  /** For the timers, which run what is due on the way. */
  moveTo(monotonicMs: number): void {
    invariant(monotonicMs >= this.#elapsedMs, "monotonic time does not go back");
    this.#elapsedMs = monotonicMs;
  }
}

/** Timers of a world where time passes only when it is told to. */
export class VirtualTimers implements Timers {
  readonly #clock: VirtualClock;
  /** Ordered by time, then by order. */
  readonly #due: Due[] = [];
  #soon: (() => void)[] = [];
  #count = 0;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  /** When the next timer is due, on the monotonic clock. */
  get nextDueMs(): number | undefined {
    return this.#due[0]?.atMs;
  }

  get soonCount(): number {
    return this.#soon.length;
  }

  after(ms: number, task: () => void): Timer {
    const due = { atMs: this.#clock.monotonicMs() + Math.max(ms, 0), order: this.#count++, task };
    const index = this.#due.findLastIndex((other) => other.atMs <= due.atMs);
    this.#due.splice(index + 1, 0, due);
    return {
      cancel: () => {
        const at = this.#due.indexOf(due);
        if (at >= 0) this.#due.splice(at, 1);
      },
    };
  }

  soon(task: () => void): void {
    this.#soon.push(task);
  }

  /** Ends a turn: runs what was put off to the end of it. What these tasks put off comes in the next turn. */
  runSoon(): void {
    const tasks = this.#soon;
    this.#soon = [];
    for (const task of tasks) task();
  }

  /** Lets `ms` pass: each timer that falls due runs at its time, and a turn ends after it. */
  advance(ms: number): void {
    const until = this.#clock.monotonicMs() + ms;
    this.runSoon();
    for (;;) {
      const next = this.#due[0];
      if (next === undefined || next.atMs > until) break;
      this.#due.shift();
      this.#clock.moveTo(Math.max(next.atMs, this.#clock.monotonicMs()));
      next.task();
      this.runSoon();
    }
    this.#clock.moveTo(Math.max(until, this.#clock.monotonicMs()));
  }
}
