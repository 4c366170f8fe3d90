import assert from "node:assert/strict";
import { test } from "node:test";

import { BrokerWorld, fillingDisk } from "./broker-world.test.ts";
import type {
  CommitOffsetsRequest,
  JoinedGroup,
  JoinGroupRequest,
  SyncedGroup,
} from "./group-verbs.ts";
import type { ItemOutcome } from "./answers.ts";

const groupId = "readers";
const client = { clientId: "test", clientHost: "10.0.0.1" };
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (value: Uint8Array): string => new TextDecoder().decode(value);

function join(
  { broker }: BrokerWorld,
  memberId?: string,
  more: Partial<JoinGroupRequest> = {},
): Promise<JoinedGroup> {
  return broker.joinGroup({
    groupId,
    memberId,
    groupInstanceId: undefined,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: bytes("subscription"), topics: ["orders"] }],
    sessionTimeoutMs: 30_000,
    rebalanceTimeoutMs: 60_000,
    requiresKnownMemberId: false,
    supportsSkippingAssignment: true,
    client,
    ...more,
  });
}

function sync(
  { broker }: BrokerWorld,
  { memberId, generationId }: JoinedGroup,
  assignments: Readonly<Record<string, string>> = {},
): Promise<SyncedGroup> {
  return broker.syncGroup({
    groupId,
    generationId,
    memberId,
    groupInstanceId: undefined,
    protocolType: "consumer",
    protocolName: "range",
    assignments: Object.entries(assignments).map(([id, text]) => ({
      memberId: id,
      assignment: bytes(text),
    })),
  });
}

/** A group with one member, which was assigned something. */
async function joined(world: BrokerWorld): Promise<JoinedGroup> {
  const member = await world.run(join(world));
  assert.equal(member.errorCode, undefined, member.errorMessage);
  await world.run(sync(world, member, { [member.memberId]: "all of it" }));
  return member;
}

async function commit(
  world: BrokerWorld,
  offset: number,
  more: Partial<CommitOffsetsRequest> = {},
): Promise<ItemOutcome[]> {
  return world.run(
    world.broker.commitOffsets({
      groupId,
      generationId: undefined,
      memberId: undefined,
      groupInstanceId: undefined,
      offsets: [
        {
          topic: { name: "orders" },
          partition: 0,
          offset,
          leaderEpoch: 1,
          metadata: "m",
        },
      ],
      ...more,
    }),
  );
}

async function committed(world: BrokerWorld, partition = 0): Promise<number | undefined> {
  const { offsets } = await world.run(
    world.broker.fetchOffsets({
      groupId,
      partitions: [{ topic: { name: "orders" }, partition }],
    }),
  );
  return offsets[0]?.offset;
}

async function stateOf(world: BrokerWorld): Promise<string | undefined> {
  const [described] = await world.run(world.broker.describeGroups([groupId]));
  return described?.state;
}

async function worldWithTopic(
  options: Parameters<typeof BrokerWorld.open>[0] = {},
): Promise<BrokerWorld> {
  const world = await BrokerWorld.open(options);
  await world.createTopic("orders", 2);
  return world;
}

test("members come together, the leader assigns, and a restart finds the group as it was", async () => {
  const world = await worldWithTopic();
  const first = await joined(world);
  assert.equal(first.leaderId, first.memberId);
  // A second member makes the first join again.
  const second = join(world);
  await world.pass(1);
  const heartbeat = await world.run(
    world.broker.heartbeat({
      groupId,
      generationId: first.generationId,
      memberId: first.memberId,
      groupInstanceId: undefined,
    }),
  );
  assert.equal(heartbeat.errorCode, "rebalance_in_progress");
  const [leader, follower] = await world.run(Promise.all([join(world, first.memberId), second]));
  assert.equal(leader.members.length, 2);
  assert.equal(follower.members.length, 0);
  const assignments = { [leader.memberId]: "one half", [follower.memberId]: "the other" };
  const [mine, other] = await world.run(
    Promise.all([sync(world, leader, assignments), sync(world, follower)]),
  );
  assert.deepEqual([textOf(mine.assignment), textOf(other.assignment)], ["one half", "the other"]);
  const reopened = await world.killAndOpen();
  assert.equal(await stateOf(reopened), "Stable");
  const alive = await reopened.run(
    reopened.broker.heartbeat({
      groupId,
      generationId: follower.generationId,
      memberId: follower.memberId,
      groupInstanceId: undefined,
    }),
  );
  assert.deepEqual(alive, {});
});

