/**
 * What a partition promises: offsets without gaps, sequence numbers of idempotent producers, leader
 * epochs, a high watermark that never passes what is durable, and reads that wait for it.
 *
 * Refuses to know: whether it is alone or in a cluster, topics by name, any protocol. Start reading
 * at `partition.ts`; `partitions.ts` ties all of them to one store.
 */
export type {
  ActiveProducer,
  AdvanceWaiter,
  Appended,
  AppendOutcome,
  Duplicate,
  EpochEnd,
  OffsetAndTime,
  PartitionGatherer,
  ReadOptions,
  Refused,
} from "./outcomes.ts";
export { OwnedPartition } from "./owned-partition.ts";
export { PendingFrame } from "./pending-frame.ts";
export { type AppendCounters, Partition } from "./partition.ts";
export {
  Partitions,
  type PartitionsOptions,
  settled,
  type TopicOfPartition,
  whenSettled,
} from "./partitions.ts";
