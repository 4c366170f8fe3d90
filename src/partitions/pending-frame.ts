import { type LogError, invariant } from "../errors/index.ts";

/**
 * What was appended, by all partitions together, between two writes of the store: it becomes
 * durable as one or fails as one. An object and not a number, because a frame that could not be
 * written leaves its number to the next one, and nobody may take that one's success for its own.
 */
export class PendingFrame {
  /** Number in the write-ahead log; undefined until the frame is written. */
  #sequence: number | undefined;
  #isSettled = false;
  #error: LogError | undefined;
  #callbacks: (() => void)[] | undefined;

  get sequence(): number | undefined {
    return this.#sequence;
  }

  /** Whether it is known what became of the frame. */
  get isSettled(): boolean {
    return this.#isSettled;
  }

  /** Why nothing of the frame is in the log. Undefined before it is settled, and where it is durable. */
  get error(): LogError | undefined {
    return this.#error;
  }

  /** Calls back once the frame is settled; before this returns, where it is settled already. */
  whenSettled(callback: () => void): void {
    if (this.#isSettled) {
      callback();
      return;
    }
    this.#callbacks ??= [];
    this.#callbacks.push(callback);
  }

  /** By {@link Partitions} alone. */
  wasWritten(sequence: number): void {
    invariant(this.#sequence === undefined && !this.#isSettled, "a frame is written once");
    this.#sequence = sequence;
  }

  /** By {@link Partitions} alone. */
  settle(error?: LogError): void {
    invariant(!this.#isSettled, "a frame is settled once");
    this.#isSettled = true;
    this.#error = error;
    const callbacks = this.#callbacks;
    this.#callbacks = undefined;
    if (callbacks !== undefined) for (const callback of callbacks) callback();
  }
}
