// What commands work on: a server, or a directory that no server holds. A directory is opened by the
// broker in this process and spoken to in the same protocol, over a network that exists only in
// memory, so a command does the same in both places by construction.

import { existsSync, statSync } from "node:fs";
import { resolve } from "node:path";

import { Broker } from "../broker/index.ts";
import { type Address, type Env, type EventLog, MemoryNetwork } from "../env/index.ts";
import { nodeEnv } from "../env/node/index.ts";
import { LogError } from "../errors/index.ts";
import { KafkaClient, kafkaHandlers, KafkaListener } from "../kafka/index.ts";
import { MetricRegistry } from "../metrics/index.ts";
import { locationOf } from "./location.ts";

export interface Place extends AsyncDisposable {
  readonly env: Env;
  readonly client: KafkaClient;
  /** As the user named it. */
  readonly name: string;
}

export interface PlaceOptions {
  /** Whether a directory that is not there is made. */
  readonly mayCreate: boolean;
  readonly events: EventLog;
}

const CLIENT_ID = "cordwood-cli";
/** Any: the network in memory has no other one. */
const inside: Address = { host: "directory", port: 9092 };
/** Nobody else can come, so there is nobody to wait for. */
const settings = new Map([["group.initial.rebalance.delay.ms", "0"]]);
const graceMs = 1_000;

/** @throws LogError unreachable, directory_in_use, invalid_argument */
export async function openPlace(url: string, options: PlaceOptions): Promise<Place> {
  const env = nodeEnv({ events: options.events });
  const location = locationOf(url);
  if (location.kind === "directory") return openDirectory(env, url, location.path, options);
  const client = await KafkaClient.connect(env, { ...location.address, clientId: CLIENT_ID });
  return { env, client, name: url, [Symbol.asyncDispose]: () => client.close() };
}

// oxlint-disable-next-line max-params
async function openDirectory(
  machine: Env,
  url: string,
  path: string,
  options: PlaceOptions,
): Promise<Place> {
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
    return { env, client, name: url, [Symbol.asyncDispose]: close };
  } catch (thrown) {
    await listener?.close(graceMs);
    await broker.close();
    throw thrown;
  }
}
