import { invariant, LogError } from "../errors/index.ts";
import { producerIdBlockMax } from "../metadata/index.ts";
import type { OffsetAndTime, Partition } from "../partitions/index.ts";
import { faultOf } from "./answers.ts";
import type { MetadataLog } from "./metadata-log.ts";
import type { PartitionFinder } from "./partition-finder.ts";
import type {
  DeletedRecords,
  DeleteRecordsItem,
  EpochAnswer,
  EpochQuery,
  InitProducerIdRequest,
  ListedOffset,
  OffsetQuery,
  ProducerIdentity,
  ProducerQuery,
  ProducersAnswer,
} from "./record-verbs.ts";

/** Producer ids taken at once: one metadata entry for so many producers. */
const producerIdBlock = 1_000;
invariant(producerIdBlock <= producerIdBlockMax, "a block is as large as blocks may be");

const noOffset: ListedOffset = {
  offset: undefined,
  timestampMs: undefined,
  leaderEpoch: undefined,
};

/** The verbs about records that do not read or write them: offsets, epochs, producers. */
export class RecordAdmin {
  readonly #find: PartitionFinder;
  readonly #metadata: MetadataLog;
  /** Ids of the block that are left, from `#nextProducerId` up to `#endProducerId`. */
  #nextProducerId = 0;
  #endProducerId = 0;
  #allocating: Promise<void> | undefined;

  constructor(find: PartitionFinder, metadata: MetadataLog) {
    this.#find = find;
    this.#metadata = metadata;
  }

  async listOffsets(queries: readonly OffsetQuery[]): Promise<ListedOffset[]> {
    const answers: ListedOffset[] = [];
    for (const query of queries) answers.push(await this.#listOffset(query));
    return answers;
  }

  async deleteRecords(items: readonly DeleteRecordsItem[]): Promise<DeletedRecords[]> {
    // Together, so that all of them are in one frame.
    const deleting = items.map(async ({ topic, partition: index, before }) => {
      try {
        const partition = this.#find.partition(topic, index);
        this.#find.mustBeTrimmable(partition, topic);
        return { logStartOffset: await partition.deleteRecords(before) };
      } catch (thrown) {
        return { logStartOffset: undefined, ...faultOf(thrown) };
      }
    });
    return Promise.all(deleting);
  }

  offsetsForLeaderEpochs(queries: readonly EpochQuery[]): EpochAnswer[] {
    return queries.map((query) => {
      try {
        const partition = this.#find.partition(query.topic, query.partition, query);
        const end = partition.endOffsetForEpoch(query.leaderEpoch);
        return { leaderEpoch: end?.leaderEpoch, endOffset: end?.endOffset };
      } catch (thrown) {
        return { leaderEpoch: undefined, endOffset: undefined, ...faultOf(thrown) };
      }
    });
  }

  describeProducers(items: readonly ProducerQuery[]): ProducersAnswer[] {
    return items.map(({ topic, partition }) => {
      try {
        return { producers: this.#find.partition(topic, partition).activeProducers() };
      } catch (thrown) {
        return { producers: [], ...faultOf(thrown) };
      }
    });
  }

  async initProducerId(request: InitProducerIdRequest): Promise<ProducerIdentity> {
    if (request.transactionalId !== undefined) {
      throw new LogError(
        "unsupported",
        `transactional id "${request.transactionalId}": transactions are not supported yet; use an idempotent producer without one`,
      );
    }
    // Whatever the producer had, a new id is always right: its sequence begins anew.
    while (this.#nextProducerId >= this.#endProducerId) {
      this.#allocating ??= this.#allocate().finally(() => {
        this.#allocating = undefined;
      });
      await this.#allocating;
    }
    return { producerId: this.#nextProducerId++, producerEpoch: 0 };
  }

  async #allocate(): Promise<void> {
    const command = { kind: "allocate-producer-ids", count: producerIdBlock } as const;
    const applied = await this.#metadata.proposeOne(command);
    if (applied.kind === "rejected") throw new LogError(applied.code, applied.message);
    invariant(applied.kind === "producer-ids-allocated", "a command is answered in its kind");
    this.#nextProducerId = applied.firstProducerId;
    this.#endProducerId = applied.firstProducerId + applied.count;
  }

  async #listOffset(query: OffsetQuery): Promise<ListedOffset> {
    try {
      const partition = this.#find.partition(query.topic, query.partition, query);
      return await offsetOf(partition, query);
    } catch (thrown) {
      return { ...noOffset, ...faultOf(thrown) };
    }
  }
}

async function offsetOf(partition: Partition, { spec }: OffsetQuery): Promise<ListedOffset> {
  if (spec.kind === "time") return listed(await partition.offsetForTime(spec.timestampMs));
  if (spec.kind === "max-timestamp") return listed(await partition.newestRecord());
  if (spec.kind === "latest") {
    const { lastStableOffset: offset, latestEpoch: leaderEpoch } = partition;
    return { ...noOffset, offset, leaderEpoch };
  }
  // The earliest that there is and the earliest that is stored here are one and the same.
  const offset = partition.logStartOffset;
  return { ...noOffset, offset, leaderEpoch: partition.epochOf(offset) };
}

function listed(found: OffsetAndTime | undefined): ListedOffset {
  return found === undefined ? noOffset : { ...found };
}
