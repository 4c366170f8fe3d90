// kafkajs 2.2 in the words of the journey. It knows gzip; the other codecs are registered here as its users do.
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";

import kafkajs from "kafkajs";
import { compressFrameSync, decompressFrameSync } from "lz4-napi";
import { compressSync, uncompressSync } from "snappy";

import type { Client, Member, Offsets, ReadRecord, SentRecord } from "./client.ts";

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs;

const compressionTypes = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} as const;

function registerCodec(
  type: Exclude<kafkajs.CompressionTypes, kafkajs.CompressionTypes.None>,
  compress: (bytes: Buffer) => Buffer,
  decompress: (bytes: Buffer) => Buffer,
): void {
  CompressionCodecs[type] = () => ({
    compress: async (encoder: { readonly buffer: Buffer }) => compress(encoder.buffer),
    decompress: async (bytes: Buffer) => decompress(bytes),
  });
}

registerCodec(CompressionTypes.Snappy, snappyBlocks, unsnappyBlocks);
registerCodec(CompressionTypes.LZ4, compressFrameSync, decompressFrameSync);
registerCodec(CompressionTypes.ZSTD, zstdCompressSync, zstdDecompressSync);

const snappyMagic = Buffer.from([
  0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1,
]);

/** The framing of the Java client: a magic, then blocks of 32 KiB, each with its size before it. */
function snappyBlocks(bytes: Buffer): Buffer {
  const parts: Buffer[] = [snappyMagic];
  for (let start = 0; start < bytes.length; start += 32_768) {
    const block = compressSync(bytes.subarray(start, start + 32_768));
    const size = Buffer.alloc(4);
    size.writeInt32BE(block.length);
    parts.push(size, block);
  }
  return Buffer.concat(parts);
}

/** Other clients write one raw block without framing. */
function unsnappyBlocks(bytes: Buffer): Buffer {
  if (!bytes.subarray(0, 8).equals(snappyMagic.subarray(0, 8))) return snappyRaw(bytes);
  const parts: Buffer[] = [];
  for (let position = snappyMagic.length; position < bytes.length;) {
    const end = position + 4 + bytes.readInt32BE(position);
    parts.push(snappyRaw(bytes.subarray(position + 4, end)));
    position = end;
  }
  return Buffer.concat(parts);
}

function snappyRaw(bytes: Buffer): Buffer {
  return Buffer.from(uncompressSync(bytes));
}

