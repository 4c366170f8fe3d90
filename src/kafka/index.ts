/**
 * The Kafka protocol: messages, connections, and what answers them.
 *
 * Promises that every byte sequence on the port ends in an answer or in a closed connection with a
 * reason, within bounded memory; that responses of a connection leave in the order of its requests;
 * that every client since Kafka 0.11 finds a version that it speaks. Knows nothing of storage and of
 * groups: it turns messages into calls of the broker and its outcomes into error codes. Start
 * reading at `src/kafka/registry.ts` and `docs/formats/kafka-messages.md`.
 */
export { KafkaListener, type KafkaListenerStats } from "./listener.ts";
export { type KafkaHandlersOptions, kafkaHandlers } from "./handlers/handlers.ts";
export {
  type Acks,
  type CommittedPosition,
  decodeAssignment,
  eachRecord,
  type Generation,
  type GroupDetails,
  type GroupMember,
  KafkaClient,
  type OffsetPlace,
  type OutgoingRecord,
  type PartitionRange,
  type PositionToCommit,
  type Producer,
  type RecordChunk,
  type TopicMetadata,
  type TopicPartition,
} from "./client/index.ts";
