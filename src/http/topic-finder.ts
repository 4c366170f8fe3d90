/** Finds what a path names, or says that it is not there. */
import type { Broker, OpenTopic } from "../broker/index.ts";
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";

/** @throws LogError topic_not_found */
export function topicOf(broker: Broker, name: string): OpenTopic {
  const topic = broker.topicNamed(name);
  if (topic !== undefined) return topic;
  throw new LogError("topic_not_found", `there is no topic "${name.slice(0, 249)}"`);
}

/** @throws LogError partition_not_found */
export function partitionOf(topic: OpenTopic, index: number): Partition {
  const partition = topic.partitions[index];
  if (partition !== undefined) return partition;
  const message = `${topic.name} has ${topic.partitions.length} partitions, numbered from 0; there is no ${index}`;
  throw new LogError("partition_not_found", message);
}