test("a member without an id is given one and comes back with it", async () => {
  const world = await worldWithTopic();
  const more = { requiresKnownMemberId: true };
  const refused = await world.run(join(world, undefined, more));
  assert.equal(refused.errorCode, "member_id_required");
  assert.notEqual(refused.memberId, "");
  const taken = await world.run(join(world, refused.memberId, more));
  assert.equal(taken.errorCode, undefined);
  assert.equal(taken.memberId, refused.memberId);
});

test("committed offsets are there after a kill, and after a checkpoint and a kill", async () => {
  let world = await worldWithTopic();
  assert.deepEqual(await commit(world, 5), [{}]);
  world = await world.killAndOpen();
  assert.equal(await committed(world), 5);
  assert.deepEqual(await commit(world, 9), [{}]);
  await world.checkpoint();
  assert.deepEqual(await commit(world, 11), [{}]);
  world = await world.killAndOpen();
  assert.equal(await committed(world), 11);
  assert.equal(await committed(world, 1), undefined);
  const all = await world.run(world.broker.fetchOffsets({ groupId, partitions: undefined }));
  assert.deepEqual(
    all.offsets.map(({ topic, partition, offset, leaderEpoch, metadata }) => [
      topic,
      partition,
      offset,
      leaderEpoch,
      metadata,
    ]),
    [["orders", 0, 11, 1, "m"]],
  );
});

test("offsets of topics and partitions that are not there are refused one by one", async () => {
  const world = await worldWithTopic();
  const item = { partition: 0, offset: 1, leaderEpoch: undefined, metadata: "" };
  const outcomes = await commit(world, 0, {
    offsets: [
      { ...item, topic: { name: "gone" } },
      { ...item, topic: { name: "orders" } },
      { ...item, topic: { name: "orders" }, partition: 2 },
      { ...item, topic: { name: "orders" }, partition: 1, metadata: "x".repeat(5000) },
      { ...item, topic: { topicId: "0b0f9d0a-51f8-4c55-a4f6-0d6f5c1f7a10" } },
    ],
  });
  assert.deepEqual(
    outcomes.map(({ errorCode }) => errorCode),
    [
      "topic_not_found",
      undefined,
      "partition_not_found",
      "offset_metadata_too_large",
      "topic_id_not_found",
    ],
  );
});

test("only members of the present generation commit for a group", async () => {
  const world = await worldWithTopic();
  const { memberId, generationId } = await joined(world);
  const from = async (id: string, generation: number): Promise<string | undefined> => {
    const [outcome] = await commit(world, 3, { memberId: id, generationId: generation });
    return outcome?.errorCode;
  };
  assert.equal(await from(memberId, generationId), undefined);
  assert.equal(await from(memberId, generationId - 1), "generation_illegal");
  assert.equal(await from("somebody", generationId), "member_unknown");
});

test("a member that says nothing is put out at the end of its session", async () => {
  const world = await worldWithTopic();
  await joined(world);
  assert.equal(await stateOf(world), "Stable");
  await world.pass(29_000);
  assert.equal(await stateOf(world), "Stable");
  await world.pass(2_000);
  assert.equal(await stateOf(world), "Empty");
});

test("a group is deleted with its offsets once its members have left", async () => {
  const world = await worldWithTopic();
  const { memberId, generationId } = await joined(world);
  await commit(world, 3, { memberId, generationId });
  const remove = async (): Promise<string | undefined> => {
    const [deleted] = await world.run(world.broker.deleteGroups([groupId]));
    return deleted?.errorCode;
  };
  assert.equal(await remove(), "group_not_empty");
  const left = await world.run(
    world.broker.leaveGroup({
      groupId,
      members: [
        { memberId, groupInstanceId: undefined },
        { memberId: "somebody", groupInstanceId: undefined },
      ],
    }),
  );
  assert.deepEqual(
    left.members.map(({ errorCode }) => errorCode),
    [undefined, "member_unknown"],
  );
  assert.equal(await remove(), undefined);
  assert.equal(await remove(), "group_not_found");
  const reopened = await world.killAndOpen();
  assert.equal(await committed(reopened), undefined);
  assert.deepEqual(reopened.broker.listGroups(), []);
});

