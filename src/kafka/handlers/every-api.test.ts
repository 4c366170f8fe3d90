// Each API, asked over a real socket in each of its versions.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { NIL_UUID } from "../../bytes/index.ts";
import { numberOf } from "./wire.ts";
import { type ApiName, apiNames, apis, type RequestBody, type ResponseOf } from "../registry.ts";
import { batchOf, KafkaWorld, type RawClient } from "./kafka-world.test.ts";

interface Case<K extends ApiName> {
  readonly ask: (version: number) => RequestBody<K>;
  readonly expect: (response: ResponseOf<K>, version: number) => void;
}

let world: KafkaWorld;
let client: RawClient;

/** Joins a group alone and assigns to itself. */
async function joined(group: string): Promise<{ memberId: string; generationId: number }> {
  const protocols = [{ name: "range", metadata: new Uint8Array([0, 1]) }];
  const asked = {
    groupId: group,
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    memberId: "",
  };
  const join = await client.ask("JoinGroup", 3, { ...asked, protocolType: "consumer", protocols });
  assert.equal(join.errorCode, 0);
  const { memberId, generationId } = join;
  const assignments = [{ memberId, assignment: new Uint8Array([7]) }];
  const sync = await client.ask("SyncGroup", 3, {
    groupId: group,
    generationId,
    memberId,
    assignments,
  });
  assert.equal(sync.errorCode, 0);
  return { memberId, generationId };
}

/** The member that the calls about groups are made for. */
const crowd = { memberId: "", generationId: -1 };

before(async () => {
  world = await KafkaWorld.open();
  client = await world.client();
  await world.broker.createTopics([{ name: "seen", partitionCount: 3 }]);
  const records = batchOf(["a", "b", "c"]);
  await client.ask("Produce", 9, {
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: "seen", partitionData: [{ index: 0, records }] }],
  });
  Object.assign(crowd, await joined("crowd"));
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

const nodeId = 1;
const hosts = (brokers: readonly { host: string; port: number }[]): void => {
  assert.deepEqual(
    brokers.map(({ host, port }) => [host, port]),
    [["127.0.0.1", world.listener.port]],
  );
};
const topicOperations = 3576;
const notFoundInGroup = "nobody";
const unsupported = numberOf("unsupported");

/** The topic that all cases share, as a request names it. */
function seenBy(isById: boolean): { name: string; topicId: string } {
  return isById
    ? { name: "", topicId: world.topicId("seen") }
    : { name: "seen", topicId: NIL_UUID };
}

/** A topic for each version, so that the two runs of a case do not meet. */
const fresh = async (name: string): Promise<string> => {
  await world.broker.createTopics([{ name, partitionCount: 1 }]);
  return name;
};

