/** How long, and how often, a server that does not answer is asked again. */
import { LogError } from "../errors/index.ts";
import type { Platform } from "./platform.ts";

const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 1_000;

/** What a server that starts, ends or is away answers, if it does. */
function isAway(error: LogError): boolean {
  return (
    error.code === "unreachable" ||
    error.code === "closed" ||
    error.code === "coordinator_loading" ||
    error.code === "coordinator_unavailable"
  );
}

/** One row of failures, up to the next success. */
export class Patience {
  readonly #platform: Platform;
  readonly #msMax: number;
  #failures = 0;
  #sinceMs = 0;

  constructor(platform: Platform, msMax: number) {
    this.#platform = platform;
    this.#msMax = msMax;
  }

  /** The server has answered. */
  reset(): void {
    this.#failures = 0;
  }

  /** Waits until it is time to ask again. @throws LogError the failure, where it has gone on for too long or is an answer. */
  async failed(failure: LogError, signal: AbortSignal): Promise<void> {
    const nowMs = this.#platform.nowMs();
    if (this.#failures === 0) this.#sinceMs = nowMs;
    this.#failures++;
    if (!isAway(failure) || signal.aborted) throw failure;
    const awayMs = nowMs - this.#sinceMs;
    if (awayMs >= this.#msMax) {
      throw new LogError(
        failure.code,
        `${failure.message} (tried for ${Math.round(awayMs / 1000)} s)`,
        { cause: failure },
      );
    }
    const backoffMs = Math.min(BACKOFF_MS_MIN * 2 ** (this.#failures - 1), BACKOFF_MS_MAX);
    // Not all clients of a server come back at the same moment.
    await this.#platform.delay(backoffMs * (0.5 + this.#platform.random() / 2), signal);
  }
}
