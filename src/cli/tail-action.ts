import type { PartitionRange } from "../kafka/index.ts";
import { readRuns } from "./consume-action.ts";
import type { TailFlags } from "./consume.ts";
import type { ShownRecord } from "./place.ts";
import type { RecordPrinter } from "./record-format.ts";
import { printerFor, RecordWriter } from "./record-writer.ts";
import { planRead } from "./resolve.ts";
import { type Session, withSession } from "./session.ts";

/** A printed record, and what puts it in its place. */
interface Printed {
  readonly timestamp: number;
  readonly partition: number;
  readonly offset: number;
  readonly bytes: Buffer;
}

/** Prints the newest records of all partitions together; then, where asked for, those that come. */
export async function tail(topic: string, flags: TailFlags): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const ranges = await planRead(session, {
      topic,
      range: { start: { kind: "last", count: flags.count }, end: undefined },
      partitions: flags.partition,
      follows: false,
    });
    const printer = printerFor(session, flags);
    const writer = new RecordWriter(printer, session.output);
    writer.begin();
    try {
      for (const { bytes } of await findNewest(session, ranges, { printer, count: flags.count })) {
        writer.printed(bytes);
      }
      await session.output.drained();
      if (flags.follow) await follow(session, ranges, writer);
    } finally {
      writer.end();
    }
  });
}

async function findNewest(
  session: Session,
  ranges: readonly PartitionRange[],
  { printer, count }: { readonly printer: RecordPrinter; readonly count: number },
): Promise<Printed[]> {
  let printed: Printed[] = [];
  for await (const run of readRuns(session, ranges, count)) {
    run.each((record) => {
      const { timestamp, offset } = record;
      const bytes = printedAlone(printer, run, record);
      printed.push({ timestamp, partition: run.partition, offset, bytes });
      return true;
    });
    // No more is kept than may be printed in the end.
    if (printed.length > 2 * count) printed = newest(printed, count);
  }
  return newest(printed, count);
}

function newest(printed: readonly Printed[], count: number): Printed[] {
  const sorted = printed.toSorted(
    (left, right) =>
      left.timestamp - right.timestamp ||
      left.partition - right.partition ||
      left.offset - right.offset,
  );
  return count === 0 ? [] : sorted.slice(-count);
}

function printedAlone(
  printer: RecordPrinter,
  source: { readonly topic: string; readonly partition: number },
  record: ShownRecord,
): Buffer {
  const parts: Uint8Array[] = [];
  const sink = {
    text: (text: string) => void parts.push(Buffer.from(text)),
    // A view of the run is joined, hence copied, before this returns.
    bytes: (bytes: Uint8Array) => void parts.push(bytes),
  };
  printer.record(sink, source, record);
  return Buffer.concat(parts);
}

async function follow(
  session: Session,
  ranges: readonly PartitionRange[],
  writer: RecordWriter,
): Promise<void> {
  const onward = ranges.map(({ topic, partition, start, end }) => ({
    topic,
    partition,
    start: end ?? start,
    end: undefined,
  }));
  for await (const run of readRuns(session, onward, undefined)) {
    writer.run(run);
    await session.output.drained();
  }
}
