import assert from "node:assert/strict";
import { test } from "node:test";

import { crc32c } from "../bytes/index.ts";
import { MemoryDisk, memoryEnv, type MemoryEnv } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { type TopicPolicy, topicPolicy } from "../metadata/index.ts";
import { BatchBuilder, BatchHeader, RecordCursor } from "../records/index.ts";
import type { AppendOutcome } from "./outcomes.ts";
import type { Partition } from "./partition.ts";
import { Partitions, settled, whenSettled } from "./partitions.ts";

const topicId = "6f6ad5f8-2f0e-4f1c-9d6f-0d8f6a3f5b11";
const day = 86_400_000;

interface World {
  readonly env: MemoryEnv;
  readonly partitions: Partitions;
  readonly partition: Partition;
}

interface WorldOptions {
  readonly settings?: Readonly<Record<string, string>>;
  readonly isInternal?: boolean;
  readonly disk?: MemoryDisk;
  readonly durability?: "fsync" | "os";
}

function mustNotFail(error: LogError): void {
  assert.fail(error);
}

function policyOf(settings: Readonly<Record<string, string>> = {}): TopicPolicy {
  const topic = new Map(Object.entries(settings));
  return topicPolicy({ topic, broker: new Map(), startup: new Map() });
}

async function open(wanted: WorldOptions = {}): Promise<World> {
  const { settings, isInternal = false, disk, durability = "fsync" } = wanted;
  const env = memoryEnv({ seed: 1, disk: disk ?? new MemoryDisk() });
  const store = { directory: "/store", durability } as const;
  const partitions = await env.run(Partitions.open(env, { store, onFatal: mustNotFail }));
  const policy = policyOf(settings);
  const partition = partitions.openPartition({ topicId, policy, isInternal }, 0);
  return { env, partitions, partition };
}

interface BatchOptions {
  readonly timestamps?: readonly number[];
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly isTransactional?: boolean;
  readonly hasKeys?: boolean;
  readonly valueBytes?: number;
}

function batch(options: BatchOptions = {}): Uint8Array {
  const { timestamps = [Date.UTC(2026, 0, 1)], hasKeys = true, valueBytes = 10 } = options;
  const { producerId, producerEpoch = 0, baseSequence = 0, isTransactional = false } = options;
  const builder = new BatchBuilder({
    codec: "none",
    ...(producerId === undefined
      ? {}
      : { producerId, producerEpoch, baseSequence, isTransactional }),
  });
  for (const [index, timestamp] of timestamps.entries()) {
    const key = hasKeys ? new TextEncoder().encode(`k${index}`) : undefined;
    builder.append(timestamp, key, new Uint8Array(valueBytes).fill(7));
  }
  return builder.finish();
}

const times = (count: number): number[] =>
  Array.from({ length: count }, () => Date.UTC(2026, 0, 1));

async function settle(env: MemoryEnv, outcome: AppendOutcome): Promise<void> {
  await env.run(new Promise<void>((resolve) => whenSettled([outcome], resolve)));
}

/** Appends and waits until it is durable. */
async function put({ env, partition }: World, options?: BatchOptions): Promise<AppendOutcome> {
  const outcome = partition.append(batch(options), env.clock.wallMs());
  await settle(env, outcome);
  return outcome;
}

function codeOf(outcome: AppendOutcome): string {
  return outcome.kind === "refused" ? outcome.code : outcome.kind;
}

function baseOffsetOf(outcome: AppendOutcome): number {
  assert.ok(outcome.kind !== "refused", "the batch was taken");
  return outcome.baseOffset;
}

async function offsetsRead({ env, partition }: World, from: number): Promise<number[]> {
  const offsets: number[] = [];
  const reading = partition.read(from, { bytesMax: 1 << 20, atLeastOneBatch: true });
  const fetched = await env.run(Promise.resolve(reading));
  if (fetched === undefined) return offsets;
  const cursor = new RecordCursor();
  for (let position = 0; position < fetched.bytes.length; position += cursor.header.sizeBytes) {
    cursor.reset(fetched.bytes, position);
    while (cursor.advance()) offsets.push(cursor.offset);
  }
  fetched.release();
  return offsets;
}

