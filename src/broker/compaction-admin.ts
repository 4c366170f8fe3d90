import type { Env } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import type { Partition, Partitions } from "../partitions/index.ts";
import type { CompactedPartition, CompactTopicOptions } from "../values/index.ts";
import type { TopicRef } from "./answers.ts";
import type { BrokerConfig } from "./broker-config.ts";
import type { PartitionFinder } from "./partition-finder.ts";

/** Of the thread that also serves clients, what compaction in the background takes at most. */
const backgroundThreadShareMax = 0.5;

/** Partitions looked at in one turn of the event loop. */
const partitionsPerTurn = 500;

/** Partitions compacted before the background pauses: each takes a checkpoint, however small it is. */
const partitionsPerLook = 100;

interface CompactionParts {
  readonly env: Env;
  readonly partitions: Partitions;
  readonly find: PartitionFinder;
  readonly config: BrokerConfig;
}

/** Compacts topics: when somebody asks, and by itself those whose `cleanup.policy` says so. */
export class CompactionAdmin {
  readonly #parts: CompactionParts;
  readonly #closing = new AbortController();
  /** Not tried again before the next start: what is damaged stays so, and was reported once. */
  readonly #damaged = new WeakSet<Partition>();

  constructor(parts: CompactionParts) {
    this.#parts = parts;
  }

  /** Ends what runs in the background. */
  close(): void {
    this.#closing.abort();
  }

  /** @throws LogError topic_not_found, partition_not_found, not_allowed, and as the store's compaction. */
  async compactTopic(ref: TopicRef, options: CompactTopicOptions): Promise<CompactedPartition[]> {
    const { find, config } = this.#parts;
    const topic = find.topic(ref);
    if (topic.isInternal) {
      throw new LogError("not_allowed", `topic "${topic.name}" is internal: the broker tidies it`);
    }
    const { partition: index, signal, progress } = options;
    const chosen = index === undefined ? topic.partitions : [find.partition(ref, index)];
    const keyBytesMax = config.number("log.cleaner.dedupe.buffer.size");
    const compacted: CompactedPartition[] = [];
    for (const partition of chosen) {
      const report = await partition.compact({
        keyBytesMax,
        signal,
        progress: progress && ((reached) => progress({ ...reached, partition: partition.index })),
      });
      compacted.push({ partition: partition.index, ...report });
    }
    return compacted;
  }

  /** Compacts what is due, within the limits of work in the background. */
  async compactDue(): Promise<void> {
    const { partitions, config } = this.#parts;
    if (!config.boolean("log.cleaner.enable")) return;
    let looked = 0;
    let compacted = 0;
    // A copy, because topics come and go meanwhile. Those compacted now are not due the next time.
    for (const partition of Array.from(partitions.all())) {
      if (this.#closing.signal.aborted || compacted === partitionsPerLook) return;
      if (++looked % partitionsPerTurn === 0) await partitions.turn();
      if (this.#damaged.has(partition)) continue;
      try {
        if (await this.#compactIfDue(partition)) compacted++;
      } catch (thrown) {
        if (this.#closing.signal.aborted) return;
        const error = LogError.from(thrown);
        if (error.code !== "data_corrupt") throw error;
        this.#damaged.add(partition);
        const { topicId, index } = partition;
        this.#parts.env.events.error("a partition is damaged and will not be compacted", {
          topicId,
          partition: index,
          error: error.message,
        });
      }
    }
  }

  async #compactIfDue(partition: Partition): Promise<boolean> {
    const { env, config } = this.#parts;
    if (!(await partition.isCompactionDue())) return false;
    const report = await partition.compact({
      keyBytesMax: config.number("log.cleaner.dedupe.buffer.size"),
      signal: this.#closing.signal,
      limits: {
        bytesPerSecondMax: config.number("log.cleaner.io.max.bytes.per.second"),
        threadShareMax: backgroundThreadShareMax,
      },
    });
    env.events.debug("compacted a partition", {
      topicId: partition.topicId,
      partition: partition.index,
      recordsRemoved: report.recordsRemoved,
      bytesRead: report.bytesRead,
      bytesWritten: report.bytesWritten,
    });
    return true;
  }
}
