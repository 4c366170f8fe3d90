import { LogError } from "../errors/index.ts";
import {
  brokerSettings,
  type SettingLayers,
  type TopicPolicy,
  topicPolicy,
} from "../metadata/index.ts";

/** What the broker is set to: what it was started with, below what was set for all brokers at run time. */
export class BrokerConfig {
  readonly startup: ReadonlyMap<string, string>;
  readonly #atRunTime: () => ReadonlyMap<string, string>;

  /** @throws LogError invalid_config. */
  constructor(startup: ReadonlyMap<string, string>, atRunTime: () => ReadonlyMap<string, string>) {
    for (const [name, value] of startup) {
      const fault = brokerSettings.check(name, value);
      if (fault !== undefined) throw new LogError(fault.code, fault.message);
    }
    this.startup = startup;
    this.#atRunTime = atRunTime;
  }

  number(name: string): number {
    return brokerSettings.number(name, this.#merged());
  }

  boolean(name: string): boolean {
    return brokerSettings.boolean(name, this.#merged());
  }

  /** Where the value of a setting may come from, for a topic or, without one, for the broker. */
  layers(topic?: ReadonlyMap<string, string>): SettingLayers {
    const layers = { broker: this.#atRunTime(), startup: this.startup };
    return topic === undefined ? layers : { ...layers, topic };
  }

  policyOf(topic: ReadonlyMap<string, string>): TopicPolicy {
    return topicPolicy(this.layers(topic));
  }

  #merged(): ReadonlyMap<string, string> {
    return new Map([...this.startup, ...this.#atRunTime()]);
  }
}

/** For logs that the product keeps for itself: nothing is removed, and a record may be large. */
export const internalPolicy: TopicPolicy = {
  ...topicPolicy({ broker: new Map(), startup: new Map() }),
  isTrimmed: false,
  isCompacted: false,
  retentionMs: undefined,
  retentionBytes: undefined,
  retentionRecords: undefined,
  batchBytesMax: 16 << 20,
};
