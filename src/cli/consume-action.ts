import { LogError } from "../errors/index.ts";
import type { PartitionRange, TopicPartition } from "../kafka/index.ts";
import type { ConsumeFlags, CountFlags, RecordFlags } from "./consume.ts";
import { consumeInGroup } from "./group-consume.ts";
import type { RecordRun } from "./place.ts";
import { extentsOf, mustHold, planRead } from "./resolve.ts";
import { RecordWriter, writerFor } from "./record-writer.ts";
import { type Session, withSession } from "./session.ts";

/** Prints what the ranges hold. */
export async function consume(topics: readonly string[], flags: ConsumeFlags): Promise<void> {
  if (flags.group !== undefined && flags.partition !== undefined) {
    throw new LogError("invalid_argument", "in a group it is the group that gives partitions out");
  }
  await withSession(flags, {}, async (session) => {
    const writer = writerFor(session, flags);
    writer.begin();
    try {
      if (flags.count === 0) return;
      if (flags.group === undefined) await consumeRanges(session, topics, flags, writer);
      else await consumeInGroup(session, { topics, groupId: flags.group, flags, writer });
    } finally {
      writer.end();
    }
  });
}

// oxlint-disable-next-line max-params
async function consumeRanges(
  session: Session,
  topics: readonly string[],
  flags: ConsumeFlags,
  writer: RecordWriter,
): Promise<void> {
  const ranges: PartitionRange[] = [];
  for (const topic of new Set(topics)) {
    const { range, partition: partitions, follow: follows } = flags;
    ranges.push(...(await planRead(session, { topic, range, partitions, follows })));
  }
  for await (const run of readRuns(session, ranges, flags.count)) {
    writer.run(run, flags.count);
    await session.output.drained();
    if (writer.count === flags.count) return;
  }
}

/** Prints the record at an offset. */
export async function get(at: TopicPartition, offset: number, flags: RecordFlags): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const { topic, partition } = at;
    const extents = await extentsOf(session, topic, [partition]);
    const what = `${topic}/${partition}`;
    mustHold(what, extents.get(partition), offset);
    const writer = writerFor(session, flags);
    writer.begin();
    const range = { topic, partition, start: offset, end: offset + 1 };
    for await (const run of readRuns(session, [range], 1)) writer.run(run, 1);
    if (writer.count === 0) {
      throw new LogError(
        "offset_out_of_range",
        `${what}: there is no record at ${offset} any more`,
      );
    }
    writer.end();
  });
}

/** Prints how many records the range holds. */
export async function count(topic: string, flags: CountFlags): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const { range, partition: partitions } = flags;
    const ranges = await planRead(session, { topic, range, partitions, follows: false });
    const total = flags.exact ? await countByReading(session, ranges) : countByOffsets(ranges);
    if (flags.output === "raw") session.output.text(`${total}\n`);
    else session.print([{ topic, count: total }], flags.output);
  });
}

function countByOffsets(ranges: readonly PartitionRange[]): number {
  let total = 0;
  for (const { start, end = start } of ranges) total += Math.max(0, end - start);
  return total;
}

async function countByReading(
  session: Session,
  ranges: readonly PartitionRange[],
): Promise<number> {
  let total = 0;
  const visit = (): boolean => {
    total++;
    return true;
  };
  for await (const run of readRuns(session, ranges, undefined)) run.each(visit);
  return total;
}

const FEW_RECORDS = 1_000;

export function readRuns(
  session: Pick<Session, "client" | "signal">,
  ranges: readonly PartitionRange[],
  countMax: number | undefined,
): AsyncGenerator<RecordRun, void, undefined> {
  const isFew = countMax !== undefined && countMax <= FEW_RECORDS;
  return session.client.read(ranges, { signal: session.signal, isFew });
}
