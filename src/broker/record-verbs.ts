import type { ActiveProducer, Partition } from "../partitions/index.ts";
import type { FetchedBytes } from "../storage/index.ts";
import type { ItemOutcome, TopicRef } from "./answers.ts";

export interface FetchRequest {
  readonly items: readonly FetchItem[];
  /** Answered as soon as so many bytes are there; 0 answers at once. */
  readonly bytesMin: number;
  /** Of the whole answer; the first batch is given whole even where it is larger. */
  readonly bytesMax: number;
  readonly waitMsMax: number;
}

export interface FetchItem {
  readonly partition: Partition;
  readonly fetchOffset: number;
  readonly bytesMax: number;
  /** The epoch that the client believes in; undefined where it names none. */
  readonly currentLeaderEpoch?: number | undefined;
}

/** One for each item of the request, in its order. */
export interface FetchedPartition extends ItemOutcome {
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  /** Undefined where there is nothing; whoever gets it releases it once the bytes are sent. */
  readonly fetched: FetchedBytes | undefined;
}

/** A fetch that may be waiting. */
export interface Fetching {
  readonly isDone: boolean;
  /** Ends the wait; the answer never comes. Idempotent, also after the answer. */
  cancel(): void;
}

export type OffsetSpec =
  | { readonly kind: "earliest" | "latest" | "max-timestamp" | "earliest-local" }
  | { readonly kind: "time"; readonly timestampMs: number };

export interface OffsetQuery {
  readonly topic: TopicRef;
  readonly partition: number;
  readonly spec: OffsetSpec;
  readonly currentLeaderEpoch?: number | undefined;
}

/** Without error and without offset: no record is as new as that. */
export interface ListedOffset extends ItemOutcome {
  readonly offset: number | undefined;
  /** Only where a record was looked for. */
  readonly timestampMs: number | undefined;
  readonly leaderEpoch: number | undefined;
}

export interface DeleteRecordsItem {
  readonly topic: TopicRef;
  readonly partition: number;
  /** First offset to keep; undefined is the high watermark. */
  readonly before: number | undefined;
}

export interface DeletedRecords extends ItemOutcome {
  /** The new log start offset. */
  readonly logStartOffset: number | undefined;
}

export interface EpochQuery {
  readonly topic: TopicRef;
  readonly partition: number;
  readonly leaderEpoch: number;
  readonly currentLeaderEpoch?: number | undefined;
}

/** Without error and without epoch: the epoch asked for is above all that are known. */
export interface EpochAnswer extends ItemOutcome {
  readonly leaderEpoch: number | undefined;
  readonly endOffset: number | undefined;
}

export interface InitProducerIdRequest {
  readonly transactionalId?: string | undefined;
  /** What the producer has now, when it asks for a newer epoch. */
  readonly producerId?: number | undefined;
  readonly producerEpoch?: number | undefined;
}

export interface ProducerIdentity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

export interface ProducerQuery {
  readonly topic: TopicRef;
  readonly partition: number;
}

export interface ProducersAnswer extends ItemOutcome {
  readonly producers: readonly ActiveProducer[];
}
