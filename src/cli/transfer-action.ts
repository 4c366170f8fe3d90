import { LogError } from "../errors/index.ts";
import { readRuns } from "./consume-action.ts";
import { writeLines } from "./produce-action.ts";
import { lineOfRecord, recordOfLine } from "./record-line.ts";
import { planRead } from "./resolve.ts";
import { counted, type Session, withSession } from "./session.ts";
import type { ExportTopicFlags, ImportTopicFlags } from "./topic.ts";

/** Prints the records of a topic as lines of JSON from which `importTopic` makes them again. */
export async function exportTopic(topic: string, flags: ExportTopicFlags): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const { range, partition: partitions } = flags;
    const ranges = await planRead(session, { topic, range, partitions, follows: false });
    const { output } = session;
    let count = 0;
    for await (const run of readRuns(session, ranges, undefined)) {
      run.each((record) => {
        output.text(`${lineOfRecord(run.partition, record)}\n`);
        count++;
        return true;
      });
      await output.drained();
    }
    session.say(`${counted(count, "record")} of ${topic}`);
  });
}

/** Appends what the lines of files, or of stdin, stand for. */
export async function importTopic(
  topic: string,
  files: readonly string[],
  flags: ImportTopicFlags,
): Promise<void> {
  await withSession(flags, { mayCreate: flags.partitions !== undefined }, async (session) => {
    await ensureTopic(session, topic, flags.partitions);
    const makeRecord = (line: Uint8Array): ReturnType<typeof recordOfLine> => {
      const record = recordOfLine(line);
      return flags.replace ? { ...record, partition: undefined } : record;
    };
    await writeLines(session, { topic, files, flags: { ...flags, acks: "all" }, makeRecord });
  });
}

async function ensureTopic(
  { client }: Session,
  topic: string,
  partitionCount: number | undefined,
): Promise<void> {
  try {
    await client.topics.describe(topic);
  } catch (thrown) {
    const isMissing = thrown instanceof LogError && thrown.code === "topic_not_found";
    if (!isMissing || partitionCount === undefined) throw thrown;
    await client.topics.create({ name: topic, partitionCount, settings: new Map() });
  }
}
