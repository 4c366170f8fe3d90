import assert from "node:assert/strict";
import { test } from "node:test";

import { KafkaWorld, type RawClient } from "./kafka-world.test.ts";
import { numberOf } from "./wire.ts";

const group = "g";
const protocols = [{ name: "range", metadata: new Uint8Array([1, 2]) }];
const joining = {
  groupId: group,
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 10_000,
  protocolType: "consumer",
  protocols,
};

/** Joins as a member of a newer client does: once for an id, and again with it. */
async function join(
  client: RawClient,
): Promise<{ readonly memberId: string; readonly generationId: number }> {
  const first = await client.ask("JoinGroup", 9, { ...joining, memberId: "" });
  assert.equal(first.errorCode, numberOf("member_id_required"));
  const { memberId } = first;
  const second = await client.ask("JoinGroup", 9, { ...joining, memberId });
  assert.equal(second.errorCode, 0);
  assert.equal(second.protocolType, "consumer");
  assert.equal(second.leader, memberId);
  assert.deepEqual(
    second.members.map(({ metadata }) => [...metadata]),
    [[1, 2]],
  );
  const { generationId } = second;
  const assignments = [{ memberId, assignment: new Uint8Array([9]) }];
  const ids = { groupId: group, generationId, memberId };
  const synced = await client.ask("SyncGroup", 5, {
    ...ids,
    protocolType: "consumer",
    protocolName: "range",
    assignments,
  });
  assert.deepEqual([synced.errorCode, [...synced.assignment]], [0, [9]]);
  return { memberId, generationId };
}

test("a member joins, beats, commits, is seen, leaves", async () => {
  await using world = await KafkaWorld.open();
  await world.broker.createTopics([{ name: "t", partitionCount: 2 }]);
  const client = await world.client();
  const { memberId, generationId } = await join(client);
  const ids = { groupId: group, generationId, memberId };
  assert.equal((await client.ask("Heartbeat", 4, ids)).errorCode, 0);
  const old = { ...ids, generationId: generationId - 1 };
  assert.equal((await client.ask("Heartbeat", 4, old)).errorCode, numberOf("generation_illegal"));

  const committed = await client.ask("OffsetCommit", 8, {
    groupId: group,
    generationIdOrMemberEpoch: generationId,
    memberId,
    topics: [
      {
        name: "t",
        partitions: [
          { partitionIndex: 1, committedOffset: 5, committedLeaderEpoch: 1 },
          { partitionIndex: 7, committedOffset: 5 },
        ],
      },
    ],
  });
  const [first, second] = committed.topics[0]?.partitions ?? [];
  assert.equal(first?.errorCode, 0);
  assert.notEqual(second?.errorCode, 0, "there is no such partition");

  const described = await client.ask("DescribeGroups", 5, {
    groups: [group],
    includeAuthorizedOperations: true,
  });
  const [seen] = described.groups;
  assert.equal(seen?.groupState, "Stable");
  assert.equal(seen?.protocolData, "range");
  assert.equal(seen?.authorizedOperations, 3400);
  assert.equal(seen?.members[0]?.clientId, "raw");

  const left = await client.ask("LeaveGroup", 5, { groupId: group, members: [{ memberId }] });
  assert.deepEqual([left.errorCode, left.members[0]?.errorCode], [0, 0]);
});

const at = (partitionIndex: number, committedOffset: number) => ({
  partitionIndex,
  committedOffset,
});

const shown = (
  topics: readonly {
    name: string;
    partitions: readonly { partitionIndex: number; committedOffset: number }[];
  }[],
) =>
  topics.map(({ name, partitions }) => [
    name,
    partitions.map((one) => [one.partitionIndex, one.committedOffset]),
  ]);

test("what a group committed is told by topic, whether asked for one, all, or many groups", async () => {
  await using world = await KafkaWorld.open();
  await world.broker.createTopics([
    { name: "t", partitionCount: 2 },
    { name: "u", partitionCount: 1 },
  ]);
  const client = await world.client();
  await client.ask("OffsetCommit", 2, {
    groupId: group,
    memberId: "",
    topics: [
      { name: "u", partitions: [at(0, 3)] },
      { name: "t", partitions: [at(0, 1), at(1, 2)] },
    ],
  });
  const expected = [
    [
      "t",
      [
        [0, 1],
        [1, 2],
      ],
    ],
    ["u", [[0, 3]]],
  ];
  assert.deepEqual(
    shown((await client.ask("OffsetFetch", 2, { groupId: group })).topics),
    expected,
  );
  const many = await client.ask("OffsetFetch", 8, {
    groups: [{ groupId: group }, { groupId: "other" }],
  });
  assert.deepEqual(shown(many.groups[0]?.topics ?? []), expected);
  assert.deepEqual([many.groups[1]?.errorCode, many.groups[1]?.topics], [0, []]);

  const byId = await client.ask("OffsetFetch", 10, {
    groups: [
      {
        groupId: group,
        topics: [
          { topicId: world.topicId("u"), partitionIndexes: [0] },
          { topicId: "11111111-2222-4333-8444-555555555555", partitionIndexes: [0] },
        ],
      },
    ],
  });
  assert.deepEqual(
    byId.groups[0]?.topics.map(({ partitions }) => [
      partitions[0]?.committedOffset,
      partitions[0]?.errorCode,
    ]),
    [
      [3, 0],
      [-1, numberOf("topic_id_not_found")],
    ],
  );
  const allById = await client.ask("OffsetFetch", 10, { groups: [{ groupId: group }] });
  assert.deepEqual(
    allById.groups[0]?.topics.map(({ topicId }) => topicId),
    [world.topicId("t"), world.topicId("u")],
  );
});

test("a committed offset is deleted, and a group that is gone is named", async () => {
  await using world = await KafkaWorld.open();
  await world.broker.createTopics([{ name: "t", partitionCount: 1 }]);
  const client = await world.client();
  const partitions = [{ partitionIndex: 0 }];
  const missing = await client.ask("OffsetDelete", 0, {
    groupId: "nobody",
    topics: [{ name: "t", partitions }],
  });
  assert.deepEqual([missing.errorCode, missing.topics], [numberOf("group_not_found"), []]);
  await client.ask("OffsetCommit", 2, {
    groupId: group,
    memberId: "",
    topics: [{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: 4 }] }],
  });
  const deleted = await client.ask("DeleteGroups", 2, { groupsNames: [group, group, "nobody"] });
  assert.deepEqual(
    deleted.results.map(({ groupId, errorCode }) => [groupId, errorCode]),
    [
      [group, 0],
      ["nobody", numberOf("group_not_found")],
    ],
  );
  assert.deepEqual((await client.ask("ListGroups", 4, {})).groups, []);
});