const cases: { readonly [K in ApiName]: Case<K> } = {
  Produce: {
    ask: (version) => ({
      acks: 1,
      timeoutMs: 1000,
      topicData: [
        {
          ...seenBy(version >= 13),
          partitionData: [{ index: 1, records: batchOf(["x", "y"]) }],
        },
      ],
    }),
    expect({ responses }, version) {
      const [topic] = responses;
      const [partition] = topic?.partitionResponses ?? [];
      assert.equal(
        version >= 13 ? topic?.topicId : topic?.name,
        version >= 13 ? world.topicId("seen") : "seen",
      );
      assert.equal(partition?.errorCode, 0);
      assert.equal((partition?.baseOffset ?? -1) % 2, 0);
      assert.equal(partition?.logStartOffset, version >= 5 ? 0 : -1);
    },
  },
  Fetch: {
    ask: (version) => ({
      maxWaitMs: 100,
      minBytes: 1,
      topics: [
        {
          topic: version < 13 ? "seen" : "",
          topicId: version >= 13 ? world.topicId("seen") : NIL_UUID,
          partitions: [{ partition: 0, fetchOffset: 1, partitionMaxBytes: 1 }],
        },
      ],
    }),
    expect({ responses, errorCode }) {
      const partition = responses[0]?.partitions[0];
      assert.equal(errorCode, 0);
      assert.equal(partition?.errorCode, 0);
      assert.equal(partition?.highWatermark, 3);
      assert.ok((partition?.records?.length ?? 0) > 61, "the whole batch with the offset");
    },
  },
  ListOffsets: {
    ask: () => ({
      replicaId: -1,
      topics: [{ name: "seen", partitions: [{ partitionIndex: 0, timestamp: -1 }] }],
    }),
    expect({ topics }, version) {
      const partition = topics[0]?.partitions[0];
      assert.equal(partition?.errorCode, 0);
      assert.equal(partition?.offset, 3);
      assert.equal(partition?.leaderEpoch, version >= 4 ? 1 : -1);
    },
  },
  Metadata: {
    ask: (version) => ({
      topics: version === 0 ? [] : undefined,
      ...(version >= 8 ? { includeTopicAuthorizedOperations: true } : {}),
    }),
    expect({ brokers, topics, clusterId, controllerId }, version) {
      hosts(brokers);
      const topic = topics.find(({ name }) => name === "seen");
      assert.equal(topic?.partitions.length, 3);
      assert.deepEqual(topic?.partitions[2]?.isrNodes, [nodeId]);
      assert.equal(clusterId, version >= 2 ? world.broker.clusterId : undefined);
      assert.equal(controllerId, version >= 1 ? nodeId : -1);
      if (version >= 10) assert.equal(topic?.topicId, world.topicId("seen"));
      if (version >= 8) assert.equal(topic?.topicAuthorizedOperations, topicOperations);
      const internal = topics.find(({ name }) => name === "__consumer_offsets");
      assert.equal(internal?.isInternal, version >= 1);
    },
  },
  OffsetCommit: {
    ask: (version) => ({
      groupId: "outside",
      memberId: "",
      topics: [
        {
          ...seenBy(version >= 10),
          partitions: [{ partitionIndex: 0, committedOffset: 2, committedMetadata: "note" }],
        },
      ],
    }),
    expect({ topics }) {
      assert.equal(topics[0]?.partitions[0]?.errorCode, 0);
    },
  },
  OffsetFetch: {
    ask: (version) =>
      version < 8
        ? { groupId: "outside", topics: [{ name: "seen", partitionIndexes: [0, 1] }] }
        : {
            groups: [
              {
                groupId: "outside",
                topics: [{ ...seenBy(version >= 10), partitionIndexes: [0, 1] }],
              },
            ],
          },
    expect(response, version) {
      const [topic] = version < 8 ? response.topics : (response.groups[0]?.topics ?? []);
      const shown = topic?.partitions.map((one) => [
        one.committedOffset,
        one.metadata,
        one.errorCode,
      ]);
      assert.deepEqual(shown, [
        [2, "note", 0],
        [-1, "", 0],
      ]);
    },
  },
  FindCoordinator: {
    ask: (version) => (version < 4 ? { key: "crowd" } : { coordinatorKeys: ["crowd", "other"] }),
    expect(response, version) {
      if (version < 4) hosts([response]);
      else {
        assert.deepEqual(
          response.coordinators.map(({ key }) => key),
          ["crowd", "other"],
        );
        hosts(response.coordinators.slice(0, 1));
      }
    },
  },
  JoinGroup: {
    ask: (version) => ({
      groupId: `joined-${version}`,
      sessionTimeoutMs: 10_000,
      memberId: "",
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: new Uint8Array([1]) }],
    }),
    expect({ errorCode, memberId, generationId, protocolName }, version) {
      assert.match(memberId, /^raw-/);
      if (version >= 4) {
        assert.equal(errorCode, numberOf("member_id_required"));
        assert.equal(protocolName, version >= 7 ? undefined : "");
      } else {
        assert.equal(errorCode, 0);
        assert.equal(generationId, 1);
        assert.equal(protocolName, "range");
      }
    },
  },
  Heartbeat: {
    ask: () => ({ groupId: "crowd", ...crowd }),
    expect: ({ errorCode }) => assert.equal(errorCode, 0),
  },
  LeaveGroup: {
    ask: (version) =>
      version < 3
        ? { groupId: "crowd", memberId: notFoundInGroup }
        : { groupId: "crowd", members: [{ memberId: notFoundInGroup }] },
    expect({ errorCode, members: left }, version) {
      const unknown = numberOf("member_unknown");
      assert.equal(errorCode, version < 3 ? unknown : 0);
      if (version >= 3)
        assert.deepEqual(
          left.map((one) => one.errorCode),
          [unknown],
        );
    },
  },
  SyncGroup: {
    ask: (version) => ({
      groupId: "crowd",
      ...crowd,
      assignments: [],
      ...(version >= 5 ? { protocolType: "consumer", protocolName: "range" } : {}),
    }),
    expect({ errorCode, assignment, protocolName }, version) {
      assert.equal(errorCode, 0);
      assert.deepEqual([...assignment], [7]);
      assert.equal(protocolName, version >= 5 ? "range" : undefined);
    },
  },
  DescribeGroups: {
    ask: () => ({ groups: ["crowd", "missing"] }),
    expect({ groups }, version) {
      const [group, missing] = groups;
      assert.equal(group?.groupState, "Stable");
      assert.equal(group?.members[0]?.clientHost, "/127.0.0.1");
      assert.deepEqual([...(group?.members[0]?.memberAssignment ?? [])], [7]);
      assert.equal(missing?.groupState, "Dead");
      assert.equal(missing?.errorCode, version >= 6 ? numberOf("group_not_found") : 0);
    },
  },
  ListGroups: {
    ask: (version) => (version >= 4 ? { statesFilter: ["stable"] } : {}),
    expect({ errorCode, groups }, version) {
      assert.equal(errorCode, 0);
      const found = groups.find(({ groupId }) => groupId === "crowd");
      assert.equal(found?.protocolType, "consumer");
      assert.equal(found?.groupState, version >= 4 ? "Stable" : "");
      assert.equal(found?.groupType, version >= 5 ? "classic" : "");
    },
  },
  ApiVersions: {
    ask: (version) =>
      version >= 3 ? { clientSoftwareName: "raw", clientSoftwareVersion: "1.0" } : {},
    expect({ errorCode, apiKeys, finalizedFeatures, supportedFeatures }) {
      assert.equal(errorCode, 0);
      assert.equal(apiKeys.length, apiNames.length);
      assert.deepEqual(apiKeys[0], { apiKey: 0, minVersion: 0, maxVersion: 13 });
      assert.deepEqual([...finalizedFeatures, ...supportedFeatures], []);
    },
  },
  CreateTopics: {
    ask: (version) => ({
      topics: [
        {
          name: `made-${version}`,
          numPartitions: 2,
          replicationFactor: 1,
          assignments: [],
          configs: [{ name: "retention.ms", value: "1000" }],
        },
        { name: "no/name", numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] },
      ],
    }),
    expect({ topics }, version) {
      const made = topics.find(({ name }) => name === `made-${version}`);
      assert.equal(made?.errorCode, 0);
      const wrong = topics.find(({ name }) => name === "no/name");
      assert.equal(wrong?.errorCode, numberOf("invalid_topic_name"));
      if (version < 7) return;
      assert.equal(made?.topicId, world.topicId(`made-${version}`));
      assert.equal(made?.numPartitions, 2);
      const retention = made?.configs?.find(({ name }) => name === "retention.ms");
      assert.equal(retention?.value, "1000");
      assert.equal(retention?.configSource, 1);
    },
  },
  DeleteTopics: {
    ask: (version) =>
      version < 6
        ? { topicNames: [`dropped-${version}`, "never"], timeoutMs: 1000 }
        : {
            topics: [{ topicId: world.topicId("dropped-6") }, { name: "never", topicId: NIL_UUID }],
            timeoutMs: 1000,
          },
    expect({ responses }, version) {
      assert.deepEqual(
        responses.map(({ name, errorCode }) => [name, errorCode]),
        [
          [`dropped-${version}`, 0],
          ["never", numberOf("topic_not_found")],
        ],
      );
      assert.equal(world.broker.topicNamed(`dropped-${version}`), undefined);
    },
  },
  DeleteRecords: {
    ask: (version) => ({
      topics: [
        {
          name: `trimmed-${version}`,
          partitions: [
            { partitionIndex: 0, offset: version === 0 ? 2 : -1 },
            { partitionIndex: 9, offset: 0 },
          ],
        },
      ],
      timeoutMs: 1000,
    }),
    expect({ topics }, version) {
      assert.deepEqual(topics[0]?.partitions, [
        { partitionIndex: 0, lowWatermark: version === 0 ? 2 : 3, errorCode: 0 },
        { partitionIndex: 9, lowWatermark: -1, errorCode: numberOf("partition_not_found") },
      ]);
    },
  },
  InitProducerId: {
    ask: () => ({ transactionTimeoutMs: 0 }),
    expect({ errorCode, producerId, producerEpoch }) {
      assert.equal(errorCode, 0);
      assert.ok(producerId >= 0);
      assert.equal(producerEpoch, 0);
    },
  },
  OffsetForLeaderEpoch: {
    ask: () => ({
      topics: [
        {
          topic: "seen",
          partitions: [
            { partition: 0, leaderEpoch: 1 },
            { partition: 0, leaderEpoch: 9 },
            { partition: 0, currentLeaderEpoch: 5, leaderEpoch: 1 },
          ],
        },
      ],
    }),
    expect({ topics }) {
      const shown = topics[0]?.partitions.map((one) => [
        one.errorCode,
        one.leaderEpoch,
        one.endOffset,
      ]);
      assert.deepEqual(shown, [
        [0, 1, 3],
        [0, -1, -1],
        [numberOf("leader_epoch_unknown"), -1, -1],
      ]);
    },
  },
  DescribeConfigs: {
    ask: (version) => ({
      resources: [
        { resourceType: 2, resourceName: "seen", configurationKeys: ["retention.ms"] },
        { resourceType: 4, resourceName: "1" },
        { resourceType: 8, resourceName: "1" },
      ],
      includeSynonyms: true,
      ...(version >= 3 ? { includeDocumentation: true } : {}),
    }),
    expect({ results }, version) {
      const [topic, broker, loggers] = results;
      const [retention] = topic?.configs ?? [];
      assert.equal(retention?.name, "retention.ms");
      assert.equal(retention?.configSource, 5);
      assert.ok((retention?.synonyms.length ?? 0) > 0);
      assert.equal(retention?.configType, version >= 3 ? 5 : 0);
      assert.equal(retention?.documentation === undefined, version < 3);
      assert.ok((broker?.configs.length ?? 0) > 20);
      assert.equal(loggers?.errorCode, unsupported);
    },
  },
  AlterConfigs: {
    ask: (version) => ({
      resources: [
        {
          resourceType: 2,
          resourceName: "seen",
          configs: [{ name: "segment.ms", value: String(60_000 + version) }],
        },
        { resourceType: 2, resourceName: "never", configs: [] },
      ],
      validateOnly: false,
    }),
    expect({ responses }, version) {
      assert.deepEqual(
        responses.map(({ errorCode }) => errorCode),
        [0, numberOf("topic_not_found")],
      );
      const [topic] = world.broker.describeConfigs([
        { kind: "topic", name: "seen", names: ["segment.ms"] },
      ]);
      assert.equal(topic?.settings[0]?.value, String(60_000 + version));
    },
  },
  DescribeLogDirs: {
    ask: () => ({ topics: [{ topic: "seen", partitions: [0, 1] }] }),
    expect({ results }) {
      const [directory] = results;
      assert.equal(directory?.errorCode, 0);
      const [topic] = directory?.topics ?? [];
      assert.deepEqual(
        topic?.partitions.map(({ partitionIndex }) => partitionIndex),
        [0, 1],
      );
      assert.ok((topic?.partitions[0]?.partitionSize ?? 0) > 0);
    },
  },
  CreatePartitions: {
    ask: (version) => ({
      topics: [
        { name: `grown-${version}`, count: 4 },
        { name: "seen", count: 1 },
      ],
      timeoutMs: 1000,
      validateOnly: false,
    }),
    expect({ results }, version) {
      assert.deepEqual(
        results.map(({ errorCode }) => errorCode),
        [0, numberOf("invalid_partitions")],
      );
      assert.equal(world.broker.topicNamed(`grown-${version}`)?.partitions.length, 4);
    },
  },
  DeleteGroups: {
    ask: () => ({ groupsNames: ["crowd", "missing"] }),
    expect({ results }) {
      assert.deepEqual(
        results.map(({ groupId, errorCode }) => [groupId, errorCode]),
        [
          ["crowd", numberOf("group_not_empty")],
          ["missing", numberOf("group_not_found")],
        ],
      );
    },
  },
  IncrementalAlterConfigs: {
    ask: (version) => ({
      resources: [
        {
          resourceType: 2,
          resourceName: "seen",
          configs: [
            { name: "segment.bytes", configOperation: 0, value: String(1_048_576 + version) },
            { name: "retention.bytes", configOperation: 1 },
          ],
        },
        { resourceType: 2, resourceName: "made-2", configs: [{ name: "x", configOperation: 7 }] },
      ],
      validateOnly: false,
    }),
    expect({ responses }, version) {
      assert.deepEqual(
        responses.map(({ errorCode }) => errorCode),
        [0, numberOf("invalid_argument")],
      );
      const [topic] = world.broker.describeConfigs([
        { kind: "topic", name: "seen", names: ["segment.bytes"] },
      ]);
      assert.equal(topic?.settings[0]?.value, String(1_048_576 + version));
    },
  },
  OffsetDelete: {
    ask: () => ({
      groupId: "outside",
      topics: [{ name: "seen", partitions: [{ partitionIndex: 0 }] }],
    }),
    expect({ errorCode, topics }) {
      assert.equal(errorCode, 0);
      assert.equal(topics[0]?.partitions[0]?.errorCode, 0);
    },
  },
  DescribeCluster: {
    ask: () => ({ includeClusterAuthorizedOperations: true }),
    expect({ errorCode, clusterId, controllerId, brokers, clusterAuthorizedOperations }) {
      assert.equal(errorCode, 0);
      assert.equal(clusterId, world.broker.clusterId);
      assert.equal(controllerId, nodeId);
      hosts(brokers);
      assert.equal(clusterAuthorizedOperations, 8096);
    },
  },
  ListConfigResources: {
    ask: () => ({}),
    expect({ errorCode, configResources }, version) {
      assert.equal(errorCode, 0);
      const has = (type: number, name: string): boolean =>
        configResources.some((one) => one.resourceType === type && one.resourceName === name);
      assert.equal(has(2, "seen"), version >= 1);
      assert.equal(has(4, "1"), version >= 1);
    },
  },
  DescribeTopicPartitions: {
    ask: () => ({ topics: [{ name: "seen" }, { name: "absent" }], responsePartitionLimit: 2 }),
    expect({ topics, nextCursor }) {
      assert.deepEqual(
        topics.map(({ name, errorCode, partitions }) => [name, errorCode, partitions.length]),
        [
          ["absent", numberOf("topic_not_found"), 0],
          ["seen", 0, 2],
        ],
      );
      assert.deepEqual(nextCursor, { topicName: "seen", partitionIndex: 2 });
    },
  },
};

/** What a case needs beforehand, made anew for each version. */
const preparations: { readonly [K in ApiName]?: (version: number) => Promise<unknown> } = {
  DeleteTopics: (version) => fresh(`dropped-${version}`),
  CreatePartitions: (version) => fresh(`grown-${version}`),
  OffsetFetch: () => client.ask("OffsetCommit", 2, cases.OffsetCommit.ask(2)),
  async DeleteRecords(version) {
    const name = await fresh(`trimmed-${version}`);
    const partitionData = [{ index: 0, records: batchOf(["1", "2", "3"]) }];
    const body = { acks: -1, timeoutMs: 1000, topicData: [{ name, partitionData }] };
    await client.ask("Produce", 3, body);
  },
};

// K ties the request of a case to its response.
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
async function run<K extends ApiName>(name: K, version: number): Promise<void> {
  await preparations[name]?.(version);
  const { ask, expect } = cases[name];
  expect(await client.ask(name, version, ask(version)), version);
}

describe("over a socket, in every version", () => {
  for (const name of apiNames) {
    const { versionMin, versionMax } = apis[name];
    for (let version = versionMin; version <= versionMax; version++) {
      test(`${name} v${version} is answered`, () => run(name, version));
    }
  }
});
