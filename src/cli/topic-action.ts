import { LogError } from "../errors/index.ts";
import { parsePoint } from "../values/index.ts";
import { confirm } from "./ask.ts";
import { compactionRow, uncompactedPlan } from "./compaction-rows.ts";
import { paint, showsColor } from "./paint.ts";
import type { DescribedTopic } from "./place.ts";
import { type Extent, extentsOf, offsetsAt } from "./resolve.ts";
import { formatTable, type Row, standardFormat } from "./rows.ts";
import { counted, type Session, withSession } from "./session.ts";
import type {
  AlterTopicFlags,
  CompactTopicFlags,
  CreateTopicFlags,
  DeleteTopicFlags,
  DescribeTopicFlags,
  ListTopicsFlags,
  TruncateTopicFlags,
} from "./topic.ts";

export async function listTopics(flags: ListTopicsFlags): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const topics = (await session.client.topics.list()).filter(
      ({ isInternal }) => flags.internal || !isInternal,
    );
    const sizes = await session.client.topics.sizes(topics.map(({ name }) => name));
    const rows = topics.map(({ name, partitionCount }) => ({
      topic: name,
      partitions: partitionCount,
      bytes: sumOf(sizes.get(name)),
    }));
    session.print(rows, flags.output);
  });
}

export async function describeTopics(
  names: readonly string[],
  flags: DescribeTopicFlags,
): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const sizes = await session.client.topics.sizes(names);
    const details: TopicDetails[] = [];
    for (const name of names) details.push(await detailsOf(session, name, flags.all));
    const described = details.map((topic) => describedTopic(topic, sizes.get(topic.name)));
    const format = flags.output ?? standardFormat(session.output.isTerminal);
    if (format !== "table") session.print(described, format);
    else session.output.text(described.map(topicText).join("\n"));
  });
}

interface TopicDetails extends DescribedTopic {
  readonly extents: ReadonlyMap<number, Extent>;
  readonly settings: Readonly<Record<string, string>>;
}

async function detailsOf(
  { client }: Session,
  name: string,
  withStandards: boolean,
): Promise<TopicDetails> {
  const topic = await client.topics.describe(name);
  const extents = await extentsOf({ client }, name);
  const settings = (await client.topics.settings(name)).filter(
    ({ isOwn }) => isOwn || withStandards,
  );
  const byName = Object.fromEntries(settings.map((each) => [each.name, each.value ?? ""]));
  return { ...topic, extents, settings: byName };
}

interface TopicRow {
  readonly [name: string]: Row[string];
  readonly topic: string;
  readonly topicId: string;
  readonly isInternal: boolean;
  readonly settings: Readonly<Record<string, string>>;
  readonly partitions: readonly Row[];
}

function describedTopic(
  topic: TopicDetails,
  sizes: ReadonlyMap<number, number> | undefined,
): TopicRow {
  const partitions = topic.partitions.map(({ index, leader, leaderEpoch }) => {
    const { start, end } = topic.extents.get(index) ?? { start: 0, end: 0 };
    return {
      partition: index,
      startOffset: start,
      endOffset: end,
      records: end - start,
      bytes: sizes?.get(index),
      leader,
      leaderEpoch,
    };
  });
  const { name, topicId, isInternal, settings } = topic;
  return { topic: name, topicId, isInternal, settings, partitions };
}

function topicText(topic: TopicRow): string {
  const hasColor = showsColor(process.stdout);
  const settings = Object.entries(topic.settings).map(([name, value]) => `  ${name}=${value}\n`);
  const head = `${paint(topic.topic, "bold", hasColor)}  ${topic.topicId}\n`;
  return `${head}${settings.join("")}${formatTable(topic.partitions, hasColor)}`;
}

export async function createTopics(
  names: readonly string[],
  flags: CreateTopicFlags,
): Promise<void> {
  await withSession(flags, { mayCreate: true }, async (session) => {
    const settings = new Map(flags.set);
    const rows: Row[] = [];
    try {
      for (const name of names) rows.push(await createTopic(session, name, flags, settings));
    } finally {
      session.print(rows, flags.output);
    }
  });
}

