import { LogError } from "../errors/index.ts";
import type { CommittedPosition, GroupDetails, TopicPartition } from "../kafka/index.ts";
import { parsePoint } from "../values/index.ts";
import { confirm } from "./ask.ts";
import type { DeleteGroupFlags, GroupFlags, SeekGroupFlags } from "./group.ts";
import { paint, showsColor } from "./paint.ts";
import { type Extent, extentsOf, offsetsAt } from "./resolve.ts";
import { formatTable, type Row, standardFormat } from "./rows.ts";
import { counted, type Session, withSession } from "./session.ts";

export async function listGroups(flags: GroupFlags): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const groups = await session.client.groups.list();
    const rows = groups.map(({ groupId, state, protocolType }) => ({
      group: groupId,
      state,
      protocolType,
    }));
    session.print(rows, flags.output);
  });
}

export async function describeGroups(
  groupIds: readonly string[],
  flags: GroupFlags,
): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const groups: GroupDetails[] = [];
    for (const groupId of groupIds) groups.push(await session.client.groups.describe(groupId));
    const format = flags.output ?? standardFormat(session.output.isTerminal);
    if (format === "table") session.output.text(groups.map(groupText).join("\n"));
    else session.print(groups.map(describedGroup), format);
  });
}

function describedGroup(group: GroupDetails): Row {
  return {
    group: group.groupId,
    state: group.state,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    members: group.members.map((member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      assignment: member.assignment.map(({ topic, partition }) => ({ topic, partition })),
    })),
  };
}

function groupText(group: GroupDetails): string {
  const hasColor = showsColor(process.stdout);
  const protocol = [group.protocolType, group.protocolName].filter((name) => name !== "").join(" ");
  const title = [paint(group.groupId, "bold", hasColor), group.state, protocol];
  const members = group.members.map((member) => ({
    member: member.memberId,
    client: member.clientId,
    host: member.clientHost,
    partitions: member.assignment.map(nameOf).join(" "),
  }));
  return `${title.filter((part) => part !== "").join("  ")}\n${formatTable(members, hasColor)}`;
}

export async function groupLag(groupId: string, flags: GroupFlags): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const group = await session.client.groups.describe(groupId);
    const positions = await session.client.groups.positions(groupId);
    const owners = new Map<string, string>();
    for (const { memberId, assignment } of group.members) {
      for (const part of assignment) owners.set(nameOf(part), memberId);
    }
    session.print(await lagRows(session, groupId, positions, owners), flags.output);
  });
}

// oxlint-disable-next-line max-params
async function lagRows(
  session: Session,
  groupId: string,
  positions: readonly CommittedPosition[],
  owners: ReadonlyMap<string, string>,
): Promise<Row[]> {
  const rows: Row[] = [];
  const extents = new Map<string, ReadonlyMap<number, Extent>>();
  for (const topic of new Set(positions.map((position) => position.topic))) {
    extents.set(topic, await extentsOrNone(session, topic));
  }
  for (const position of positions) {
    const { topic, partition, offset } = position;
    const extent = extents.get(topic)?.get(partition);
    rows.push({
      group: groupId,
      topic,
      partition,
      offset,
      endOffset: extent?.end,
      // What is gone can not be read any more.
      lag: extent === undefined ? undefined : extent.end - Math.max(offset, extent.start),
      member: owners.get(nameOf(position)),
    });
  }
  return rows;
}

/** A group may have committed for a topic that was deleted since. */
async function extentsOrNone(
  session: Session,
  topic: string,
): Promise<ReadonlyMap<number, Extent>> {
  try {
    return await extentsOf(session, topic);
  } catch (thrown) {
    if (LogError.from(thrown).code === "topic_not_found") return new Map();
    throw thrown;
  }
}

export async function seekGroup(
  groupId: string,
  topic: string,
  flags: SeekGroupFlags,
): Promise<void> {
  const point = parsePoint(flags.to);
  await withSession(flags, {}, async (session) => {
    await mustHaveNoMembers(session, groupId);
    const extents = await extentsOf(session, topic, flags.partition);
    const targets = await offsetsAt(session, topic, point, extents);
    const before = await session.client.groups.positions(groupId);
    const rows = [...targets].map(([partition, offset]) => ({
      group: groupId,
      topic,
      partition,
      before: before.find((at) => at.topic === topic && at.partition === partition)?.offset,
      offset,
    }));
    if (flags.dryRun) {
      session.say("Would be moved:");
      session.print(rows, flags.output);
      return;
    }
    const lines = rows.map(
      ({ partition, before: from, offset }) =>
        `  ${topic}/${partition}: from ${from ?? "nowhere"} to ${offset}`,
    );
    await confirm(session, `Group ${groupId} to be moved:\n${lines.join("\n")}`, flags.yes);
    await session.client.groups.commit(groupId, rows);
    session.print(rows, flags.output);
  });
}

/** A group that is not there is made by what is committed for it. */
async function mustHaveNoMembers(session: Session, groupId: string): Promise<void> {
  try {
    const { members } = await session.client.groups.describe(groupId);
    if (members.length === 0) return;
    const noun = members.length === 1 ? "a member" : `${members.length} members`;
    const why = `group ${groupId} has ${noun}: stop them first, or they would commit over it`;
    throw new LogError("group_not_empty", why);
  } catch (thrown) {
    if (LogError.from(thrown).code !== "group_not_found") throw thrown;
  }
}

export async function deleteGroups(
  groupIds: readonly string[],
  flags: DeleteGroupFlags,
): Promise<void> {
  await withSession(flags, {}, async (session) => {
    const plans: { readonly group: string; readonly state: string; readonly partitions: number }[] =
      [];
    for (const groupId of new Set(groupIds)) {
      const { state } = await session.client.groups.describe(groupId);
      const positions = await session.client.groups.positions(groupId);
      plans.push({ group: groupId, state, partitions: positions.length });
    }
    if (flags.dryRun) {
      session.say("Would be deleted:");
      session.print(plans, flags.output);
      return;
    }
    const lines = plans.map(
      ({ group, partitions }) => `  ${group}: positions in ${counted(partitions, "partition")}`,
    );
    await confirm(session, `To be deleted, for good:\n${lines.join("\n")}`, flags.yes);
    const deleted: Row[] = [];
    try {
      for (const plan of plans) {
        await session.client.groups.delete(plan.group);
        deleted.push(plan);
      }
    } finally {
      session.print(deleted, flags.output);
    }
  });
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
