/**
 * The machine under the environment: Node's clocks, timers, files and sockets.
 *
 * This folder alone touches the machine; `server`, `cli` and tests take {@link nodeEnv} from it and
 * hand it down. It decides nothing: it makes Node's calls have the meaning that `env.ts` states.
 * Start reading at {@link nodeEnv}.
 */
import { randomFillSync } from "node:crypto";

import type { Clock, Env, EventLog, Random, Timers } from "../env.ts";
import { NodeDisk } from "./disk.ts";
import { nodeNetwork } from "./network.ts";

/** The real environment. Events go nowhere unless `events` takes them. */
export function nodeEnv(options: { readonly events?: EventLog } = {}): Env {
  return {
    clock,
    random,
    timers,
    disk: new NodeDisk(),
    network: nodeNetwork,
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

const timers: Timers = {
  after(ms, task) {
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      const piece = Math.min(left, DELAY_MS_MAX);
      timer = setTimeout(() => (left > piece ? wait(left - piece) : task()), piece);
    };
    // Rounded up, because Node cuts fractions off and would run the task too early.
    wait(Math.max(Math.ceil(ms), 0));
    return { cancel: () => clearTimeout(timer) };
  },
  soon(task) {
    setImmediate(task);
  },
};

const silence: EventLog = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};
