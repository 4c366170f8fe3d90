// @platformatic/kafka 2.12 in the words of the journey. All codecs are built in.
import {
  Admin,
  ConfigResourceTypes,
  Consumer,
  IncrementalAlterConfigOperationTypes,
  ListOffsetTimestamps,
  type Message,
  MessagesStreamFallbackModes,
  MessagesStreamModes,
  type MessageToProduce,
  ProduceAcks,
  Producer,
} from "@platformatic/kafka";

import type { Client, Member, Offsets, ReadRecord, SentRecord } from "./client.ts";

/** How the library says that a partition has no commit. */
const noOffset = -1n;

export function openPlatformatic(bootstrap: string): Client {
  const options = {
    clientId: "journey-platformatic",
    bootstrapBrokers: [bootstrap],
    timeout: 10_000,
    retries: 200,
    retryDelay: 50,
  };
  const admin = new Admin(options);
  const plain = new Producer({ ...options, acks: ProduceAcks.ALL });
  const idempotent = new Producer({ ...options, acks: ProduceAcks.ALL, idempotent: true });

  const topicMetadata = async (topic: string): Promise<number> => {
    const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true });
    return topics.get(topic)?.partitionsCount ?? 0;
  };
  const listOffsets = async (topic: string, timestamp: bigint): Promise<Offsets> => {
    const count = await topicMetadata(topic);
    const partitions = Array.from({ length: count }, (_, partitionIndex) => ({
      partitionIndex,
      timestamp,
    }));
    const found = await admin.listOffsets({ topics: [{ name: topic, partitions }] });
    return toOffsets(
      (found.find(({ name }) => name === topic)?.partitions ?? []).map(
        ({ partitionIndex, offset }) => ({ partition: partitionIndex, offset }),
      ),
    );
  };

  return {
    async createTopic(topic, partitions, settings = {}) {
      const configs = Object.entries(settings).map(([name, value]) => ({ name, value }));
      await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs });
    },
    listTopics: async () => admin.listTopics(),
    partitionCount: topicMetadata,
    async createPartitions(topic, count) {
      await admin.createPartitions({ topics: [{ name: topic, count, assignments: null }] });
      await plain.metadata({ topics: [topic], forceUpdate: true });
    },
    async deleteTopic(topic) {
      await admin.deleteTopics({ topics: [topic] });
    },
    async setting(topic, name) {
      const [resource] = await admin.describeConfigs({
        resources: [
          {
            resourceType: ConfigResourceTypes.TOPIC,
            resourceName: topic,
            configurationKeys: [name],
          },
        ],
      });
      return resource?.configs.find((config) => config.name === name)?.value ?? "";
    },
    async alterSetting(topic, name, value) {
      const configOperation = IncrementalAlterConfigOperationTypes.SET;
      await admin.incrementalAlterConfigs({
        resources: [
          {
            resourceType: ConfigResourceTypes.TOPIC,
            resourceName: topic,
            configs: [{ name, configOperation, value }],
          },
        ],
      });
    },
    async produce(topic, records, { codec = "none", isIdempotent = false } = {}) {
      const messages = records.map((record) => toMessage(topic, record));
      await (isIdempotent ? idempotent : plain).send({ messages, compression: codec });
    },
    async join(group, topic, onRecord) {
      const consumer = new Consumer({
        ...options,
        groupId: group,
        autocommit: false,
        sessionTimeout: 10_000,
        rebalanceTimeout: 10_000,
        heartbeatInterval: 100,
        maxWaitTime: 50,
      });
      return consume(consumer, topic, onRecord);
    },
    async offsets(topic, place) {
      if (place === "earliest") return listOffsets(topic, ListOffsetTimestamps.EARLIEST);
      const end = await listOffsets(topic, ListOffsetTimestamps.LATEST);
      if (place === "latest") return end;
      const found = await listOffsets(topic, BigInt(place.timeMs));
      return new Map(
        [...end].map(([partition, last]) => {
          const offset = found.get(partition) ?? Number(noOffset);
          return [partition, offset < 0 ? last : offset];
        }),
      );
    },
    async deleteRecords(topic, before) {
      await topicMetadata(topic);
      const partitions = [...before].map(([partition, offset]) => ({
        partition,
        offset: offset === "end" ? noOffset : BigInt(offset),
      }));
      await admin.deleteRecords({ topics: [{ name: topic, partitions }] });
    },
    async committed(group, topic) {
      const [found] = await admin.listConsumerGroupOffsets({ groups: [group] });
      const partitions = found?.topics.find(({ name }) => name === topic)?.partitions ?? [];
      return toOffsets(
        partitions
          .filter(({ committedOffset }) => committedOffset !== noOffset)
          .map((each) => ({ partition: each.partitionIndex, offset: each.committedOffset })),
      );
    },
    async listGroups() {
      return [...(await admin.listGroups()).keys()];
    },
    async describeGroup(group) {
      const description = (await admin.describeGroups({ groups: [group] })).get(group);
      return {
        state: description?.state ?? "none",
        protocolType: description?.protocolType ?? "",
        memberCount: description?.members.size ?? 0,
      };
    },
    async deleteGroup(group) {
      await admin.deleteGroups({ groups: [group] });
    },
    async close() {
      await plain.close();
      await idempotent.close();
      await admin.close();
    },
  };
}

