import assert from "node:assert/strict";
import { test } from "node:test";

import { LogError } from "../../errors/index.ts";
import { ClientWorld, hasCode } from "./client-world.test.ts";
import type { Generation } from "./member.ts";

function partitionsOf({ assignment }: Generation): number[] {
  return assignment.map(({ partition }) => partition);
}

test("members share the partitions, and share them anew when one comes or goes", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount: 4 }));
  const options = { groupId: "g", topics: ["t"], sessionMs: 10_000 };
  const [one, two] = [client.member(options), client.member(options)];
  const alone = await world.run(one.join());
  assert.deepEqual(partitionsOf(alone), [0, 1, 2, 3]);

  const joining = two.join();
  await world.pass(2_000);
  assert.equal(alone.ended.aborted, true);
  assert.ok(hasCode("rebalance_in_progress")(alone.ended.reason));
  const [first, second] = await world.run(Promise.all([one.join(), joining]));
  const shared = [...partitionsOf(first), ...partitionsOf(second)];
  assert.deepEqual(new Set(shared), new Set([0, 1, 2, 3]));
  assert.deepEqual([shared.length, partitionsOf(first).length], [4, 2]);

  await world.run(two.leave());
  await world.pass(2_000);
  assert.equal(first.ended.aborted, true);
  assert.deepEqual(partitionsOf(await world.run(one.join())), [0, 1, 2, 3]);
  await world.run(one.leave());
  assert.equal((await world.run(client.groups.describe("g"))).state, "Empty");
});

test("a member stays one as long as it lives", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount: 1 }));
  const member = client.member({ groupId: "g", topics: ["t"], sessionMs: 10_000 });
  const generation = await world.run(member.join());
  await world.pass(120_000);
  assert.equal(generation.ended.aborted, false);
  await world.run(member.commit([{ topic: "t", partition: 0, offset: 0 }]));
  assert.deepEqual(await world.run(client.groups.positions("g")), [
    { topic: "t", partition: 0, offset: 0, metadata: "" },
  ]);
});

test("a member that was away too long is out, and can come back", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  await world.run(client.topics.create({ name: "t", partitionCount: 1 }));
  const member = client.member({ groupId: "g", topics: ["t"], sessionMs: 10_000 });
  const generation = await world.run(member.join());
  await world.stop();
  await world.start();
  await world.pass(20_000);
  const commit = member.commit([{ topic: "t", partition: 0, offset: 0 }]);
  if (generation.ended.aborted) await assert.rejects(world.run(commit), LogError);
  else await world.run(commit);
  assert.deepEqual(partitionsOf(await world.run(member.join())), [0]);
});

test("a topic that is not there gives a member nothing to do", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  const member = client.member({ groupId: "g", topics: ["nope"] });
  assert.deepEqual((await world.run(member.join())).assignment, []);
});

test("joining ends when its signal does", async () => {
  const world = await ClientWorld.open();
  const client = await world.connect();
  const ending = new AbortController();
  const member = client.member({ groupId: "g", topics: ["t"], signal: ending.signal });
  await world.stop();
  const joining = member.join();
  const reason = new LogError("cancelled", "enough");
  world.env.timers.after(1_000, () => ending.abort(reason));
  await assert.rejects(world.run(joining), (error) => error === reason);
});
