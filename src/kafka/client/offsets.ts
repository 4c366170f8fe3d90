import { LogError } from "../../errors/index.ts";
import type { Cluster, TopicMetadata } from "./cluster.ts";
import { mustSucceed } from "./errors.ts";

/** A place in a partition to be looked up. */
export type OffsetPlace = "earliest" | "latest" | "newest-time" | { readonly timeMs: number };

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface FoundOffset {
  /** Undefined where no record is as new as that. */
  readonly offset: number | undefined;
  /** Of the record found; undefined where none was looked for. */
  readonly timestampMs: number | undefined;
}

const NO_REPLICA = -1;
const DELETE_MS_MAX = 30_000;

/** Where partitions begin and end, and moving their beginning. */
export class Offsets {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /**
   * Looks a place up in each of these partitions; undefined are all of the topic.
   * @throws LogError topic_not_found, partition_not_found
   */
  async find(
    topic: string,
    place: OffsetPlace,
    partitions?: readonly number[],
  ): Promise<Map<number, FoundOffset>> {
    return this.#cluster.retrying(async () => {
      const wanted = partitions ?? indexesOf(await this.#cluster.topic(topic));
      const found = new Map<number, FoundOffset>();
      for (const [leader, indexes] of await this.#byLeader(topic, wanted)) {
        await this.#findAt(leader, { topic, place, indexes }, found);
      }
      // In the order that was asked for, whatever the order of the leaders.
      return new Map(wanted.map((index) => [index, found.get(index) ?? nothingFound]));
    });
  }

  /**
   * Removes what is below an offset; undefined stands for the end. Answers the new starts.
   * @throws LogError offset_out_of_range, partition_not_found
   */
  async deleteBefore(
    topic: string,
    before: ReadonlyMap<number, number | undefined>,
  ): Promise<Map<number, number>> {
    return this.#cluster.retrying(async () => {
      const starts = new Map<number, number>();
      for (const [leader, indexes] of await this.#byLeader(topic, [...before.keys()])) {
        const connection = await this.#cluster.node(leader);
        const answer = await connection.request("DeleteRecords", {
          topics: [
            {
              name: topic,
              partitions: indexes.map((partitionIndex) => ({
                partitionIndex,
                offset: before.get(partitionIndex) ?? -1,
              })),
            },
          ],
          timeoutMs: DELETE_MS_MAX,
        });
        for (const result of answer.topics.flatMap((each) => each.partitions)) {
          mustSucceed(result.errorCode, `${topic}/${result.partitionIndex}`);
          starts.set(result.partitionIndex, result.lowWatermark);
        }
      }
      return starts;
    });
  }

  async #byLeader(topic: string, indexes: readonly number[]): Promise<Map<number, number[]>> {
    const byLeader = new Map<number, number[]>();
    for (const index of indexes) {
      const leader = await this.#cluster.leaderOf(topic, index);
      const group = byLeader.get(leader);
      if (group === undefined) byLeader.set(leader, [index]);
      else group.push(index);
    }
    return byLeader;
  }

  async #findAt(
    leader: number,
    wanted: {
      readonly topic: string;
      readonly place: OffsetPlace;
      readonly indexes: readonly number[];
    },
    found: Map<number, FoundOffset>,
  ): Promise<void> {
    const connection = await this.#cluster.node(leader);
    const timestamp = timestampOf(wanted.place);
    if (wanted.place === "newest-time" && (connection.versionOf("ListOffsets") ?? 0) < 7) {
      throw new LogError("unsupported", "the server cannot look up the newest timestamp");
    }
    const answer = await connection.request("ListOffsets", {
      replicaId: NO_REPLICA,
      topics: [
        {
          name: wanted.topic,
          partitions: wanted.indexes.map((partitionIndex) => ({ partitionIndex, timestamp })),
        },
      ],
      timeoutMs: DELETE_MS_MAX,
    });
    for (const result of answer.topics.flatMap((each) => each.partitions)) {
      mustSucceed(result.errorCode, `${wanted.topic}/${result.partitionIndex}`);
      found.set(result.partitionIndex, {
        offset: result.offset < 0 ? undefined : result.offset,
        timestampMs: result.timestamp < 0 ? undefined : result.timestamp,
      });
    }
  }
}

const nothingFound: FoundOffset = { offset: undefined, timestampMs: undefined };

function indexesOf({ partitions }: TopicMetadata): number[] {
  return partitions.map(({ index }) => index);
}

function timestampOf(place: OffsetPlace): number {
  if (place === "latest") return -1;
  if (place === "earliest") return -2;
  if (place === "newest-time") return -3;
  return place.timeMs;
}
