import { LogError } from "../errors/index.ts";

/** Most jobs that wait in one queue; later ones are refused. */
const jobsMax = 10_000;

/** Runs jobs one after another, in the order they came. */
export class WorkQueue {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #isClosed = false;

  /** @throws LogError closed, limit_exceeded, and what the job throws. */
  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new LogError("closed", "the broker is closing");
    if (this.#waiting >= jobsMax) {
      throw new LogError("limit_exceeded", `${jobsMax} changes wait already; try again later`);
    }
    this.#waiting++;
    const result = this.#last.then(job);
    // Whoever asked for a job is told of its failure; the next job does not care.
    this.#last = result.then(
      () => this.#waiting--,
      () => this.#waiting--,
    );
    return result;
  }

  /** Refuses further jobs and waits for those that were taken. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
  }
}
