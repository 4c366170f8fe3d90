import assert from "node:assert/strict";
import { test } from "node:test";

import { type MemoryDisk, memoryEnv, type MemoryEnv } from "../env/index.ts";
import type { LogError } from "../errors/index.ts";
import type { Command } from "../metadata/index.ts";
import { Partitions } from "../partitions/index.ts";
import { MetadataLog } from "./metadata-log.ts";

interface World {
  readonly env: MemoryEnv;
  readonly partitions: Partitions;
  readonly log: MetadataLog;
}

function mustNotFail(error: LogError): void {
  assert.fail(error);
}

async function open(disk?: MemoryDisk): Promise<World> {
  const env = memoryEnv({ seed: 1, ...(disk === undefined ? {} : { disk }) });
  const store = { directory: "/store", durability: "fsync" } as const;
  const partitions = await env.run(Partitions.open(env, { store, onFatal: mustNotFail }));
  const log = await env.run(MetadataLog.open(partitions, () => env.clock.wallMs()));
  return { env, partitions, log };
}

function create(number: number): Command {
  return {
    kind: "create-topic",
    name: `topic-${number}`,
    topicId: `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`,
    partitionCount: 1,
    settings: new Map(),
    isInternal: false,
    createdMs: 0,
  };
}

test("the snapshot of the checkpoint stands for the records before it", async () => {
  const { env, partitions, log } = await open();
  await env.run(log.propose([create(1), create(2)]));
  await env.run(partitions.store.checkpoint());
  await env.run(log.propose([create(3)]));
  const [partition] = partitions.all();
  // Without the snapshot nothing would be left of the first two topics.
  assert.equal(await env.run(partition?.deleteRecords(2) ?? Promise.reject(new Error())), 2);
  const reopened = await open(env.disk.kill());
  assert.equal(reopened.log.state.topicCount, 3);
  assert.equal(reopened.log.state.hash(), log.state.hash());
});

test("a checkpoint that comes before the log is replayed keeps the snapshot of the last one", async () => {
  const { env, partitions, log } = await open();
  await env.run(log.propose([create(1)]));
  await env.run(partitions.store.checkpoint());
  await env.run(log.propose([create(2)]));
  const disk = env.disk.kill();
  const early = memoryEnv({ seed: 1, disk });
  const store = { directory: "/store", durability: "fsync" } as const;
  const opened = await early.run(Partitions.open(early, { store, onFatal: mustNotFail }));
  const opening = MetadataLog.open(opened, () => 0);
  await early.run(Promise.all([opened.store.checkpoint(), opening]));
  const [partition] = opened.all();
  await early.run(partition?.deleteRecords(1) ?? Promise.reject(new Error()));
  const reopened = await open(disk.kill());
  assert.equal(reopened.log.state.topicCount, 2);
});

test("proposals made together are done in their order; what is taken when its turn comes is refused", async () => {
  const { env, log } = await open();
  const same = { ...create(1), topicId: "00000000-0000-4000-8000-000000000009" };
  const [one, two] = await env.run(
    Promise.all([log.propose([create(1), same]), log.propose([same])]),
  );
  assert.deepEqual(
    [...one, ...two].map((applied) => (applied.kind === "rejected" ? applied.code : applied.kind)),
    ["topic-created", "topic_exists", "topic_exists"],
  );
});

test("more commands than one batch holds are all done", async () => {
  const { env, log } = await open();
  const commands = Array.from({ length: 8000 }, (_, index) => create(index));
  const applied = await env.run(log.propose(commands));
  assert.ok(applied.every(({ kind }) => kind === "topic-created"));
  assert.equal(log.state.topicCount, 8000);
  assert.equal((await open(env.disk.kill())).log.state.hash(), log.state.hash());
});

test("a change that is too large is refused, and the others of its call are made", async () => {
  const { env, log } = await open();
  const huge = {
    ...create(1),
    settings: new Map([["cleanup.policy", `delete${" ".repeat(600_000)}`]]),
  };
  const [refused, done] = await env.run(log.propose([huge, create(2)]));
  assert.equal(refused?.kind === "rejected" && refused.code, "limit_exceeded");
  assert.equal(done?.kind, "topic-created");
});

test("a closed log takes no proposals", async () => {
  const { env, log } = await open();
  await env.run(log.close());
  await assert.rejects(log.propose([create(1)]), { code: "closed" });
});
