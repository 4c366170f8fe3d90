// A broker on its port and a client of it, in a world in memory where connections can be cut.
import assert from "node:assert/strict";

import { Broker } from "../../broker/index.ts";
import {
  type Address,
  type Connection,
  type Env,
  type EventLog,
  MemoryDisk,
  memoryEnv,
  type MemoryEnv,
  type Network,
  SeededRandom,
} from "../../env/index.ts";
import { LogError } from "../../errors/index.ts";
import { MetricRegistry } from "../../metrics/index.ts";
import { RecordCursor } from "../../records/index.ts";
import { kafkaHandlers } from "../handlers/handlers.ts";
import { KafkaListener } from "../listener.ts";
import { type ClientOptions, KafkaClient } from "./kafka-client.ts";
import type { PartitionRange, ReadOptions } from "./reader.ts";
import { eachRecord } from "./record-chunk.ts";

const address: Address = { host: "broker.test", port: 9092 };

export interface SeenRecord {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | undefined;
  readonly value: string | undefined;
}

/** The client's network, whose connections break at random while `chance` is above zero. */
class BreakingNetwork implements Network {
  /** That a write, or a piece received, ends the connection: half of the time after it took effect. */
  chance = 0;
  cuts = 0;
  readonly #network: Network;
  readonly #random: SeededRandom;
  readonly #open = new Set<Connection>();

  constructor(network: Network, seed: number) {
    this.#network = network;
    this.#random = new SeededRandom(seed);
  }

  async connect(to: Address): Promise<Connection> {
    const inner = await this.#network.connect(to);
    this.#open.add(inner);
    const breaks = (): boolean => {
      if (this.#random.next() >= this.chance) return false;
      this.cuts++;
      return true;
    };
    return {
      get remote() {
        return inner.remote;
      },
      get unsentBytes() {
        return inner.unsentBytes;
      },
      start(handler) {
        inner.start({
          target: () => handler.target(),
          received(count) {
            // The answer is lost, what it answers is done.
            if (breaks()) inner.destroy();
            else handler.received(count);
          },
          drained: () => handler.drained(),
          closed: (error) => handler.closed(error),
        });
      },
      write(parts, sent) {
        if (breaks()) {
          inner.destroy();
          sent?.();
        } else inner.write(parts, sent);
      },
      pause: () => inner.pause(),
      resume: () => inner.resume(),
      end: () => inner.end(),
      destroy: () => inner.destroy(),
    };
  }

  cutAll(): void {
    for (const connection of this.#open) connection.destroy();
    this.#open.clear();
  }

  listen: Network["listen"] = (at, accept) => this.#network.listen(at, accept);

  serveHttp: Network["serveHttp"] = (at, options) => this.#network.serveHttp(at, options);
}

export class ClientWorld {
  readonly env: MemoryEnv;
  /** What the client said on the way. */
  readonly said: string[];
  readonly network: BreakingNetwork;
  readonly #clientEnv: Env;
  #broker: Broker | undefined;
  #listener: KafkaListener | undefined;

  private constructor(env: MemoryEnv, seed: number) {
    this.env = env;
    this.said = [];
    this.network = new BreakingNetwork(env.network, seed);
    const say = (message: string): void => void this.said.push(message);
    const events: EventLog = { debug() {}, info() {}, warn: say, error: say };
    this.#clientEnv = { ...env, network: this.network, events };
  }

  static async open(seed = 1): Promise<ClientWorld> {
    const world = new ClientWorld(memoryEnv({ seed, disk: new MemoryDisk() }), seed);
    await world.start();
    return world;
  }

  /** Starts a broker on what the disk has. */
  async start(): Promise<void> {
    const { env } = this;
    const opening = Broker.open(env, {
      directory: "/store",
      advertised: () => address,
      settings: new Map([
        ["offsets.topic.num.partitions", "2"],
        ["group.initial.rebalance.delay.ms", "0"],
      ]),
      onFatal: (error) => assert.fail(error),
    });
    const broker = await env.run(opening);
    this.#broker = broker;
    const handlers = kafkaHandlers({ env, broker, metrics: new MetricRegistry() });
    this.#listener = await env.run(KafkaListener.listen(env, { at: address, handlers }));
  }

  /** Ends the broker; its clients lose their connections. */
  async stop(): Promise<void> {
    await this.run(this.#listener?.close(0) ?? Promise.resolve());
    await this.run(this.#broker?.close() ?? Promise.resolve());
  }

  connect(options: Partial<ClientOptions> = {}): Promise<KafkaClient> {
    return this.run(
      KafkaClient.connect(this.#clientEnv, { ...address, clientId: "test", ...options }),
    );
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.env.run(promise);
  }

  async pass(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.env.timers.after(ms, resolve);
    await this.run(promise);
  }

  /** Reads the ranges to their ends, or until `isEnough`. */
  async read(
    client: KafkaClient,
    ranges: readonly PartitionRange[],
    options: ReadOptions & { readonly isEnough?: (seen: readonly SeenRecord[]) => boolean } = {},
  ): Promise<SeenRecord[]> {
    return this.run(readAll(client, ranges, options));
  }
}

export async function readAll(
  client: KafkaClient,
  ranges: readonly PartitionRange[],
  options: ReadOptions & { readonly isEnough?: (seen: readonly SeenRecord[]) => boolean } = {},
): Promise<SeenRecord[]> {
  const seen: SeenRecord[] = [];
  const cursor = new RecordCursor();
  for await (const chunk of client.read(ranges, options)) {
    eachRecord(chunk, cursor, ({ offset }) => {
      const { partition } = chunk;
      seen.push({ partition, offset, key: textOf(cursor.key()), value: textOf(cursor.value()) });
      return true;
    });
    if (options.isEnough?.(seen) === true) return seen;
  }
  return seen;
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
}

/** All of these partitions, up to where they end now. */
export async function wholeTopic(
  world: ClientWorld,
  client: KafkaClient,
  topic: string,
): Promise<PartitionRange[]> {
  const starts = await world.run(client.offsets.find(topic, "earliest"));
  const ends = await world.run(client.offsets.find(topic, "latest"));
  return [...ends].map(([partition, { offset: end }]) => {
    return { topic, partition, start: starts.get(partition)?.offset ?? 0, end };
  });
}

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof LogError && error.code === code;
}