test("a batch is numbered at once and can be read once it is durable", async () => {
  const world = await open();
  const { env, partition } = world;
  const first = partition.append(batch({ timestamps: times(3) }), env.clock.wallMs());
  const second = partition.append(batch({ timestamps: times(2) }), env.clock.wallMs());
  assert.deepEqual([baseOffsetOf(first), baseOffsetOf(second)], [0, 3]);
  assert.equal(partition.logEndOffset, 5);
  assert.equal(partition.highWatermark, 0);
  assert.equal(partition.read(0, { bytesMax: 100, atLeastOneBatch: true }), undefined);
  await settle(env, second);
  assert.equal(settled(first), undefined);
  assert.equal(partition.highWatermark, 5);
  assert.deepEqual(await offsetsRead(world, 0), [0, 1, 2, 3, 4]);
});

test("the base offset and the leader epoch are put into the batch where it lies", async () => {
  const world = await open();
  await put(world);
  const bytes = batch();
  world.partition.append(bytes, world.env.clock.wallMs());
  const header = new BatchHeader();
  header.read(bytes, 0);
  assert.equal(header.baseOffset, 1);
  assert.equal(header.leaderEpoch, world.partition.leaderEpoch);
});

test("what a client may not append is refused with its reason, and changes nothing", async () => {
  const now = memoryEnv({ seed: 1 }).clock.wallMs();
  const corrupt = batch();
  corrupt[corrupt.length - 1] = (corrupt.at(-1) ?? 0) ^ 1;
  const control = batch({ producerId: 1 });
  control[22] = (control[22] ?? 0) | 0x20;
  new DataView(control.buffer, control.byteOffset).setUint32(17, crc32c(control, 21));
  const cases: readonly (readonly [
    string,
    Uint8Array,
    Readonly<Record<string, string>>,
    string,
  ])[] = [
    ["a flipped bit", corrupt, {}, "batch_corrupt"],
    ["two batches", Buffer.concat([batch(), batch()]), {}, "batch_invalid"],
    ["no bytes", new Uint8Array(0), {}, "batch_corrupt"],
    [
      "one byte too many",
      batch(),
      { "max.message.bytes": String(batch().length - 1) },
      "record_too_large",
    ],
    ["a control batch", control, {}, "batch_invalid"],
    ["a transaction", batch({ producerId: 1, isTransactional: true }), {}, "unsupported"],
    [
      "no key where compacted",
      batch({ hasKeys: false }),
      { "cleanup.policy": "compact" },
      "batch_invalid",
    ],
    ["a time too far ahead", batch({ timestamps: [now + 3_600_001] }), {}, "invalid_timestamp"],
    [
      "a time too long ago",
      batch({ timestamps: [now - 1001] }),
      { "message.timestamp.before.max.ms": "1000" },
      "invalid_timestamp",
    ],
  ];
  for (const [name, bytes, settings, code] of cases) {
    const { partition } = await open({ settings });
    assert.equal(codeOf(partition.append(bytes, now)), code, name);
    assert.equal(partition.logEndOffset, 0, name);
  }
  const { partition } = await open({ isInternal: true });
  assert.equal(codeOf(partition.append(batch(), now)), "invalid_topic_name");
  assert.equal(codeOf(partition.appendInternal(batch(), now)), "appended");
});

test("a limit is a limit: exactly as large, as early and as late as allowed is taken", async () => {
  const now = memoryEnv({ seed: 1 }).clock.wallMs();
  const bytes = batch({ timestamps: [now - 1000, now + 3_600_000] });
  const { partition } = await open({
    settings: {
      "max.message.bytes": String(bytes.length),
      "message.timestamp.before.max.ms": "1000",
    },
  });
  assert.equal(codeOf(partition.append(bytes, now)), "appended");
});

