import type { TopicPartition } from "./offsets.ts";

export interface Subscriber {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/**
 * Kafka's `range` assignment: each topic's partitions in one run for each member, in the order of
 * the member ids; the first members get one more where it does not divide.
 */
export function assignRanges(
  subscribers: readonly Subscriber[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const members = subscribers.toSorted((left, right) => (left.memberId < right.memberId ? -1 : 1));
  const assigned = new Map(members.map(({ memberId }) => [memberId, [] as TopicPartition[]]));
  const topics = [...new Set(members.flatMap((member) => member.topics))].toSorted();
  for (const topic of topics) {
    const wanting = members.filter((member) => member.topics.includes(topic));
    const count = partitionCounts.get(topic) ?? 0;
    const each = Math.floor(count / wanting.length);
    const withOneMore = count % wanting.length;
    let next = 0;
    for (const [index, { memberId }] of wanting.entries()) {
      const end = next + each + (index < withOneMore ? 1 : 0);
      for (; next < end; next++) assigned.get(memberId)?.push({ topic, partition: next });
    }
  }
  return assigned;
}
