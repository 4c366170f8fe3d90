/** Appending and reading, as the calls of every protocol ask for it. */
import type {
  Broker,
  OpenTopic,
  PartitionSource,
  StoredRecord,
  TopicWriter,
} from "../../broker/index.ts";
import { LogError } from "../../errors/index.ts";
import type { Partition } from "../../partitions/index.ts";
import type { AppendCall, AppendedRun } from "./append-messages.ts";

/** @throws LogError topic_not_found. */
export function topicOf(broker: Broker, name: string): OpenTopic {
  const topic = broker.topicNamed(name);
  if (topic !== undefined) return topic;
  throw new LogError("topic_not_found", `there is no topic "${name}"`);
}

/**
 * Appends the records of one call; `topic` is the call's. Whatever is refused without a look at the
 * log is refused before this returns.
 * @throws LogError, or rejects with one, as the verbs of the broker, and invalid_argument.
 */
// hot: once for every append; bench/http.
export function appendRecords(
  broker: Broker,
  topic: OpenTopic,
  call: AppendCall,
): Promise<AppendedRun[]> {
  const writer = broker.writer(topic);
  const { records, conditions, producer } = call;
  const [first] = records;
  if (first === undefined) {
    throw new LogError("invalid_argument", `${topic.name}: there is no record to append`);
  }
  if (conditions.expectedLastOffset !== undefined && records.length > 1) {
    throw new LogError(
      "invalid_argument",
      `${topic.name}: ${records.length} records, and the last offset of a key can be expected for one`,
    );
  }
  if (producer !== undefined) {
    const partition = call.partition ?? writer.onlyPartition("a producer's sequence");
    const appending = writer.appendOnce(partition, records, { ...conditions, producer });
    return appending.then((offset) => [{ partition, offset, count: records.length }]);
  }
  if (records.length > 1) return appendMany(writer, call);
  const partition = call.partition ?? placeOf(writer, first, conditions.expectedOffset);
  return writer
    .append(partition, first, conditions)
    .then((offset) => [{ partition, offset, count: 1 }]);
}

function placeOf(
  writer: TopicWriter,
  { key }: StoredRecord,
  expectedOffset: number | undefined,
): number {
  return key === undefined && expectedOffset !== undefined
    ? writer.onlyPartition("expectedOffset")
    : writer.partitionFor(key);
}

async function appendMany(writer: TopicWriter, call: AppendCall): Promise<AppendedRun[]> {
  const { records, conditions } = call;
  const { expectedOffset } = conditions;
  const only = writer.partitions.length === 1 ? 0 : undefined;
  const partition =
    call.partition ??
    (expectedOffset === undefined ? only : writer.onlyPartition("expectedOffset"));
  if (partition !== undefined) {
    const offset = await writer.appendAll(partition, records, { expectedOffset });
    return [{ partition, offset, count: records.length }];
  }
  return appendPlaced(writer, records);
}

/** Every record to the partition of its key; those without one stay together. */
async function appendPlaced(
  writer: TopicWriter,
  records: readonly StoredRecord[],
): Promise<AppendedRun[]> {
  const unkeyed = writer.partitionFor(undefined);
  const groups = new Map<number, StoredRecord[]>();
  const places = records.map((record) => {
    const partition = record.key === undefined ? unkeyed : writer.partitionFor(record.key);
    const group = groups.get(partition) ?? [];
    groups.set(partition, group);
    return { partition, index: group.push(record) - 1 };
  });
  const bases = new Map<number, number>();
  await Promise.all(
    Array.from(groups, async ([partition, group]) => {
      bases.set(partition, await writer.appendAll(partition, group));
    }),
  );
  const runs: AppendedRun[] = [];
  for (const { partition, index } of places) {
    addRun(runs, { partition, offset: (bases.get(partition) ?? 0) + index, count: 1 });
  }
  return runs;
}

/** Adds a run, as a part of the last one where it goes on with that. */
export function addRun(runs: AppendedRun[], run: AppendedRun): void {
  const last = runs.at(-1);
  if (last?.partition === run.partition && last.offset + last.count === run.offset) {
    runs[runs.length - 1] = { ...last, count: last.count + run.count };
  } else {
    runs.push(run);
  }
}

/** Those of the topic that are named, or all. @throws LogError partition_not_found. */
export function partitionsOf(
  broker: Broker,
  topic: OpenTopic,
  indexes: readonly number[],
): readonly Partition[] {
  const writer = broker.writer(topic);
  if (indexes.length === 0) return topic.partitions;
  return [...new Set(indexes)].map((index) => writer.lane(index).partition);
}

export function positionsOf(
  sources: readonly PartitionSource[],
): { readonly partition: number; readonly offset: number }[] {
  return sources.map(({ partition, next }) => ({ partition: partition.index, offset: next }));
}
