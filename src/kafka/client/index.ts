/**
 * A small client of the Kafka protocol on our own messages: topics, records, offsets, groups.
 *
 * Promises bounded memory whatever is written or read, records in order and written once where the
 * server numbers its producers, and errors of our own closed list whatever server answers. Refuses
 * to know how records are printed or where they come from. Start reading at {@link KafkaClient}; who
 * leads what is in `cluster.ts`, one connection in `broker-connection.ts`.
 */
export type { TopicMetadata } from "./cluster.ts";
export type { CommittedPosition, GroupDetails, PositionToCommit } from "./groups.ts";
export { decodeAssignment } from "./groups.ts";
export { KafkaClient } from "./kafka-client.ts";
export type { Generation, GroupMember } from "./member.ts";
export type { OffsetPlace, TopicPartition } from "./offsets.ts";
export type { OutgoingRecord } from "./outgoing.ts";
export type { Acks, Producer } from "./producer.ts";
export type { PartitionRange } from "./reader.ts";
export { eachRecord, type RecordChunk } from "./record-chunk.ts";