test("with log append time every record has the broker's time and the batch stays valid", async () => {
  const world = await open({ settings: { "message.timestamp.type": "LogAppendTime" } });
  const outcome = await put(world, { timestamps: [1, 2] });
  assert.ok(outcome.kind === "appended");
  assert.equal(outcome.logAppendTimeMs, world.env.clock.wallMs());
  const found = await world.env.run(world.partition.offsetForTime(outcome.logAppendTimeMs));
  assert.deepEqual(found?.offset, 0);
});

test("sequences of a producer: what comes next, again, too early, too late", async () => {
  const world = await open();
  const { env, partition } = world;
  const send = (producerEpoch: number, baseSequence: number, count = 1): string => {
    const options = { producerId: 9, producerEpoch, baseSequence, timestamps: times(count) };
    return codeOf(partition.append(batch(options), env.clock.wallMs()));
  };
  assert.equal(send(0, 40, 2), "appended", "a producer that is not known begins anywhere");
  assert.equal(send(0, 42), "appended");
  assert.equal(send(0, 44), "sequence_out_of_order", "43 is missing");
  assert.equal(send(0, 40, 2), "duplicate");
  assert.equal(
    send(0, 40, 1),
    "sequence_out_of_order",
    "the same start with another length is no duplicate",
  );
  assert.equal(send(1, 5), "sequence_out_of_order", "a new epoch begins with 0");
  assert.equal(send(1, 0), "appended");
  assert.equal(send(0, 43), "producer_fenced");
  for (let sequence = 1; sequence <= 5; sequence++) assert.equal(send(1, sequence), "appended");
  assert.equal(
    send(1, 0),
    "sequence_duplicate",
    "six batches back is no longer known by its offsets",
  );
  assert.equal(send(1, 1), "duplicate", "five batches back is");
  assert.equal(partition.logEndOffset, 9);
});

test("a duplicate gets the offsets of its original", async () => {
  const world = await open();
  await put(world);
  const original = await put(world, { producerId: 3, timestamps: times(4) });
  await put(world, { producerId: 3, baseSequence: 4 });
  const again = await put(world, { producerId: 3, timestamps: times(4) });
  assert.equal(again.kind, "duplicate");
  assert.equal(baseOffsetOf(again), baseOffsetOf(original));
  assert.equal(settled(again), undefined);
});

test("sequences go on with 0 after 2147483647", async () => {
  const world = await open();
  const { env, partition } = world;
  const send = (baseSequence: number, count: number): string => {
    const options = { producerId: 1, baseSequence, timestamps: times(count) };
    return codeOf(partition.append(batch(options), env.clock.wallMs()));
  };
  assert.equal(send(2_147_483_645, 2), "appended");
  assert.equal(send(2_147_483_647, 2), "appended");
  assert.equal(send(0, 1), "sequence_out_of_order");
  assert.equal(send(1, 1), "appended");
  assert.equal(send(2_147_483_647, 2), "duplicate");
});

test("a duplicate of a batch that is not durable yet waits for the original's frame", async () => {
  const { env, partition, partitions } = await open();
  const options = { producerId: 3 };
  const original = partition.append(batch(options), env.clock.wallMs());
  partitions.store.flush();
  const later = partition.append(batch(), env.clock.wallMs());
  const again = partition.append(batch(options), env.clock.wallMs());
  assert.ok(
    original.kind === "appended" && again.kind === "duplicate" && later.kind === "appended",
  );
  assert.equal(again.frame, original.frame);
  assert.notEqual(later.frame, original.frame);
  let isKnown = false;
  again.frame.whenSettled(() => {
    isKnown = true;
  });
  assert.equal(isKnown, false);
  await settle(env, original);
  assert.equal(isKnown, true);
});

