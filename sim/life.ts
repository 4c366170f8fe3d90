/** One process of a world: a broker on the world's disk, from its start to its end. */
import { Broker } from "../src/broker/index.ts";
import {
  type Env,
  type EventLog,
  type MemoryDisk,
  MemoryNetwork,
  type SeededRandom,
} from "../src/env/index.ts";
import type { LogError } from "../src/errors/index.ts";
import type { Plan } from "./plan.ts";
import type { Scheduler } from "./scheduler.ts";
import { openedStore, setStoreSizes } from "./small-store.ts";
import type { Store } from "../src/storage/index.ts";

export const directory = "/store";

export class Life {
  readonly scheduler: Scheduler;
  readonly env: Env;
  readonly disk: MemoryDisk;
  fatal: LogError | undefined;
  isClosing = false;
  #broker: Broker | undefined;

  constructor(parts: {
    readonly scheduler: Scheduler;
    readonly random: SeededRandom;
    readonly disk: MemoryDisk;
    readonly events: EventLog;
  }) {
    const { scheduler, random, disk, events } = parts;
    this.scheduler = scheduler;
    this.disk = disk;
    this.env = {
      clock: scheduler.clock,
      timers: scheduler,
      random,
      disk,
      network: new MemoryNetwork(scheduler),
      events,
    };
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
    const { walFileBytes, segmentBytes, checkpointBatches } = plan;
    setStoreSizes(this.env, { walFileBytes, segmentBytes, checkpointBatches });
    this.#broker = await Broker.open(this.env, {
      directory,
      durability: plan.durability,
      advertised: () => ({ host: "sim", port: 9092 }),
      settings: new Map([
        ["offsets.topic.num.partitions", "2"],
        ["group.initial.rebalance.delay.ms", "3"],
        ["log.retention.check.interval.ms", "500"],
      ]),
      onFatal: (error) => {
        this.fatal = error;
      },
    });
  }
}
