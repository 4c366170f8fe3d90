/** What subscriptions ask of an embedded store. */
import type { Broker } from "../broker/index.ts";
import {
  type BatchReader,
  type Position,
  type SubscribedReading,
  type SubscriptionSource,
  vouched,
} from "../values/index.ts";
import { refuseFault } from "./faults.ts";
import { TopicSource, RecordReader } from "./record-reader.ts";
import type { LocalTopic } from "./topic.ts";

export class LocalReadings implements SubscriptionSource {
  readonly ending: AbortSignal;
  readonly #broker: Broker;

  constructor(broker: Broker, ending: AbortSignal) {
    this.#broker = broker;
    this.ending = ending;
  }

  async stored(groupId: string): Promise<Position> {
    const { offsets } = await this.#broker.fetchOffsets({ groupId, partitions: undefined });
    return Object.fromEntries(
      offsets.flatMap(({ topic, partition, offset }) =>
        offset === undefined ? [] : [[`${topic}/${partition}`, offset]],
      ),
    );
  }

  async store(groupId: string, position: Position): Promise<void> {
    const offsets = Object.entries(position).map(([name, offset]) => {
      const slash = name.lastIndexOf("/");
      const topic = { name: name.slice(0, slash) };
      const partition = Number(name.slice(slash + 1));
      return { topic, partition, offset, leaderEpoch: undefined, metadata: "" };
    });
    const outcomes = await this.#broker.commitOffsets({
      groupId,
      offsets,
    });
    for (const outcome of outcomes) refuseFault(outcome);
  }

  read(reading: SubscribedReading): BatchReader {
    const { follow, deletions, signals } = reading;
    const reader = new RecordReader<unknown>(async () => this.#sources(reading), {
      follow,
      deletions,
      limit: Infinity,
      signals,
    });
    return {
      gather: (countMax) => reader.gather(countMax),
      position: () =>
        Object.fromEntries(
          reader.sources.map(({ topic, partition, next }) => [`${topic}/${partition.index}`, next]),
        ),
    };
  }

  #sources(reading: SubscribedReading): TopicSource<unknown>[] {
    const { topics, from, follow, skipsMissing } = reading;
    return topics.flatMap((topic) => {
      const { partitions = [] } = this.#broker.topicNamed(topic.name) ?? {};
      // What has a name and can be read is one of our topics: nobody else makes them.
      const decode = vouched<LocalTopic<never, unknown>>(topic).decoder();
      return partitions.map((partition) => {
        const position = reading.position[`${topic.name}/${partition.index}`];
        const begin = from === "end" ? partition.highWatermark : partition.logStartOffset;
        return new TopicSource(topic.name, partition, decode, {
          from: position ?? begin,
          until: follow ? undefined : partition.highWatermark,
          skipsMissing: skipsMissing || (position === undefined && from === "start"),
        });
      });
    });
  }
}
