// A server by Kafka's protocol, or a directory that no server holds. A directory is opened by the
// broker in this process and spoken to in the same protocol, over a network that exists only in
// memory, so a command does the same in both places by construction.

import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";

import { Broker } from "../broker/index.ts";
import { type Address, type Env, MemoryNetwork } from "../env/index.ts";
import { nodeEnv } from "../env/node/index.ts";
import { LogError } from "../errors/index.ts";
import { eachRecord, KafkaClient, kafkaHandlers, KafkaListener } from "../kafka/index.ts";
import { MetricRegistry } from "../metrics/index.ts";
import { RecordCursor } from "../records/index.ts";
import type { Place, PlaceClient, PlaceOptions } from "./place.ts";

const CLIENT_ID = "cordwood-cli";
/** Any: the network in memory has no other one. */
const inside: Address = { host: "directory", port: 9092 };
/** Nobody else can come, so there is nobody to wait for. */
const settings = new Map([["group.initial.rebalance.delay.ms", "0"]]);
const graceMs = 1_000;

/** @throws LogError unreachable */
export async function openKafka(
  url: string,
  address: Address,
  options: PlaceOptions,
): Promise<Place> {
  const env = nodeEnv({ events: options.events });
  const client = await KafkaClient.connect(env, { ...address, clientId: CLIENT_ID });
  const close = (): Promise<void> => client.close();
  return { env, client: placeClient(client), name: url, [Symbol.asyncDispose]: close };
}

/** @throws LogError directory_in_use, invalid_argument, topic_not_found */
export async function openDirectory(
  url: string,
  path: string,
  options: PlaceOptions,
): Promise<Place> {
  const machine = nodeEnv({ events: options.events });
  const directory = resolve(path);
  const isThere = existsSync(directory);
  if (isThere && !statSync(directory).isDirectory()) {
    throw new LogError("invalid_argument", `${directory} is no directory`);
  }
  if (!isThere && !options.mayCreate)
    throw new LogError("topic_not_found", `${directory}: no such directory`);
  const env: Env = { ...machine, network: new MemoryNetwork(machine.timers) };
  const broker = await Broker.open(env, {
    directory,
    advertised: () => inside,
    settings,
    onFatal: (error) => options.events.error("the store has failed", { reason: error.message }),
  });
  let listener: KafkaListener | undefined;
  try {
    const handlers = kafkaHandlers({ env, broker, metrics: new MetricRegistry() });
    listener = await KafkaListener.listen(env, { at: inside, handlers });
    const client = await KafkaClient.connect(env, { ...inside, clientId: CLIENT_ID });
    const close = async (): Promise<void> => {
      await client.close();
      await listener?.close(graceMs);
      await broker.close();
    };
    return { env, client: placeClient(client), name: url, [Symbol.asyncDispose]: close };
  } catch (thrown) {
    await listener?.close(graceMs);
    await broker.close();
    throw thrown;
  }
}

/** Small answers where few records are wanted. */
const FEW_BYTES = 256 * 1024;

function placeClient(client: KafkaClient): PlaceClient {
  const { topics, offsets, groups } = client;
  return {
    topics: {
      list: async () =>
        (await topics.list()).map(({ name, isInternal, partitions }) => ({
          name,
          isInternal,
          partitionCount: partitions.length,
        })),
      describe: (name) => topics.describe(name),
      create: (topic, options) => topics.create(topic, options),
      delete: (name) => topics.delete(name),
      grow: (name, count) => topics.grow(name, count),
      settings: (name) => topics.settings(name),
      alter: (name, change) => topics.alter(name, change),
      async compact(name) {
        throw new LogError(
          "unsupported",
          `Kafka's protocol has no call that compacts ${name}: a server does so by cleanup.policy=compact. For now, use --at http://HOST:PORT, or "cordwood storage compact" on a directory.`,
        );
      },
      sizes: () => topics.sizes(),
    },
    offsets,
    groups,
    produce: (topic, options) => client.produce(topic, options),
    member: (options) => client.member(options),
    async *read(ranges, { signal, isFew }) {
      const cursor = new RecordCursor();
      const bytesMax = isFew ? FEW_BYTES : undefined;
      for await (const chunk of client.read(ranges, { signal, bytesMax })) {
        const { topic, partition, start, end, nextOffset } = chunk;
        const next = Math.min(nextOffset, end);
        yield { topic, partition, start, next, each: (visit) => eachRecord(chunk, cursor, visit) };
      }
    },
  };
}
