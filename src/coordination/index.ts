/**
 * Groups of consumers: who belongs to a group, who leads it, and how far each group has read.
 *
 * Promises: every event with a token is answered once; an answer comes with the records that must be
 * durable before it is given; the state is rebuilt from these records alone. Refuses to know: any
 * clock, any randomness, the log that keeps the records, the wire. Start reading at `groups.ts` for
 * the coordinator and at `group.ts` for the state machine; the format is docs/formats/groups.md.
 */
export {
  type Answer,
  type Answered,
  type CommitEvent,
  type Committed,
  defaultGroupLimits,
  type Effects,
  type EncodedRecord,
  type GroupDescription,
  type GroupEvent,
  type GroupLimits,
  type GroupListing,
  type GroupProtocol,
  type GroupState,
  type Joined,
  type JoinEvent,
  type MemberName,
  type OffsetToCommit,
  type Refused,
  type SyncEvent,
  type Synced,
  type Token,
  type TopicPartition,
} from "./events.ts";
export type { CommittedOffset } from "./group-offsets.ts";
export { groupPartition } from "./group-partition.ts";
export { Groups } from "./groups.ts";