test("before the first group there is none, and to ask for one makes none", async () => {
  const world = await worldWithTopic();
  const { broker } = world;
  assert.deepEqual(broker.listGroups(), []);
  const [described] = await world.run(broker.describeGroups([groupId]));
  assert.deepEqual([described?.state, described?.errorCode], ["Dead", "group_not_found"]);
  assert.equal(await committed(world), undefined);
  const [deleted] = await world.run(broker.deleteGroups([groupId]));
  assert.equal(deleted?.errorCode, "group_not_found");
  const gone = await world.run(broker.deleteOffsets(groupId, []));
  assert.equal(gone.errorCode, "group_not_found");
  assert.equal(broker.topicNamed("__consumer_offsets"), undefined);
  assert.deepEqual(broker.findCoordinators([groupId]), [
    { key: groupId, nodeId: 1, host: "broker.test", port: 9092 },
  ]);
});

test("groups are listed by state and type, and described with their members", async () => {
  const world = await worldWithTopic();
  const { memberId } = await joined(world);
  await commit(world, 1, { groupId: "offsets-only" });
  const ids = (query: Parameters<typeof world.broker.listGroups>[0]): string[] =>
    world.broker.listGroups(query).map((group) => group.groupId);
  assert.deepEqual(ids({}), ["offsets-only", "readers"]);
  assert.deepEqual(ids({ states: ["stable"] }), ["readers"]);
  assert.deepEqual(ids({ states: ["Empty", "Dead"] }), ["offsets-only"]);
  assert.deepEqual(ids({ types: ["consumer"] }), []);
  assert.deepEqual(ids({ types: ["Classic"] }), ["offsets-only", "readers"]);
  const [described] = await world.run(world.broker.describeGroups([groupId]));
  assert.deepEqual(
    [described?.protocolType, described?.protocolName, described?.members.length],
    ["consumer", "range", 1],
  );
  assert.deepEqual(described?.members[0]?.client, client);
  assert.equal(described?.members[0]?.memberId, memberId);
  assert.equal(textOf(described?.members[0]?.assignment ?? bytes("")), "all of it");
});

test("offsets are deleted but for topics that a member reads", async () => {
  const world = await worldWithTopic();
  await world.createTopic("other");
  const { memberId, generationId } = await joined(world);
  const item = { partition: 0, offset: 4, leaderEpoch: undefined, metadata: "" };
  await commit(world, 0, {
    memberId,
    generationId,
    offsets: [
      { ...item, topic: { name: "orders" } },
      { ...item, topic: { name: "other" } },
    ],
  });
  const deleted = await world.run(
    world.broker.deleteOffsets(groupId, [
      { topic: { name: "orders" }, partition: 0 },
      { topic: { name: "gone" }, partition: 0 },
      { topic: { name: "other" }, partition: 0 },
    ]),
  );
  assert.deepEqual(
    deleted.items.map(({ errorCode }) => errorCode),
    ["group_not_empty", "topic_not_found", undefined],
  );
  assert.equal(await committed(world), 4);
});

test("a topic made anew with a name that was deleted begins without offsets", async () => {
  const world = await worldWithTopic();
  await commit(world, 7);
  await world.run(world.broker.deleteTopics([{ name: "orders" }]));
  await world.createTopic("orders");
  assert.equal(await committed(world), undefined);
  assert.equal(await committed(await world.killAndOpen()), undefined);
});

test("with a full disk a commit is refused, forgotten, and works again when there is room", async () => {
  const { disk, state } = fillingDisk();
  const world = await worldWithTopic({ disk });
  await commit(world, 1);
  state.isFull = true;
  const [refused] = await commit(world, 2);
  assert.equal(refused?.errorCode, "coordinator_unavailable");
  assert.match(refused?.errorMessage ?? "", /storage_full/);
  assert.equal(await committed(world), 1);
  const member = await world.run(join(world, undefined, { groupId: "others" }));
  assert.equal(member.errorCode, undefined, "to join writes nothing yet");
  state.isFull = false;
  assert.deepEqual(await commit(world, 3), [{}]);
  assert.equal(await committed(await world.killAndOpen()), 3);
});

