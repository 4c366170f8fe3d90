import type { Env, Timer } from "../env/index.ts";
import { LogError } from "../errors/index.ts";

/** Work that comes back every so often, never twice at the same time. */
export class Maintenance {
  readonly #env: Env;
  readonly #timers = new Map<string, Timer>();
  readonly #running = new Set<Promise<void>>();
  #isClosed = false;

  constructor(env: Env) {
    this.#env = env;
  }

  /** Runs `work` every `ms` milliseconds, counted from the end of the run before. A failure is reported, and the work tried again next time. */
  every(name: string, ms: number, work: () => Promise<void>): void {
    if (this.#isClosed) return;
    const timer = this.#env.timers.after(ms, () => {
      const running = work()
        .catch((error: unknown) => this.#report(name, error))
        .finally(() => {
          this.#running.delete(running);
          this.every(name, ms, work);
        });
      this.#running.add(running);
    });
    this.#timers.set(name, timer);
  }

  /** Starts nothing more, and waits for what runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) timer.cancel();
    await Promise.all(this.#running);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  #report(name: string, error: unknown): void {
    const { code, message } = LogError.from(error);
    this.#env.events.error(`${name} failed; it will be tried again`, { code, error: message });
  }
}
