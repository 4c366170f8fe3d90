import type { LogError } from "../errors/index.ts";
import type { AppendOutcome } from "./outcomes.ts";
import type { Partition } from "./partition.ts";

/** All partitions of one store. */
export declare class Partitions {
  all(): Iterable<Partition>;
}

/**
 * Calls back once when every batch of `outcomes` is durable or failed; before this returns, where
 * that is known already. Then {@link settled} says which.
 */
export declare function whenSettled(outcomes: readonly AppendOutcome[], callback: () => void): void;

/** After {@link whenSettled}: why a batch that was appended is not in the log after all; undefined where it is durable. */
export declare function settled(outcome: AppendOutcome): LogError | undefined;
