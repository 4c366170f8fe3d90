import { invariant } from "../errors/index.ts";
import type { Topic, TopicPolicy } from "../metadata/index.ts";
import type { Partition, Partitions } from "../partitions/index.ts";
import type { BrokerConfig } from "./broker-config.ts";
import type { OpenTopic } from "./topic-verbs.ts";

/** Partitions opened or dropped in one turn of the event loop, so that thousands of them stall nobody. */
const partitionsPerTurn = 250;

/** A topic itself takes as much time as so many partitions, most of it for its settings. */
const topicWork = 25;

class LiveTopic implements OpenTopic {
  readonly name: string;
  readonly topicId: string;
  readonly isInternal: boolean;
  readonly partitions: Partition[] = [];
  settings: ReadonlyMap<string, string>;
  policy: TopicPolicy;

  constructor(topic: Topic, policy: TopicPolicy) {
    this.name = topic.name;
    this.topicId = topic.topicId;
    this.isInternal = topic.isInternal;
    this.settings = topic.settings;
    this.policy = policy;
  }
}

/** The topics of the metadata state with their partitions opened, as produce and fetch look them up. */
export class OpenTopics {
  readonly #partitions: Partitions;
  readonly #config: BrokerConfig;
  readonly #byName = new Map<string, LiveTopic>();
  readonly #byId = new Map<string, LiveTopic>();
  /** Work done since the event loop last turned for it, counted in partitions. */
  #sinceTurn = 0;
  /** By name; undefined after a change until somebody asks. */
  #sorted: readonly OpenTopic[] | undefined;

  constructor(partitions: Partitions, config: BrokerConfig) {
    this.#partitions = partitions;
    this.#config = config;
  }

  named(name: string): OpenTopic | undefined {
    return this.#byName.get(name);
  }

  byId(topicId: string): OpenTopic | undefined {
    return this.#byId.get(topicId);
  }

  all(): readonly OpenTopic[] {
    this.#sorted ??= [...this.#byName.values()].toSorted((left, right) =>
      left.name < right.name ? -1 : 1,
    );
    return this.#sorted;
  }

  /** A topic of the metadata state, as it is open here. */
  opened(topic: Topic): OpenTopic {
    return this.#live(topic);
  }

  /** Opens the partitions of a topic; it can be looked up once all are open. */
  async open(topic: Topic): Promise<void> {
    const live = new LiveTopic(topic, this.#config.policyOf(topic.settings));
    live.partitions.push(...(await this.#openPartitions(live, topic.partitionCount)));
    this.#byName.set(live.name, live);
    this.#byId.set(live.topicId, live);
    this.#sorted = undefined;
  }

  /** Opens the partitions that a topic got; they can be looked up once all are open. */
  async grow(topic: Topic): Promise<void> {
    const live = this.#live(topic);
    live.partitions.push(...(await this.#openPartitions(live, topic.partitionCount)));
  }

  /** Forgets a topic at once, and its records partition by partition. */
  async close(topic: Topic): Promise<void> {
    const live = this.#live(topic);
    this.#byName.delete(live.name);
    this.#byId.delete(live.topicId);
    this.#sorted = undefined;
    for (const partition of live.partitions) {
      this.#partitions.dropPartition(partition);
      if (this.#isTurnDue(1)) await this.#partitions.turn();
    }
    if (this.#isTurnDue(topicWork)) await this.#partitions.turn();
  }

  /** The settings of a topic changed. */
  configure(topic: Topic): void {
    const live = this.#live(topic);
    live.settings = topic.settings;
    this.#applyPolicy(live);
  }

  /** The settings of the broker changed, from which topics take their defaults. */
  configureAll(): void {
    for (const live of this.#byId.values()) this.#applyPolicy(live);
  }

  #applyPolicy(live: LiveTopic): void {
    live.policy = this.#config.policyOf(live.settings);
    for (const partition of live.partitions) partition.policy = live.policy;
  }

  async #openPartitions(live: LiveTopic, partitionCount: number): Promise<Partition[]> {
    const opened: Partition[] = [];
    for (let index = live.partitions.length; index < partitionCount; index++) {
      opened.push(this.#partitions.openPartition(live, index));
      if (this.#isTurnDue(1)) await this.#partitions.turn();
    }
    if (this.#isTurnDue(topicWork)) await this.#partitions.turn();
    // A setting may have changed while the loop turned.
    for (const partition of opened) partition.policy = live.policy;
    return opened;
  }

  /** Counts across topics: a thousand small ones are as much work as one that is large. */
  #isTurnDue(work: number): boolean {
    this.#sinceTurn += work;
    if (this.#sinceTurn < partitionsPerTurn) return false;
    this.#sinceTurn = 0;
    return true;
  }

  #live(topic: Topic): LiveTopic {
    const live = this.#byId.get(topic.topicId);
    invariant(live !== undefined, "a topic of the metadata state is open");
    return live;
  }
}