async function consume(
  consumer: Consumer,
  topic: string,
  onRecord: (record: ReadRecord) => void,
): Promise<Member> {
  const stream = await consumer.consume({
    topics: [topic],
    mode: MessagesStreamModes.COMMITTED,
    fallbackMode: MessagesStreamFallbackModes.EARLIEST,
  });
  // After each join the stream asks for the commits and goes back to them. What it reads between the join
  // and that moment it reads twice, so a member owns its partitions only from then on.
  let isSettled = stream.offsetsToFetch.size > 0;
  consumer.on("consumer:group:rebalance", () => {
    isSettled = false;
  });
  consumer.on("consumer:group:join", () => {
    isSettled = false;
  });
  stream.on("offsets", () => {
    isSettled = true;
  });
  let failure: Error | undefined;
  stream.on("error", (error) => {
    failure = error;
  });
  // One that closes while it joins again complains of connections that it closed itself.
  let isLeaving = false;
  consumer.on("error", (error: Error) => {
    if (!isLeaving) failure = error;
  });
  const owned = (): readonly number[] =>
    consumer.assignments?.find((assignment) => assignment.topic === topic)?.partitions ?? [];
  // A fetch that left before a partition was given away is answered after it, and the library hands
  // that out too: no other member's records may be counted for this one.
  stream.on("data", (message) => {
    if (owned().includes(message.partition)) onRecord(toRecord(message));
  });
  return {
    partitions() {
      if (failure) throw failure;
      return isSettled ? owned() : [];
    },
    async commit(next) {
      const offsets = [...next].map(([partition, offset]) => ({
        topic,
        partition,
        offset: BigInt(offset),
        leaderEpoch: -1,
      }));
      await consumer.commit({ offsets });
    },
    async leave() {
      isLeaving = true;
      await stream.close();
      await consumer.close();
    },
  };
}

function toMessage(topic: string, record: SentRecord): MessageToProduce {
  const { key, value, headers, timestampMs, partition } = record;
  return {
    topic,
    ...(key === undefined ? {} : { key }),
    ...(value === undefined ? {} : { value }),
    headers: new Map(headers.map(([name, bytes]) => [Buffer.from(name), bytes])),
    timestamp: BigInt(timestampMs),
    ...(partition === undefined ? {} : { partition }),
  };
}

function toRecord(message: Message): ReadRecord {
  const { key, value, headerEntries, timestamp, partition, offset } = message;
  return {
    key: key ?? undefined,
    value: value ?? undefined,
    headers: headerEntries.map(([name, bytes]) => [name.toString(), bytes] as const),
    timestampMs: Number(timestamp),
    partition,
    offset: Number(offset),
  };
}

function toOffsets(
  entries: readonly { readonly partition: number; readonly offset: bigint }[],
): Offsets {
  return new Map(
    entries
      .map(({ partition, offset }) => [partition, Number(offset)] as const)
      .toSorted(([a], [b]) => a - b),
  );
}
