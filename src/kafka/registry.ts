import { outcomes } from "../errors/index.ts";
import { type Codec, codecOf } from "./codec/codec.ts";
import type { Api, Decoded, Encodable, Fields } from "./codec/schema.ts";
import { alterConfigs } from "./messages/alter-configs.ts";
import { apiVersions } from "./messages/api-versions.ts";
import { createPartitions } from "./messages/create-partitions.ts";
import { createTopics } from "./messages/create-topics.ts";
import { deleteGroups } from "./messages/delete-groups.ts";
import { deleteRecords } from "./messages/delete-records.ts";
import { deleteTopics } from "./messages/delete-topics.ts";
import { describeCluster } from "./messages/describe-cluster.ts";
import { describeConfigs } from "./messages/describe-configs.ts";
import { describeGroups } from "./messages/describe-groups.ts";
import { describeLogDirs } from "./messages/describe-log-dirs.ts";
import { describeTopicPartitions } from "./messages/describe-topic-partitions.ts";
import { fetch } from "./messages/fetch.ts";
import { findCoordinator } from "./messages/find-coordinator.ts";
import { heartbeat } from "./messages/heartbeat.ts";
import { incrementalAlterConfigs } from "./messages/incremental-alter-configs.ts";
import { initProducerId } from "./messages/init-producer-id.ts";
import { joinGroup } from "./messages/join-group.ts";
import { leaveGroup } from "./messages/leave-group.ts";
import { listConfigResources } from "./messages/list-config-resources.ts";
import { listGroups } from "./messages/list-groups.ts";
import { listOffsets } from "./messages/list-offsets.ts";
import { metadata } from "./messages/metadata.ts";
import { offsetCommit } from "./messages/offset-commit.ts";
import { offsetDelete } from "./messages/offset-delete.ts";
import { offsetFetch } from "./messages/offset-fetch.ts";
import { offsetForLeaderEpoch } from "./messages/offset-for-leader-epoch.ts";
import { produce } from "./messages/produce.ts";
import { syncGroup } from "./messages/sync-group.ts";

/** Every API of this server, in the order of their keys. */
export const apis = {
  Produce: produce,
  Fetch: fetch,
  ListOffsets: listOffsets,
  Metadata: metadata,
  OffsetCommit: offsetCommit,
  OffsetFetch: offsetFetch,
  FindCoordinator: findCoordinator,
  JoinGroup: joinGroup,
  Heartbeat: heartbeat,
  LeaveGroup: leaveGroup,
  SyncGroup: syncGroup,
  DescribeGroups: describeGroups,
  ListGroups: listGroups,
  ApiVersions: apiVersions,
  CreateTopics: createTopics,
  DeleteTopics: deleteTopics,
  DeleteRecords: deleteRecords,
  InitProducerId: initProducerId,
  OffsetForLeaderEpoch: offsetForLeaderEpoch,
  DescribeConfigs: describeConfigs,
  AlterConfigs: alterConfigs,
  DescribeLogDirs: describeLogDirs,
  CreatePartitions: createPartitions,
  DeleteGroups: deleteGroups,
  IncrementalAlterConfigs: incrementalAlterConfigs,
  OffsetDelete: offsetDelete,
  DescribeCluster: describeCluster,
  ListConfigResources: listConfigResources,
  DescribeTopicPartitions: describeTopicPartitions,
} as const satisfies Readonly<Record<string, Api>>;

export type ApiName = keyof typeof apis;

type RequestFields<K extends ApiName> = (typeof apis)[K]["request"]["fields"];
type ResponseFields<K extends ApiName> = (typeof apis)[K]["response"]["fields"];

/** A request as decoded: one type for all versions. */
export type RequestOf<K extends ApiName> = Decoded<RequestFields<K>>;
/** A response as decoded. */
export type ResponseOf<K extends ApiName> = Decoded<ResponseFields<K>>;
/** What a client gives to encode a request: fields with a default may be left out. */
export type RequestBody<K extends ApiName> = Encodable<RequestFields<K>>;
/** What a handler gives to encode a response: fields with a default may be left out. */
export type ResponseBody<K extends ApiName> = Encodable<ResponseFields<K>>;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a constant
export const apiNames = Object.keys(apis) as readonly ApiName[];

const nameByKey = new Map<number, ApiName>(apiNames.map((name) => [apis[name].key, name]));

/** The API with this key; undefined where the server has none. */
export function apiNameOf(key: number): ApiName | undefined {
  return nameByKey.get(key);
}

/**
 * The list of an ApiVersions answer. Produce is listed from version 0 on, as Kafka 4 lists it
 * (KIP-896), though neither speaks it below 3: librdkafka takes a broker without the old versions
 * for one that does not know compression, and then stores batches uncompressed without a word.
 */
export const offeredVersions: ResponseBody<"ApiVersions">["apiKeys"] = apiNames.map((name) => {
  const { key, versionMin, versionMax } = apis[name];
  const minVersion = name === "Produce" ? 0 : versionMin;
  return { apiKey: key, minVersion, maxVersion: versionMax };
});

/**
 * The answer to an ApiVersions request in a version that is not known here. It is encoded as version
 * 0, which every client reads, and tells which versions of this one API there are to come back with.
 */
export const versionUnknownAnswer: ResponseBody<"ApiVersions"> = {
  errorCode: outcomes.unsupported.kafka,
  apiKeys: offeredVersions.filter(({ apiKey }) => apiKey === apiVersions.key),
};

/** The codec of a request, for whichever side. */
export function requestCodec<K extends ApiName>(
  name: K,
  version: number,
): Codec<RequestOf<K>, RequestBody<K>> {
  // The compiler does not see that the member of a union named by K has the types of K.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return codecOf<Fields>(apis[name].request, version) as Codec<RequestOf<K>, RequestBody<K>>;
}

/** The codec of a response, for whichever side. */
export function responseCodec<K extends ApiName>(
  name: K,
  version: number,
): Codec<ResponseOf<K>, ResponseBody<K>> {
  // As above.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return codecOf<Fields>(apis[name].response, version) as Codec<ResponseOf<K>, ResponseBody<K>>;
}

/** Whether the header of a response has tagged fields; never so for ApiVersions. */
export function hasResponseTags(name: ApiName, version: number): boolean {
  return version >= apis[name].flexibleSince && name !== "ApiVersions";
}
