/** What a verb of the broker answers, as an error. */
import type { ItemOutcome } from "../broker/index.ts";
import { LogError } from "../errors/index.ts";

/** @throws LogError of what went wrong, if anything did. */
export function refuseFault(outcome: ItemOutcome | undefined): void {
  if (outcome?.errorCode === undefined) return;
  throw new LogError(outcome.errorCode, outcome.errorMessage ?? outcome.errorCode);
}
