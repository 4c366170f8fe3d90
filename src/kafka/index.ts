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
  type ClientOptions,
  type CommittedPosition,
  eachRecord,
  type FoundOffset,
  type Generation,
  type GroupDetails,
  type GroupMember,
  type GroupMemberDetails,
  type GroupSummary,
  KafkaClient,
  type MemberOptions,
  murmur2,
  type NewTopicRequest,
  type OffsetPlace,
  type OutgoingRecord,
  type PartitionMetadata,
  type PartitionRange,
  type PartitionReceipt,
  partitionOfKey,
  type PositionToCommit,
  type Producer,
  type ProducerOptions,
  type ReadOptions,
  type RecordChunk,
  type TopicChange,
  type TopicMetadata,
  type TopicPartition,
  type TopicSetting,
} from "./client/index.ts";
