// The few words in which the wire and the broker differ: sentinels, error numbers, sets of bits.

import type { ItemOutcome } from "../../broker/index.ts";
import { type ErrorCode, LogError, outcomes } from "../../errors/index.ts";

/** Error number of a code. */
export function numberOf(code: ErrorCode): number {
  return outcomes[code].kafka;
}

/** Error number of an outcome; 0 where it went well. */
export function errorCodeOf(outcome: ItemOutcome): number {
  return outcome.errorCode === undefined ? 0 : numberOf(outcome.errorCode);
}

/** The request contradicts itself. */
export const invalidRequest = numberOf("invalid_argument");

/** An operational error as an outcome; anything else goes on up and ends the connection. */
export function outcomeOf(thrown: unknown): ItemOutcome & { readonly errorCode: ErrorCode } {
  if (!(thrown instanceof LogError)) throw thrown;
  return { errorCode: thrown.code, errorMessage: thrown.message };
}

/** The wire's -1, and anything below, is nothing inside. */
export function known(value: number): number | undefined {
  return value < 0 ? undefined : value;
}

/** The wire's empty text is nothing inside. */
export function given(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

/** What is among `values` more than once. */
export function repeated<T>(values: readonly T[]): ReadonlySet<T> {
  const seen = new Set<T>();
  const again = new Set<T>();
  for (const value of values) {
    if (seen.has(value)) again.add(value);
    seen.add(value);
  }
  return again;
}

/** Runs of neighbours that `isSame`, in order: answers list partitions below their topic. */
export function runs<T>(items: readonly T[], isSame: (left: T, right: T) => boolean): T[][] {
  const found: T[][] = [];
  let run: T[] = [];
  for (const item of items) {
    const first = run[0];
    if (first === undefined || !isSame(first, item)) {
      run = [];
      found.push(run);
    }
    run.push(item);
  }
  return found;
}

// What may be done with a resource, as bits that clients may ask for. While clients are not told
// apart, everybody may do everything.
const operation = {
  read: 1 << 3,
  write: 1 << 4,
  create: 1 << 5,
  delete: 1 << 6,
  alter: 1 << 7,
  describe: 1 << 8,
  clusterAction: 1 << 9,
  describeConfigs: 1 << 10,
  alterConfigs: 1 << 11,
  idempotentWrite: 1 << 12,
} as const;

const onAll = operation.describe | operation.describeConfigs | operation.alterConfigs;

export const groupOperations = onAll | operation.read | operation.delete;
export const topicOperations =
  groupOperations | operation.write | operation.create | operation.alter;
export const clusterOperations =
  onAll | operation.create | operation.alter | operation.clusterAction | operation.idempotentWrite;

/** What stands for the bits where the client did not ask for them. */
export const operationsNotAsked = -2_147_483_648;

/** The kinds of things that have settings, as the wire numbers them. */
export const resourceType = { topic: 2, broker: 4 } as const;
