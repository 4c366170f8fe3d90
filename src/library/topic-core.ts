/** What all handles on one topic share: its partitions, what is being appended, where keys are. */
import type { OpenTopic } from "../broker/index.ts";
import { LogError } from "../errors/index.ts";
import type { Partition } from "../partitions/index.ts";
import type { Codec } from "../records/index.ts";
import { partitionOfKey } from "../values/index.ts";
import { KeyLookup } from "./key-lookup.ts";
import { PartitionWriter, type WriteTurn } from "./partition-writer.ts";

interface Lane {
  readonly partition: Partition;
  readonly writer: PartitionWriter;
  readonly keys: KeyLookup;
}

export class TopicCore {
  readonly name: string;
  readonly #topic: OpenTopic;
  readonly #turn: WriteTurn;
  readonly #codec: Codec;
  readonly #lanes: Lane[] = [];
  /** The partition of records without a key, until the turn ends. */
  #rotation = 0;

  constructor(topic: OpenTopic, turn: WriteTurn, codec: Codec) {
    this.name = topic.name;
    this.#topic = topic;
    this.#turn = turn;
    this.#codec = codec;
  }

  get topicId(): string {
    return this.#topic.topicId;
  }

  get partitions(): readonly Partition[] {
    return this.#topic.partitions;
  }

  /** @throws LogError partition_not_found. */
  lane(index: number): Lane {
    const known = this.#lanes[index];
    if (known !== undefined) return known;
    const partition = this.partitions[index];
    if (partition === undefined) {
      throw new LogError(
        "partition_not_found",
        `${this.name} has ${this.partitions.length} partitions, numbered from 0; there is no ${index}`,
      );
    }
    const name = `${this.name}/${index}`;
    const writer = new PartitionWriter(partition, name, this.#turn, this.#codec);
    const lane = { partition, writer, keys: new KeyLookup(partition) };
    this.#lanes[index] = lane;
    return lane;
  }

  /** Where a record goes: by its key as Kafka's clients place it, else from partition to partition. */
  partitionFor(key: Uint8Array | undefined): number {
    const count = this.partitions.length;
    if (count === 1) return 0;
    if (key !== undefined) return partitionOfKey(key, count);
    const index = this.#rotation % count;
    // A partition keeps what comes until it has gathered a batch's worth, so that batches are not thin.
    if (this.lane(index).writer.isGathering) return index;
    this.#rotation = (index + 1) % count;
    return this.#rotation;
  }

  refuseIfClosed(): void {
    const reason = this.partitions[0]?.closeReason;
    if (reason !== undefined) throw reason;
  }
}