// oxlint-disable-next-line max-params
async function createTopic(
  { client }: Session,
  name: string,
  flags: CreateTopicFlags,
  settings: ReadonlyMap<string, string>,
): Promise<Row> {
  let isNew = true;
  try {
    await client.topics.create({ name, partitionCount: flags.partitions, settings });
  } catch (thrown) {
    const exists = thrown instanceof LogError && thrown.code === "topic_exists";
    if (!exists || !flags.ifNotExists) throw thrown;
    isNew = false;
  }
  const { partitions } = await client.topics.describe(name);
  return { topic: name, partitions: partitions.length, isNew };
}

export async function alterTopic(name: string, flags: AlterTopicFlags): Promise<void> {
  const hasSettings = flags.set.length > 0 || flags.unset.length > 0;
  if (!hasSettings && flags.partitions === undefined) {
    throw new LogError("invalid_argument", "nothing to change: --partitions, --set or --unset");
  }
  await withSession(flags, {}, async (session) => {
    const { topics } = session.client;
    // So that a topic that is not there is told as such, whatever is to be changed.
    await topics.describe(name);
    if (hasSettings) await topics.alter(name, { set: new Map(flags.set), remove: flags.unset });
    if (flags.partitions !== undefined) await topics.grow(name, flags.partitions);
    const { partitions } = await topics.describe(name);
    const own = (await topics.settings(name)).filter(({ isOwn }) => isOwn);
    const settings = Object.fromEntries(own.map((each) => [each.name, each.value ?? ""]));
    session.print([{ topic: name, partitions: partitions.length, settings }], flags.output);
  });
}

export async function deleteTopics(
  names: readonly string[],
  flags: DeleteTopicFlags,
): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const plans: {
      readonly topic: string;
      readonly partitions: number;
      readonly records: number;
    }[] = [];
    for (const name of new Set(names)) {
      const { partitions } = await session.client.topics.describe(name);
      const records = recordsIn(await extentsOf(session, name));
      plans.push({ topic: name, partitions: partitions.length, records });
    }
    if (flags.dryRun) {
      session.say("Would be deleted:");
      session.print(plans, flags.output);
      return;
    }
    const lines = plans.map(
      ({ topic, partitions, records }) =>
        `  ${topic}: ${counted(partitions, "partition")}, ${counted(records, "record")}`,
    );
    await confirm(session, `To be deleted, for good:\n${lines.join("\n")}`, flags.yes);
    const deleted: Row[] = [];
    try {
      for (const plan of plans) {
        await session.client.topics.delete(plan.topic);
        deleted.push(plan);
      }
    } finally {
      session.print(deleted, flags.output);
    }
  });
}

export async function truncateTopic(name: string, flags: TruncateTopicFlags): Promise<void> {
  const point = parsePoint(flags.before);
  await withSession(flags, {}, async (session) => {
    const extents = await extentsOf(session, name, flags.partition);
    const before = await offsetsAt(session, name, point, extents);
    const plans = [...extents].map(([partition, { start, end }]) => {
      const first = before.get(partition) ?? start;
      return { topic: name, partition, records: first - start, startOffset: first, endOffset: end };
    });
    if (plans.every(({ records }) => records === 0)) {
      session.say("There is nothing to remove.");
      session.print(plans, flags.output);
      return;
    }
    if (flags.dryRun) {
      session.say("Would be removed:");
      session.print(plans, flags.output);
      return;
    }
    const lines = plans.map(
      ({ partition, records, startOffset }) =>
        `  ${name}/${partition}: ${counted(records, "record")}, all before offset ${startOffset}`,
    );
    await confirm(session, `To be removed, for good:\n${lines.join("\n")}`, flags.yes);
    await session.client.offsets.deleteBefore(name, before);
    session.print(plans, flags.output);
  });
}

export async function compactTopic(name: string, flags: CompactTopicFlags): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const { topics } = session.client;
    const settings = await topics.settings(name);
    const policy = settings.find((setting) => setting.name === "cleanup.policy")?.value ?? "";
    if (!policy.includes("compact")) await confirm(session, uncompactedPlan([name]), flags.yes);
    const compacted = await topics.compact(name, session.signal);
    session.print(
      compacted.map((report) => compactionRow(name, report)),
      flags.output,
    );
  });
}

function recordsIn(extents: ReadonlyMap<number, Extent>): number {
  let records = 0;
  for (const { start, end } of extents.values()) records += end - start;
  return records;
}

function sumOf(sizes: ReadonlyMap<number, number> | undefined): number | undefined {
  if (sizes === undefined) return undefined;
  let sum = 0;
  for (const size of sizes.values()) sum += size;
  return sum;
}
