/**
 * The Kafka protocol: messages, connections, and what answers them.
 *
 * Promises that every byte sequence on the port ends in an answer or in a closed connection with a
 * reason, within bounded memory; that responses of a connection leave in the order of its requests;
 * that every client since Kafka 0.11 finds a version that it speaks. Knows nothing of storage and of
 * groups: it turns messages into calls of the broker and its outcomes into error codes. Start
 * reading at {@link apis}, then `docs/formats/kafka-messages.md`.
 */
export { type Codec, codecOf, decodeAlone, encodeAlone } from "./codec/codec.ts";
export {
  type Api,
  type Decoded,
  type Encodable,
  type Fields,
  type Message,
  type RecordChunks,
} from "./codec/schema.ts";
export { MessageWriter, type Source, sourceOf } from "./codec/writer.ts";
export { consumerAssignment, consumerSubscription } from "./messages/consumer-protocol.ts";
export {
  type ApiName,
  type RequestBody,
  type RequestOf,
  type ResponseBody,
  type ResponseOf,
  apiNameOf,
  apiNames,
  apis,
  offeredVersions,
  requestCodec,
  responseCodec,
} from "./registry.ts";
export { type Exchange, type Handler, type Handlers, type Peer } from "./exchange.ts";
export { FrameReceiver, type Slab, SlabPool } from "./frames.ts";
export { correlationIdAt, decodeResponse, encodeRequest, encodeResponse } from "./header.ts";
export { type KafkaLimits, defaultLimits } from "./limits.ts";
export { KafkaListener, type KafkaListenerStats, type KafkaListenOptions } from "./listener.ts";
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
