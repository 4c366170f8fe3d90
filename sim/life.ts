/** One process of a world: a broker on the world's disk, from its start to its end. */
import { Broker } from "../src/broker/index.ts";
import {
  type Address,
  type Env,
  type EventLog,
  type MemoryDisk,
  MemoryNetwork,
  type Network,
  type SeededRandom,
} from "../src/env/index.ts";
import type { LogError } from "../src/errors/index.ts";
import { kafkaHandlers, KafkaListener } from "../src/kafka/index.ts";
import { MetricRegistry } from "../src/metrics/index.ts";
import type { Plan } from "./plan.ts";
import type { Scheduler } from "./scheduler.ts";
import { openedStore, setStoreSizes } from "./small-store.ts";
import type { Store } from "../src/storage/index.ts";

export const directory = "/store";
/** Requests in flight have this long to be answered at an orderly end. */
const graceMs = 1_500;

export class Life {
  readonly scheduler: Scheduler;
  readonly env: Env;
  /** The same, with the network as clients have it. */
  readonly clientEnv: Env;
  readonly address: Address = { host: "sim", port: 9092 };
  readonly disk: MemoryDisk;
  fatal: LogError | undefined;
  isClosing = false;
  #broker: Broker | undefined;
  #listener: KafkaListener | undefined;

  constructor(parts: {
    readonly scheduler: Scheduler;
    readonly random: SeededRandom;
    readonly disk: MemoryDisk;
    readonly events: EventLog;
    /** The network of clients, on top of the one that the process listens on. */
    readonly networkFor: (network: MemoryNetwork) => Network;
  }) {
    const { scheduler, random, disk, events, networkFor } = parts;
    const network = new MemoryNetwork(scheduler);
    this.scheduler = scheduler;
    this.disk = disk;
    this.env = {
      clock: scheduler.clock,
      timers: scheduler,
      random,
      disk,
      network,
      events,
    };
    this.clientEnv = { ...this.env, network: networkFor(network) };
  }

  /** Whether an error may come from the end of the process instead of from the disk. */
  get isEnding(): boolean {
    return this.isClosing || this.fatal !== undefined;
  }

  get broker(): Broker {
    if (this.#broker === undefined) throw new Error("the broker is open by now");
    return this.#broker;
  }

  get store(): Store {
    return openedStore(this.env);
  }

  async open(plan: Plan): Promise<void> {
    const { walFileBytes, segmentBytes, segmentRecords, segmentMs, checkpointBatches } = plan;
    setStoreSizes(this.env, {
      walFileBytes,
      segmentBytes,
      segmentRecords,
      segmentMs,
      checkpointBatches,
    });
    this.#broker = await Broker.open(this.env, {
      directory,
      durability: plan.durability,
      advertised: () => this.address,
      settings: new Map([
        ["offsets.topic.num.partitions", "2"],
        ["group.initial.rebalance.delay.ms", "3"],
        ["log.retention.check.interval.ms", "500"],
        ["log.cleaner.backoff.ms", "300"],
      ]),
      onFatal: (error) => {
        this.fatal = error;
      },
    });
    if (plan.wireProducers === 0) return;
    const handlers = kafkaHandlers({
      env: this.env,
      broker: this.#broker,
      metrics: new MetricRegistry(),
    });
    this.#listener = await KafkaListener.listen(this.env, { at: this.address, handlers });
  }

  /** An orderly end, as the server makes it. */
  async close(): Promise<void> {
    this.isClosing = true;
    await this.#listener?.close(graceMs);
    await this.broker.close();
  }
}
