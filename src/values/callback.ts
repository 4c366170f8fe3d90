import { LogError } from "../errors/index.ts";

/**
 * Runs a callback of the program. `what` names it, as in "the key function of orders".
 * @throws LogError handler_failed with the cause, or the LogError that the callback threw.
 */
export function runCallback<T>(what: () => string, callback: () => T): T {
  try {
    return callback();
  } catch (thrown) {
    if (thrown instanceof LogError) throw thrown;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new LogError("handler_failed", `${what()} threw: ${why}`, { cause: thrown });
  }
}
