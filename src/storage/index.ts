/**
 * Bytes at rest: one write-ahead log shared by all partitions of a store, segments made from it, and
 * checkpoints, in one directory.
 *
 * Promises that what was reported durable is there after any crash, in order; that a torn tail is
 * told from damage; that damage is named and never served; that a restart reads only what came after
 * the last checkpoint. Knows neither topics' names nor clients, and gives batches no meaning: its
 * {@link StoreOwner} does. Start reading at {@link Store}, then `file-wal.ts` and `wal-recovery.ts`;
 * the formats are in docs/formats.
 */
export { FrameEntry } from "./frame.ts";
export { backupStore, type RestoreReport, restoreStore } from "./backup.ts";
export {
  type BatchRow,
  dumpStore,
  listStore,
  type StoreFileRow,
  type StoreListing,
  type StorePartitionRow,
  verifyStore,
  type VerifyReport,
} from "./inspect.ts";
export { PartitionLog } from "./partition-log.ts";
export type { FetchedBytes, ReadLimits } from "./read.ts";
export { type Damage, findDamage, type RepairReport, repairStore } from "./repair.ts";
export type { LostRange } from "./repair-report.ts";
export { Store } from "./store.ts";
export { StoreReader } from "./store-reader.ts";
export type {
  CompactionLimits,
  CompactionOptions,
  CompactionPolicy,
  Durability,
  Retention,
  StoreOptions,
  StoreOwner,
  StoreStats,
} from "./contract.ts";
