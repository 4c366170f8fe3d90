import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import type { TopicRef } from "./answers.ts";
import type { OpenTopics } from "./open-topics.ts";
import type { OpenTopic } from "./topic-verbs.ts";

/** Finds what a call names, or says by an error that it is not there. */
export class PartitionFinder {
  readonly #topics: OpenTopics;

  constructor(topics: OpenTopics) {
    this.#topics = topics;
  }

  find(ref: TopicRef): OpenTopic | undefined {
    return ref.name === undefined ? this.#topics.byId(ref.topicId) : this.#topics.named(ref.name);
  }

  /** @throws LogError topic_not_found, topic_id_not_found. */
  topic(ref: TopicRef): OpenTopic {
    const topic = this.find(ref);
    if (topic !== undefined) return topic;
    throw noTopic(ref);
  }

  /**
   * @throws LogError topic_not_found, topic_id_not_found, partition_not_found, leader_epoch_fenced,
   * leader_epoch_unknown.
   */
  partition(
    ref: TopicRef,
    index: number,
    known: { readonly currentLeaderEpoch?: number | undefined } = {},
  ): Partition {
    const topic = this.topic(ref);
    const partition = topic.partitions[index];
    if (partition === undefined) {
      throw new LogError(
        "partition_not_found",
        `topic "${topic.name}" has ${topic.partitions.length} partitions, not one with index ${index}`,
      );
    }
    const fault = partition.epochFault(known.currentLeaderEpoch);
    if (fault !== undefined) throw fault;
    return partition;
  }

  /** @throws LogError where the records of a partition are not for clients to delete. */
  mustBeTrimmable(partition: Partition, ref: TopicRef): void {
    const topic = this.topic(ref);
    if (topic.isInternal) {
      throw new LogError(
        "invalid_topic_name",
        `topic "${topic.name}" is internal: only the broker deletes its records`,
      );
    }
    const { isTrimmed, isCompacted } = partition.policy;
    if (isTrimmed || !isCompacted) return;
    throw new LogError(
      "not_allowed",
      `topic "${topic.name}" has cleanup.policy=compact: its records are not deleted by offset`,
    );
  }
}

export function noTopic(ref: TopicRef): LogError {
  return ref.name === undefined
    ? new LogError("topic_id_not_found", `no topic has the id ${ref.topicId}`)
    : new LogError("topic_not_found", `there is no topic "${ref.name}"`);
}