test("of several frames that are not durable yet, a duplicate waits for the one with its original", async () => {
  const { env, partition, partitions } = await open();
  const nowMs = env.clock.wallMs();
  const frames = [batch(), batch({ producerId: 3 }), batch()].map((bytes) => {
    const outcome = partition.append(bytes, nowMs);
    partitions.store.flush();
    return outcome.kind === "appended" ? outcome.frame : assert.fail(outcome.kind);
  });
  const again = partition.append(batch({ producerId: 3 }), nowMs);
  assert.ok(again.kind === "duplicate");
  assert.equal(frames.indexOf(again.frame), 1);
});

/** A disk that refuses writes while `isFull`. */
function fillingDisk(): { readonly disk: MemoryDisk; readonly state: { isFull: boolean } } {
  const state = { isFull: false };
  const disk = new MemoryDisk({
    onCall: ({ kind, path }) => {
      if (!state.isFull || kind !== "write") return;
      throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC", path });
    },
  });
  return { disk, state };
}

test("a frame that cannot be written is taken back whole, and the log goes on when there is room", async () => {
  const { disk, state } = fillingDisk();
  const world = await open({ disk });
  const { env, partition } = world;
  await put(world, { producerId: 1, timestamps: times(2) });
  const before = { producers: partition.activeProducers(), epoch: partition.latestEpoch };
  state.isFull = true;
  const known = partition.append(batch({ producerId: 1, baseSequence: 2 }), env.clock.wallMs());
  const unknown = partition.append(batch({ producerId: 2 }), env.clock.wallMs());
  assert.equal(partition.logEndOffset, 4);
  await settle(env, unknown);
  assert.equal(settled(known)?.code, "storage_full");
  assert.equal(settled(unknown)?.code, "storage_full");
  assert.deepEqual([partition.logEndOffset, partition.highWatermark], [2, 2]);
  assert.deepEqual(
    { producers: partition.activeProducers(), epoch: partition.latestEpoch },
    before,
  );
  state.isFull = false;
  const retried = await put(world, { producerId: 1, baseSequence: 2 });
  assert.equal(baseOffsetOf(retried), 2);
  assert.equal(settled(retried), undefined);
  assert.deepEqual(await offsetsRead(world, 0), [0, 1, 2]);
});

test("a large batch that cannot be written is refused at once, with what shared its frame", async () => {
  const { disk, state } = fillingDisk();
  const { env, partition } = await open({ disk });
  state.isFull = true;
  const small = partition.append(batch(), env.clock.wallMs());
  const large = partition.append(batch({ valueBytes: 100_000 }), env.clock.wallMs());
  assert.equal(codeOf(large), "storage_full");
  assert.equal(settled(small)?.code, "storage_full");
  assert.equal(partition.logEndOffset, 0);
  assert.equal(partition.latestEpoch, undefined);
});

test("the number of a failed frame goes to the next one, whose success is not the failed one's", async () => {
  const { disk, state } = fillingDisk();
  const { env, partition, partitions } = await open({ disk });
  state.isFull = true;
  const failed = partition.append(batch(), env.clock.wallMs());
  partitions.store.flush();
  state.isFull = false;
  const next = partition.append(batch(), env.clock.wallMs());
  await settle(env, next);
  assert.equal(settled(next), undefined);
  assert.equal(settled(failed)?.code, "storage_full");
  assert.deepEqual([baseOffsetOf(next), partition.highWatermark], [0, 1]);
});

test("waiters are woken once for all that became durable together", async () => {
  const { env, partition, partitions } = await open();
  let count = 0;
  const waiter = { advanced: (): void => void count++ };
  assert.equal(partition.addWaiter(waiter), true);
  partition.append(batch(), env.clock.wallMs());
  partitions.store.flush();
  partition.append(batch(), env.clock.wallMs());
  const last = partition.append(batch(), env.clock.wallMs());
  await settle(env, last);
  assert.ok(count >= 1 && count <= 2, `woken ${count} times for two frames`);
  const before = count;
  partition.removeWaiter(waiter);
  await settle(env, partition.append(batch(), env.clock.wallMs()));
  assert.equal(count, before);
});

