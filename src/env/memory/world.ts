import type { Env, EventLog } from "../env.ts";
import { VirtualClock, VirtualTimers } from "./clock.ts";
import { type CrashFate, MemoryDisk, type Unsynced } from "./disk.ts";
import { MemoryNetwork } from "./network.ts";
import { SeededRandom } from "./random.ts";

/** The first second of 2026, so that times in tests look like times. */
const WALL_START_MS = 1_767_225_600_000;

/** Promises that hang on each other in a row longer than this are taken for waiting. */
const MICROTASKS_A_TURN = 100;
/** So many turns in which no timer is due may be one long row of steps; after more of them it is a deadlock. */
const IDLE_TURNS_MAX = 100;

/** An environment of which everything can be told and nothing surprises. */
export interface MemoryEnv extends Env {
  readonly clock: VirtualClock;
  readonly timers: VirtualTimers;
  readonly random: SeededRandom;
  readonly disk: MemoryDisk;
  readonly network: MemoryNetwork;
  /**
   * Lets turns and time pass until `promise` settles, and gives what it gives.
   * @throws Error where nothing is left that could settle it.
   */
  readonly run: <T>(promise: Promise<T>) => Promise<T>;
}

export interface MemoryEnvOptions {
  /** Fixes all that is random. */
  readonly seed: number;
  /** An empty one when absent; that of a former environment after `crash` or `kill` to go on with. */
  readonly disk?: MemoryDisk;
  readonly wallStartMs?: number;
  readonly events?: EventLog;
}

export function memoryEnv(options: MemoryEnvOptions): MemoryEnv {
  const clock = new VirtualClock(options.wallStartMs ?? WALL_START_MS);
  const timers = new VirtualTimers(clock);
  return {
    clock,
    timers,
    random: new SeededRandom(options.seed),
    disk: options.disk ?? new MemoryDisk(),
    network: new MemoryNetwork(timers),
    events: options.events ?? silence,
    run: async (promise) => runWorld(clock, timers, promise),
  };
}

/** Fates for {@link MemoryDisk.crash}, drawn from a seed: whole seeds tend to keep much, to lose much, or to tear. */
export function seededFates(seed: number): (unsynced: Unsynced) => CrashFate {
  const random = new SeededRandom(seed);
  const keeps = random.next();
  const tears = random.next();
  return ({ kind }) => {
    if (random.next() < keeps) return "kept";
    return kind === "write" && random.next() < tears ? "torn" : "lost";
  };
}

async function runWorld<T>(
  clock: VirtualClock,
  timers: VirtualTimers,
  promise: Promise<T>,
): Promise<T> {
  const state = { isSettled: false };
  const settle = (): void => {
    state.isSettled = true;
  };
  promise.then(settle, settle);
  for (let idleTurns = 0; ;) {
    for (let count = 0; count < MICROTASKS_A_TURN; count++) await Promise.resolve();
    if (state.isSettled) return promise;
    const due = timers.nextDueMs;
    if (timers.soonCount > 0) timers.runSoon();
    else if (due !== undefined) timers.advance(Math.max(due - clock.monotonicMs(), 0));
    else if (++idleTurns > IDLE_TURNS_MAX)
      throw new Error("nothing is left to run, and the promise has not settled");
  }
}

const silence: EventLog = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};