test("an answer is not given before its records are durable", async () => {
  const world = await worldWithTopic();
  await commit(world, 1);
  let isAnswered = false;
  const offsets = [
    { topic: { name: "orders" }, partition: 0, offset: 2, leaderEpoch: undefined, metadata: "" },
  ];
  const request = { groupId, generationId: undefined, memberId: undefined, offsets };
  const committing = world.broker
    .commitOffsets({ ...request, groupInstanceId: undefined })
    .then(() => (isAnswered = true));
  const reading = committed(world);
  for (let count = 0; count < 20; count++) await Promise.resolve();
  assert.equal(isAnswered, false, "nothing was written in this turn");
  assert.equal(await reading, 2);
  assert.equal(isAnswered, true, "whoever read the new offset waited for it too");
  await committing;
});

test("no answer overtakes the records of an earlier step", async () => {
  const world = await worldWithTopic();
  const { memberId, generationId } = await joined(world);
  const order: string[] = [];
  const member = { groupId, generationId, memberId, groupInstanceId: undefined };
  const topic = { name: "orders" };
  const offsets = [{ topic, partition: 0, offset: 2, leaderEpoch: undefined, metadata: "" }];
  const both = Promise.all([
    world.broker.commitOffsets({ ...member, offsets }).then(() => order.push("commit")),
    world.broker.heartbeat(member).then(() => order.push("heartbeat")),
  ]);
  for (let count = 0; count < 20; count++) await Promise.resolve();
  assert.deepEqual(order, [], "the commit is not durable yet");
  await world.run(both);
  assert.deepEqual(order, ["commit", "heartbeat"]);
});

test("whoever read an offset that then failed to reach the disk is told the one before", async () => {
  const { disk, state } = fillingDisk();
  const world = await worldWithTopic({ disk });
  await commit(world, 1);
  state.isFull = true;
  const committing = commit(world, 2);
  const reading = committed(world);
  assert.equal((await committing)[0]?.errorCode, "coordinator_unavailable");
  assert.equal(await reading, 1);
});

test("offsets of a group without members end after their retention", async () => {
  const world = await worldWithTopic({ settings: { "offsets.retention.minutes": "60" } });
  await commit(world, 5);
  await world.pass(50 * 60_000);
  assert.equal(await committed(world), 5);
  await world.pass(25 * 60_000);
  assert.equal(await committed(world), undefined);
  assert.deepEqual(world.broker.listGroups(), []);
});

test("a closing broker answers members that wait", async () => {
  const world = await worldWithTopic();
  const first = await joined(world);
  const second = join(world);
  await world.pass(1);
  await world.run(world.broker.close());
  assert.equal((await world.run(second)).errorCode, "coordinator_unavailable");
  assert.equal((await world.run(join(world, first.memberId))).errorCode, "coordinator_unavailable");
});

test("the log of groups is cut back to what the checkpoint does not know, and no offset is lost", async () => {
  const world = await BrokerWorld.open({ settings: { "offsets.topic.num.partitions": "1" } });
  await world.createTopic("orders", 100);
  const metadata = "x".repeat(4000);
  const rounds = 90;
  for (let round = 0; round < rounds; round++) {
    const offsets = Array.from({ length: 100 }, (_, partition) => ({
      topic: { name: "orders" },
      partition,
      offset: round * 1000 + partition,
      leaderEpoch: undefined,
      metadata,
    }));
    await commit(world, 0, { offsets });
  }
  const log = world.broker.partition("__consumer_offsets", 0);
  assert.ok((log?.sizeBytes ?? 0) > 32 << 20);
  await world.pass(700_000);
  // The checkpoint takes many turns, whatever the clock says.
  for (let turn = 0; turn < 1000; turn++) {
    if (log?.logStartOffset !== 0) break;
    await world.pass(1);
  }
  assert.equal(log?.logStartOffset, rounds * 100);
  const reopened = await world.killAndOpen();
  assert.equal(await committed(reopened, 77), (rounds - 1) * 1000 + 77);
});