test("a read outside of the partition names both ends", async () => {
  const world = await open();
  await put(world, { timestamps: times(3) });
  await world.env.run(world.partition.deleteRecords(2));
  for (const offset of [1, 4]) {
    assert.throws(
      () => world.partition.read(offset, { bytesMax: 1, atLeastOneBatch: true }),
      (error: unknown) =>
        error instanceof LogError &&
        error.code === "offset_out_of_range" &&
        / 2 .* 3$/.test(error.message),
    );
  }
  assert.equal(world.partition.read(3, { bytesMax: 1, atLeastOneBatch: true }), undefined);
});

function retained({ env, partition }: World): Promise<number> {
  partition.retain(env.clock.wallMs());
  // Deletes nothing, and resolves when the start is where it was moved to.
  return env.run(partition.deleteRecords(0));
}

test("the newest records are kept where the policy says how many, exactly, and after a restart too", async () => {
  const settings = { "cordwood.retention.records": "3" };
  const world = await open({ settings });
  await put(world, { timestamps: times(5) });
  // What is not durable yet takes no one's place.
  world.partition.append(batch({ timestamps: times(2) }), world.env.clock.wallMs());
  assert.equal(await retained(world), 2);
  assert.equal(await retained(world), 4);
  const reopened = await open({ disk: world.env.disk.kill(), settings });
  assert.equal(reopened.partition.logStartOffset, 4);
  for (const kept of [
    await open({ settings: { ...settings, "cleanup.policy": "compact" } }),
    await open({ settings, isInternal: true }),
  ]) {
    await put(kept, { timestamps: times(5) });
    assert.equal(await retained(kept), 0);
  }
});

test("deleted records are deleted after a restart too, up to the high watermark and no further", async () => {
  const world = await open();
  await put(world, { timestamps: times(5) });
  const { env, partition } = world;
  assert.equal(await env.run(partition.deleteRecords(2)), 2);
  assert.equal(await env.run(partition.deleteRecords(1)), 2, "the start never goes back");
  await assert.rejects(env.run(partition.deleteRecords(6)), { code: "offset_out_of_range" });
  const reopened = await open({ disk: env.disk.kill() });
  assert.equal(reopened.partition.logStartOffset, 2);
  assert.equal(await reopened.env.run(reopened.partition.deleteRecords(undefined)), 5);
});

test("records are found by time: the first at or after it, never below the log start", async () => {
  const world = await open();
  const now = world.env.clock.wallMs();
  await put(world, { timestamps: [now + 10, now + 30, now + 20] });
  await put(world, { timestamps: [now + 40] });
  const { env, partition } = world;
  const at = async (ms: number): Promise<number | undefined> =>
    (await env.run(partition.offsetForTime(now + ms)))?.offset;
  assert.deepEqual(
    [await at(0), await at(10), await at(11), await at(30), await at(31), await at(41)],
    [0, 0, 1, 1, 3, undefined],
  );
  assert.equal((await env.run(partition.newestRecord()))?.offset, 3);
  await env.run(partition.deleteRecords(2));
  assert.equal(await at(0), 2);
  assert.equal(await at(25), 3);
});

test("the newest record is found behind a deleted one that was newer", async () => {
  const world = await open();
  const now = world.env.clock.wallMs();
  await put(world, { timestamps: [now + 90, now + 10, now + 30, now + 20] });
  await world.env.run(world.partition.deleteRecords(1));
  const newest = await world.env.run(world.partition.newestRecord());
  assert.deepEqual([newest?.offset, newest?.timestampMs], [2, now + 30]);
});

