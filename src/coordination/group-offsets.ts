import type { TopicPartition } from "./events.ts";

/** How far a group has read one partition. */
export interface CommittedOffset {
  /** The next offset to read. */
  readonly offset: number;
  /** Leader epoch of the last record read, where the client said it. */
  readonly leaderEpoch: number | undefined;
  readonly metadata: string;
  /** Wall time of the commit. */
  readonly commitMs: number;
  /** Wall time at which it ends, where an old client asked for one. */
  readonly expireMs: number | undefined;
}

/** The committed offsets of one group. */
export class GroupOffsets {
  readonly #byTopic = new Map<string, Map<number, CommittedOffset>>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get(topic: string, partition: number): CommittedOffset | undefined {
    return this.#byTopic.get(topic)?.get(partition);
  }

  set(topic: string, partition: number, committed: CommittedOffset): void {
    let partitions = this.#byTopic.get(topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.#byTopic.set(topic, partitions);
    }
    if (!partitions.has(partition)) this.#count += 1;
    partitions.set(partition, committed);
  }

  delete(topic: string, partition: number): void {
    const partitions = this.#byTopic.get(topic);
    if (partitions === undefined || !partitions.delete(partition)) return;
    this.#count -= 1;
    if (partitions.size === 0) this.#byTopic.delete(topic);
  }

  hasTopic(topic: string): boolean {
    return this.#byTopic.has(topic);
  }

  *entries(): IterableIterator<TopicPartition & { readonly committed: CommittedOffset }> {
    for (const [topic, partitions] of this.#byTopic) {
      for (const [partition, committed] of partitions) yield { topic, partition, committed };
    }
  }
}
