/** The machine without its network: what a program needs that keeps a store in its own process. */
import { randomFillSync } from "node:crypto";

import type { Clock, Env, EventLog, Network, Random, Timers } from "../env.ts";
import { NodeDisk } from "./disk.ts";

export interface LocalEnvOptions {
  /** Takes the events; without it they go nowhere. */
  readonly events?: EventLog | undefined;
  /** Whether a timer that waits keeps the process from ending. Default true. */
  readonly timersHoldProcess?: boolean | undefined;
}

/** The real environment, except that its network refuses; it loads nothing that has to do with sockets. */
export function localEnv(options: LocalEnvOptions = {}): Env {
  return {
    clock,
    random,
    timers: timersOf(options.timersHoldProcess ?? true),
    disk: new NodeDisk(),
    network: noNetwork,
    events: options.events ?? silence,
  };
}

const clock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

const random: Random = {
  fill(target) {
    randomFillSync(target);
  },
  uuid() {
    const bytes = randomFillSync(new Uint8Array(16));
    // Version 4 and the variant of RFC 9562 have fixed bits.
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    return bytes;
  },
};

/** Node runs a timer of a longer delay at once; such a delay is waited for in pieces. */
const DELAY_MS_MAX = 2 ** 31 - 1;

function timersOf(holdProcess: boolean): Timers {
  return {
    after(ms, task) {
      let timer: NodeJS.Timeout;
      const wait = (left: number): void => {
        const piece = Math.min(left, DELAY_MS_MAX);
        timer = setTimeout(() => (left > piece ? wait(left - piece) : task()), piece);
        if (!holdProcess) timer.unref();
      };
      // Rounded up, because Node cuts fractions off and would run the task too early.
      wait(Math.max(Math.ceil(ms), 0));
      return { cancel: () => clearTimeout(timer) };
    },
    soon(task) {
      setImmediate(task);
    },
  };
}

const noNetwork: Network = {
  listen: () => Promise.reject(refusal()),
  connect: () => Promise.reject(refusal()),
  serveHttp: () => Promise.reject(refusal()),
};

function refusal(): Error {
  return Object.assign(new Error("ENETUNREACH: this environment has no network"), {
    code: "ENETUNREACH",
  });
}

const silence: EventLog = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};
