import type { ErrorCode } from "../errors/index.ts";
import type { PendingFrame } from "./pending-frame.ts";

/** What became of a batch. Neither of the first two is durable before its frame is settled. */
export type AppendOutcome = Appended | Duplicate | Refused;

export interface Appended {
  readonly kind: "appended";
  readonly baseOffset: number;
  readonly lastOffset: number;
  /** Undefined where the topic keeps the producer's own times. */
  readonly logAppendTimeMs: number | undefined;
  readonly logStartOffset: number;
  /** What to wait for; see {@link whenSettled}. */
  readonly frame: PendingFrame;
}

/** The batch is in the log already: these are the offsets that it got then. */
export interface Duplicate {
  readonly kind: "duplicate";
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly logAppendTimeMs: number | undefined;
  readonly logStartOffset: number;
  readonly frame: PendingFrame;
}

/** Nothing was appended. */
export interface Refused {
  readonly kind: "refused";
  readonly code: ErrorCode;
  readonly reason: string;
}

/** A record, or a batch, found by its time. */
export interface OffsetAndTime {
  readonly offset: number;
  readonly timestampMs: number;
  readonly leaderEpoch: number;
}

/** Where the records of an epoch end. */
export interface EpochEnd {
  /** The largest epoch known that is not above the one asked for. */
  readonly leaderEpoch: number;
  /** First offset that does not belong to that epoch or an earlier one. */
  readonly endOffset: number;
}

/** A producer whose last batches a partition remembers. */
export interface ActiveProducer {
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly lastSequence: number;
  /** Wall clock of its last append. */
  readonly lastActiveMs: number;
}

export interface ReadOptions {
  readonly bytesMax: number;
  /** Whether the first batch is given whole even where it is larger than `bytesMax`. */
  readonly atLeastOneBatch: boolean;
}

/**
 * Gathers records for a partition before it appends them, and so must know of what others append:
 * what was gathered before goes first.
 */
export interface PartitionGatherer {
  /** Somebody, maybe the gatherer itself, is about to append. */
  beforeAppend(): void;
  /** Somebody, maybe the gatherer itself, has appended this batch, which is not durable yet. */
  afterAppend(batch: Uint8Array): void;
}

/** Told when there is more to read in a partition, or when it is closed. */
export interface AdvanceWaiter {
  /** Called at most once per partition for all that became durable together; must not throw. */
  advanced(): void;
}
