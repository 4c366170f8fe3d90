import type { Broker } from "../../broker/index.ts";
import type { Env } from "../../env/index.ts";
import type { Counter, MetricRegistry } from "../../metrics/index.ts";
import type { Handler, Handlers } from "../exchange.ts";
import { type ApiName, apiNames } from "../registry.ts";
import * as cluster from "./cluster.ts";
import * as configs from "./configs.ts";
import { fetch } from "./fetch.ts";
import { FetchSessions } from "./fetch-sessions.ts";
import * as groupOffsets from "./group-offsets.ts";
import * as groups from "./groups.ts";
import * as metadata from "./metadata.ts";
import * as offsets from "./offsets.ts";
import { produce } from "./produce.ts";
import { initProducerId } from "./producer-ids.ts";
import type { Answer, Served } from "./served.ts";
import * as topics from "./topics.ts";

/** What answers each API of the registry: one that lacks here does not compile. */
const answers: { readonly [K in ApiName]: Answer<K> } = {
  Produce: produce,
  Fetch: fetch,
  ListOffsets: offsets.listOffsets,
  Metadata: metadata.metadata,
  OffsetCommit: groupOffsets.offsetCommit,
  OffsetFetch: groupOffsets.offsetFetch,
  FindCoordinator: cluster.findCoordinator,
  JoinGroup: groups.joinGroup,
  Heartbeat: groups.heartbeat,
  LeaveGroup: groups.leaveGroup,
  SyncGroup: groups.syncGroup,
  DescribeGroups: groups.describeGroups,
  ListGroups: groups.listGroups,
  ApiVersions: cluster.apiVersions,
  CreateTopics: topics.createTopics,
  DeleteTopics: topics.deleteTopics,
  DeleteRecords: offsets.deleteRecords,
  InitProducerId: initProducerId,
  OffsetForLeaderEpoch: offsets.offsetForLeaderEpoch,
  DescribeConfigs: configs.describeConfigs,
  AlterConfigs: configs.alterConfigs,
  DescribeLogDirs: cluster.describeLogDirs,
  CreatePartitions: topics.createPartitions,
  DeleteGroups: groups.deleteGroups,
  IncrementalAlterConfigs: configs.incrementalAlterConfigs,
  OffsetDelete: groupOffsets.offsetDelete,
  DescribeCluster: cluster.describeCluster,
  ListConfigResources: configs.listConfigResources,
  DescribeTopicPartitions: metadata.describeTopicPartitions,
};

export interface KafkaHandlersOptions {
  readonly env: Env;
  readonly broker: Broker;
  /** Takes the metrics of this door. */
  readonly metrics: MetricRegistry;
}

/** The handlers of one broker's Kafka port. */
export function kafkaHandlers({ env, broker, metrics }: KafkaHandlersOptions): Handlers {
  const fetchSessions = new FetchSessions(env);
  const served: Served = { env, broker, fetchSessions };
  metrics.gauge(
    "cordwood_kafka_fetch_sessions",
    "Fetch sessions that clients hold.",
    () => fetchSessions.count,
  );
  const requests = metrics.counters(
    "cordwood_kafka_requests_total",
    "Requests that a handler was given, by API.",
    ["api"],
  );
  const entries = apiNames.map((name) => [name, handlerOf(name, served, requests.of(name))]);
  // Each entry has the name and the types of the one that it was made from.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return Object.fromEntries(entries) as Handlers;
}

function handlerOf<K extends ApiName>(name: K, served: Served, requests: Counter): Handler<K> {
  const answer = answers[name];
  return (request, exchange) => {
    requests.add();
    return answer(served, request, exchange);
  };
}