export function openKafkajs(bootstrap: string): Client {
  const kafka = new Kafka({
    clientId: "journey-kafkajs",
    brokers: [bootstrap],
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 8 },
  });
  const admin = connected(kafka.admin());
  const plain = connected(kafka.producer({ allowAutoTopicCreation: false }));
  const idempotent = connected(
    kafka.producer({ allowAutoTopicCreation: false, idempotent: true, maxInFlightRequests: 1 }),
  );

  return {
    async createTopic(topic, partitions, settings = {}) {
      const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
      const isNew = await (
        await admin.get()
      ).createTopics({ topics: [{ topic, numPartitions: partitions, configEntries }] });
      // kafkajs swallows this one error and answers false.
      if (!isNew) throw Object.assign(new Error(`${topic} exists`), { code: 36 });
    },
    async listTopics() {
      return (await admin.get()).listTopics();
    },
    async partitionCount(topic) {
      const { topics } = await (await admin.get()).fetchTopicMetadata({ topics: [topic] });
      return topics[0]?.partitions.length ?? 0;
    },
    async createPartitions(topic, count) {
      await (await admin.get()).createPartitions({ topicPartitions: [{ topic, count }] });
    },
    async deleteTopic(topic) {
      await (await admin.get()).deleteTopics({ topics: [topic] });
    },
    async setting(topic, name) {
      const { resources } = await (
        await admin.get()
      ).describeConfigs({
        includeSynonyms: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configNames: [name] }],
      });
      const entry = resources[0]?.configEntries.find(({ configName }) => configName === name);
      return entry?.configValue ?? "";
    },
    async alterSetting(topic, name, value) {
      const configEntries = [{ name, value }];
      await (
        await admin.get()
      ).alterConfigs({
        validateOnly: false,
        resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }],
      });
    },
    async produce(topic, records, { codec = "none", isIdempotent = false } = {}) {
      const producer = await (isIdempotent ? idempotent : plain).get();
      const messages = records.map(toMessage);
      await producer.send({ topic, messages, acks: -1, compression: compressionTypes[codec] });
    },
    join: (group, topic, onRecord) => join(kafka, { group, topic, onRecord }),
    async offsets(topic, place) {
      const connection = await admin.get();
      if (typeof place === "object") {
        return toOffsets(await connection.fetchTopicOffsetsByTimestamp(topic, place.timeMs));
      }
      const found = await connection.fetchTopicOffsets(topic);
      return toOffsets(
        found.map(({ partition, low, high }) => ({
          partition,
          offset: place === "earliest" ? low : high,
        })),
      );
    },
    async deleteRecords(topic, before) {
      const partitions = [...before].map(([partition, offset]) => ({
        partition,
        offset: offset === "end" ? "-1" : String(offset),
      }));
      const connection = await admin.get();
      // kafkajs looks for the leaders before it asks where they are; any question about the topic helps.
      await connection.fetchTopicOffsets(topic);
      await connection.deleteTopicRecords({ topic, partitions });
    },
    async committed(group, topic) {
      const found = await (await admin.get()).fetchOffsets({ groupId: group, topics: [topic] });
      const partitions = found.find((each) => each.topic === topic)?.partitions ?? [];
      return toOffsets(partitions.filter(({ offset }) => offset !== "-1"));
    },
    async listGroups() {
      return (await (await admin.get()).listGroups()).groups.map(({ groupId }) => groupId);
    },
    async describeGroup(group) {
      const { groups } = await (await admin.get()).describeGroups([group]);
      const { state = "none", protocolType = "", members = [] } = groups[0] ?? {};
      return { state, protocolType, memberCount: members.length };
    },
    async deleteGroup(group) {
      await (await admin.get()).deleteGroups([group]);
    },
    async close() {
      for (const part of [plain, idempotent, admin]) await part.close();
    },
  };
}

interface Connectable {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

/** Connects at first use. */
function connected<T extends Connectable>(
  part: T,
): {
  get(): Promise<T>;
  close(): Promise<void>;
} {
  let connecting: Promise<void> | undefined;
  return {
    async get() {
      connecting ??= part.connect();
      await connecting;
      return part;
    },
    async close() {
      if (connecting) await part.disconnect();
    },
  };
}

async function join(
  kafka: kafkajs.Kafka,
  options: {
    readonly group: string;
    readonly topic: string;
    readonly onRecord: (record: ReadRecord) => void;
  },
): Promise<Member> {
  const { group, topic, onRecord } = options;
  const consumer = kafka.consumer({
    groupId: group,
    sessionTimeout: 10_000,
    rebalanceTimeout: 10_000,
    heartbeatInterval: 100,
    maxWaitTimeInMs: 50,
  });
  let owned: readonly number[] = [];
  consumer.on(consumer.events.REBALANCING, () => {
    owned = [];
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    owned = payload.memberAssignment[topic] ?? [];
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => onRecord(toRecord(partition, message)),
  });
  return {
    partitions: () => owned,
    async commit(next) {
      await consumer.commitOffsets(
        [...next].map(([partition, offset]) => ({ topic, partition, offset: String(offset) })),
      );
    },
    async leave() {
      await consumer.disconnect();
    },
  };
}

function toMessage(record: SentRecord): kafkajs.Message {
  const { key, value, headers, timestampMs, partition } = record;
  return {
    key: key ?? null,
    value: value ?? null,
    headers: Object.fromEntries(headers),
    timestamp: String(timestampMs),
    ...(partition === undefined ? {} : { partition }),
  };
}

function toRecord(partition: number, message: kafkajs.KafkaMessage): ReadRecord {
  const headers = Object.entries(message.headers ?? {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value ?? ""]).map(
      (each) => [name, Buffer.from(each)] as const,
    ),
  );
  return {
    key: message.key ?? undefined,
    value: message.value ?? undefined,
    headers,
    timestampMs: Number(message.timestamp),
    partition,
    offset: Number(message.offset),
  };
}

function toOffsets(
  entries: readonly { readonly partition: number; readonly offset: string }[],
): Offsets {
  return new Map(
    entries
      .map(({ partition, offset }) => [partition, Number(offset)] as const)
      .toSorted(([a], [b]) => a - b),
  );
}