test("each start leads in a new epoch, and the end of every epoch is known", async () => {
  const first = await open();
  await put(first, { timestamps: times(3) });
  const firstEpoch = first.partition.leaderEpoch;
  const second = await open({ disk: first.env.disk.kill() });
  const { partition } = second;
  const secondEpoch = partition.leaderEpoch;
  assert.ok(secondEpoch > firstEpoch);
  assert.equal(partition.latestEpoch, firstEpoch);
  assert.deepEqual(partition.endOffsetForEpoch(secondEpoch), {
    leaderEpoch: secondEpoch,
    endOffset: 3,
  });
  await put(second, { timestamps: times(2) });
  assert.deepEqual(partition.endOffsetForEpoch(firstEpoch), {
    leaderEpoch: firstEpoch,
    endOffset: 3,
  });
  assert.deepEqual(partition.endOffsetForEpoch(firstEpoch - 1)?.endOffset, 0);
  assert.equal(partition.endOffsetForEpoch(secondEpoch + 1), undefined);
  assert.deepEqual([partition.epochOf(2), partition.epochOf(3)], [firstEpoch, secondEpoch]);
  assert.equal(partition.epochFault(firstEpoch)?.code, "leader_epoch_fenced");
  assert.equal(partition.epochFault(secondEpoch + 1)?.code, "leader_epoch_unknown");
  assert.equal(partition.epochFault(secondEpoch), undefined);
});

test("silent producers are forgotten, and after that begin anywhere", async () => {
  const world = await open();
  await put(world, { producerId: 5, baseSequence: 0 });
  const { env, partition } = world;
  partition.expireProducers(env.clock.wallMs() - day);
  assert.equal(partition.activeProducers().length, 1);
  partition.expireProducers(env.clock.wallMs() + 1);
  assert.equal(partition.activeProducers().length, 0);
  assert.equal((await put(world, { producerId: 5, baseSequence: 17 })).kind, "appended");
});

test("a closed partition refuses appends and wakes its readers", async () => {
  const { env, partition, partitions } = await open();
  let isWoken = false;
  partition.addWaiter({ advanced: () => (isWoken = true) });
  partitions.dropPartition(partition);
  assert.equal(isWoken, true);
  assert.equal(codeOf(partition.append(batch(), env.clock.wallMs())), "topic_not_found");
});

test("a failed sync settles nothing as durable and is told once", async () => {
  let isBroken = false;
  const disk = new MemoryDisk({
    onCall: ({ kind }) => {
      if (isBroken && kind === "sync") throw Object.assign(new Error("EIO"), { code: "EIO" });
    },
  });
  const env = memoryEnv({ seed: 1, disk });
  const told: string[] = [];
  const store = { directory: "/store", durability: "fsync" } as const;
  const onFatal = (error: LogError): void => void told.push(error.code);
  const partitions = await env.run(Partitions.open(env, { store, onFatal }));
  const topic = { topicId, policy: policyOf(), isInternal: false };
  const partition = partitions.openPartition(topic, 0);
  isBroken = true;
  const outcome = partition.append(batch(), env.clock.wallMs());
  await settle(env, outcome);
  assert.equal(settled(outcome)?.code, "storage_failed");
  assert.equal(partition.highWatermark, 0);
  assert.equal(codeOf(partition.append(batch(), env.clock.wallMs())), "storage_failed");
  assert.deepEqual(told, ["storage_failed"]);
});

test("with durability os a large batch is settled when the append returns", async () => {
  const { env, partition } = await open({ durability: "os" });
  const outcome = partition.append(batch({ valueBytes: 100_000 }), env.clock.wallMs());
  assert.ok(outcome.kind === "appended");
  assert.equal(outcome.frame.isSettled, true);
  assert.equal(partition.highWatermark, 1);
  let isCalled = false;
  whenSettled([outcome], () => (isCalled = true));
  assert.equal(isCalled, true);
});

test("a reader that appends when it is woken is woken again, and nothing is lost on the way", async () => {
  const { env, partition } = await open({ durability: "os" });
  let count = 0;
  partition.addWaiter({
    advanced: () => {
      if (++count < 5) partition.append(batch({ valueBytes: 100_000 }), env.clock.wallMs());
    },
  });
  partition.append(batch({ valueBytes: 100_000 }), env.clock.wallMs());
  assert.deepEqual([count, partition.highWatermark], [5, 5]);
});
