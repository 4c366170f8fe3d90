import assert from "node:assert/strict";
import { describe, test } from "node:test";

import * as fc from "fast-check";

import {
  append,
  DIRECTORY,
  expected,
  makeBatch,
  type OpenedStore,
  openStore,
  OTHER_TOPIC,
  readAll,
  TOPIC,
} from "../../test/fixtures/store.ts";
import {
  type DiskCall,
  diskError,
  MemoryDisk,
  type MemoryEnv,
  memoryEnv,
  seededFates,
} from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { BatchHeader, patchBatch } from "../records/index.ts";
import { verifyStore } from "./inspect.ts";
import type { PartitionLog } from "./partition-log.ts";
import { Store } from "./store.ts";

const isCode =
  (code: string, part = "") =>
  (error: unknown) =>
    error instanceof LogError && error.code === code && error.message.includes(part);

/** Lets the store write what is open, and waits until it is durable. */
async function settle({ env, store }: OpenedStore): Promise<void> {
  store.flush();
  await env.run(store.syncWal());
  while (store.durableSequence < store.writtenSequence) await Promise.resolve();
}

function passing({ timers }: MemoryEnv, ms: number): Promise<void> {
  return new Promise((resolve) => {
    timers.after(ms, resolve);
  });
}

function walBytes(disk: MemoryDisk, name: string): Uint8Array {
  const file = disk.open(`${DIRECTORY}/wal/${name}`, "read");
  const bytes = new Uint8Array(file.size());
  file.read(bytes, 0);
  file.close();
  return bytes;
}

function overwrite(disk: MemoryDisk, path: string, position: number, bytes: Uint8Array): void {
  const file = disk.open(`${DIRECTORY}/${path}`, "write");
  file.write([bytes], position);
  file.close();
}

/** What the segments have of these logs. */
function segmentsOf(
  logs: readonly PartitionLog[],
): { readonly batches: number; readonly records: number }[] {
  const segments = new Map<number, { batches: number; records: number }>();
  for (const { segmentNumber, batchCount, baseOffset, endOffset } of logs.flatMap(
    (log) => log.runs,
  )) {
    const { batches, records } = segments.get(segmentNumber) ?? { batches: 0, records: 0 };
    segments.set(segmentNumber, {
      batches: batches + batchCount,
      records: records + endOffset - baseOffset,
    });
  }
  return [...segments.values()];
}

describe("a store", () => {
  test("gives back what was appended, in order, before and after a restart", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    const other = opened.store.openLog(OTHER_TOPIC, 3);
    for (let i = 0; i < 50; i++) {
      append(opened.store, log, { recordCount: 1 + (i % 7) });
      if (i % 3 === 0) append(opened.store, other);
      if (i % 5 === 0) opened.store.flush();
    }
    await settle(opened);
    assert.deepEqual(await readAll(log), expected(0, log.endOffset));
    const ends = [log.endOffset, other.endOffset];
    const again = await openStore(opened.env.disk.kill());
    const logs = [again.store.openLog(TOPIC, 0), again.store.openLog(OTHER_TOPIC, 3)];
    assert.deepEqual(
      logs.map((one) => one.endOffset),
      ends,
    );
    for (const one of logs) assert.deepEqual(await readAll(one), expected(0, one.endOffset));
    assert.equal(again.store.incarnation, opened.store.incarnation + 1);
  });

  test("writes one frame for all partitions of a loop turn, and at once from 64 KiB on", async () => {
    const opened = await openStore();
    const logs = [0, 1, 2].map((partition) => opened.store.openLog(TOPIC, partition));
    for (const log of logs) append(opened.store, log);
    assert.equal(opened.store.stats.frames, 0);
    opened.env.timers.runSoon();
    assert.equal(opened.store.stats.frames, 1);
    for (let i = 0; i < 70; i++)
      append(opened.store, logs[0] ?? assert.fail(), { recordCount: 100 });
    assert.ok(opened.store.stats.frames > 1, "a large frame waited for the end of the turn");
  });

  test("a sync at once covers what is under way in the background", async () => {
    const opened = await openStore(undefined, { syncsNow: true, walFileBytes: 4096 });
    const { store, owner } = opened;
    const log = store.openLog(TOPIC, 0);
    let frame = -1;
    for (let i = 0; i < 30; i++) {
      frame = append(store, log, { recordCount: 20 });
      store.flush();
    }
    assert.ok(opened.env.disk.list(`${DIRECTORY}/wal`).length > 2);
    assert.ok(owner.durableSequence < frame, "a sync is under way");
    store.syncWalNow();
    assert.equal(owner.durableSequence, frame);
    const again = await openStore(opened.env.disk.crash(() => "lost"));
    assert.deepEqual(await readAll(again.store.openLog(TOPIC, 0)), expected(0, log.endOffset));
  });

  test("a sync at once hears of a failure that one in the background has not told yet", async () => {
    let mayFail = false;
    const disk = new MemoryDisk({
      onCall: ({ kind, path }) => {
        if (kind !== "sync" || !mayFail) return;
        mayFail = false;
        throw diskError("EIO", path);
      },
    });
    const opened = await openStore(disk, { syncsNow: true });
    const { store, owner } = opened;
    const log = store.openLog(TOPIC, 0);
    append(store, log);
    await settle(opened);
    append(store, log);
    mayFail = true;
    store.flush();
    // The call was made, and its answer is on the way.
    for (let i = 0; i < 4; i++) await Promise.resolve();
    assert.ok(!mayFail && owner.fatalError === undefined);
    const durable = owner.durableSequence;
    assert.throws(() => store.syncWalNow(), isCode("storage_failed", "EIO"));
    assert.ok(owner.fatalError !== undefined);
    assert.equal(owner.durableSequence, durable);
  });

  test("reports a frame durable only after its sync, and shares a sync among frames", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    const first = append(opened.store, log);
    opened.store.flush();
    assert.ok(opened.owner.durableSequence < first);
    const syncs = opened.store.stats.syncs;
    for (let i = 0; i < 20; i++) {
      append(opened.store, log);
      opened.store.flush();
    }
    await settle(opened);
    assert.equal(opened.owner.durableSequence, first + 20);
    assert.ok(opened.store.stats.syncs - syncs <= 3);
  });

  test("with durability os a frame counts as soon as it is written", async () => {
    const opened = await openStore(undefined, { durability: "os" });
    const sequence = append(opened.store, opened.store.openLog(TOPIC, 0));
    opened.store.flush();
    assert.equal(opened.owner.durableSequence, sequence);
  });

  test("reads at most bytesMax, but one batch where that is demanded", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 10; i++) append(opened.store, log, { recordCount: 10 });
    await settle(opened);
    const limits = { endOffset: log.endOffset, bytesMax: 10 };
    assert.equal(await log.read(0, { ...limits, atLeastOneBatch: false }), undefined);
    const one = await log.read(35, { ...limits, atLeastOneBatch: true });
    const header = new BatchHeader();
    header.read(one?.bytes ?? assert.fail(), 0);
    assert.deepEqual([header.baseOffset, header.sizeBytes], [30, one?.bytes.length]);
    assert.equal(await log.read(100, { ...limits, atLeastOneBatch: true }), undefined);
  });
});

describe("checkpoints and segments", () => {
  test("a batch is found wherever it lies between two entries of the index", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    // Some begin so close before an entry that what is read for little ends within their header.
    for (let i = 0; i < 1000; i++) append(opened.store, log);
    append(opened.store, log, { recordCount: 9000 });
    append(opened.store, log);
    await opened.env.run(opened.store.checkpoint());
    const limits = { endOffset: log.endOffset, bytesMax: 1, atLeastOneBatch: true };
    const header = new BatchHeader();
    const offsets = [...Array.from({ length: 1001 }, (_, index) => index), 9999, 10_000];
    const isFound = (offset: number, bytes: Uint8Array | undefined): void => {
      header.read(bytes ?? assert.fail(`nothing at ${offset}`), 0);
      assert.ok(header.baseOffset <= offset && header.nextOffset > offset);
    };
    for (const offset of offsets) {
      isFound(offset, log.readNow(offset, limits)?.bytes);
      // The batch of 9,000 is over this limit, and not demanded.
      if (offset === 1000 || offset === 9999) continue;
      isFound(
        offset,
        log.readNow(offset, { ...limits, bytesMax: 80, atLeastOneBatch: false })?.bytes,
      );
    }
    // After a restart reading waits for the device.
    const again = await openStore(opened.env.disk.kill());
    const cold = again.store.openLog(TOPIC, 0);
    for (const offset of offsets) {
      isFound(offset, (await again.env.run(Promise.resolve(cold.read(offset, limits))))?.bytes);
    }
  });

  test("any batch of a segment is read with one call", async () => {
    let calls = 0;
    const onCall = ({ kind, path }: DiskCall): void => {
      if (kind === "read" && path.endsWith(".seg")) calls++;
    };
    const opened = await openStore(new MemoryDisk({ onCall }));
    const log = opened.store.openLog(TOPIC, 0);
    for (let n = 0; n < 60; n++) {
      append(opened.store, log, { recordCount: [1, 300, 1200, 2, 5000][n % 5] ?? 1 });
    }
    await settle(opened);
    await opened.env.run(opened.store.checkpoint());
    const { endOffset } = log;
    log.readNow(0, { bytesMax: 1, endOffset, atLeastOneBatch: true })?.release();
    for (let next = 0; next < endOffset;) {
      calls = 0;
      const fetched = log.readNow(next, { bytesMax: 1, endOffset, atLeastOneBatch: true });
      assert.equal(calls, 1, `at ${next}`);
      assert.ok(fetched !== undefined && fetched.nextOffset > next);
      next = fetched.nextOffset;
      fetched.release();
    }
  });

  test("a restart reads only what came after the last checkpoint", async () => {
    const opened = await openStore();
    opened.owner.stateOf = (log) => `state at ${log.endOffset}`;
    opened.store.setAttachment("upper", () => new TextEncoder().encode("above"));
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 40; i++) append(opened.store, log, { recordCount: 3 });
    await opened.env.run(opened.store.checkpoint());
    for (let i = 0; i < 5; i++) append(opened.store, log);
    await settle(opened);
    const again = await openStore(opened.env.disk.kill());
    assert.equal(again.owner.recoveredBatches, 5);
    assert.equal(again.owner.states.get(`${TOPIC}/0`), "state at 120");
    assert.equal(new TextDecoder().decode(again.store.attachment("upper")), "above");
    const recovered = again.store.openLog(TOPIC, 0);
    assert.deepEqual(await readAll(recovered), expected(0, 125));
    assert.deepEqual(await readAll(recovered, { from: 77, bytesMax: 100 }), expected(77, 125));
  });

  test("small partitions share a segment, a large one has its own, cut at segmentBytes", async () => {
    const opened = await openStore(undefined, { segmentBytes: 1 << 20 });
    const large = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 420; i++) append(opened.store, large, { recordCount: 1000 });
    const small = [1, 2, 3].map((partition) => opened.store.openLog(TOPIC, partition));
    for (const log of small) append(opened.store, log, { recordCount: 20 });
    await opened.env.run(opened.store.checkpoint());
    assert.ok(large.runs.length >= 3, `${large.runs.length} runs`);
    assert.equal(new Set(small.flatMap((log) => log.runs.map((run) => run.segmentNumber))).size, 1);
    for (const log of [large, ...small]) {
      assert.deepEqual(await readAll(log, { bytesMax: 1 << 20 }), expected(0, log.endOffset));
    }
    assert.deepEqual(verifyStore(opened.env.disk, DIRECTORY, () => undefined).problems, []);
  });

  test("a sync goes on while a checkpoint lets files of the WAL go", async () => {
    const hook: { onRename?: (() => void) | undefined } = {};
    const disk = new MemoryDisk({
      onCall: ({ kind }) => {
        if (kind !== "rename") return;
        hook.onRename?.();
        hook.onRename = undefined;
      },
    });
    const opened = await openStore(disk, { durability: "os", walFileBytes: 4096 });
    const { store, env, owner } = opened;
    const log = store.openLog(TOPIC, 0);
    for (let i = 0; i < 100; i++) {
      append(store, log, { recordCount: 50 });
      store.flush();
    }
    let syncing: Promise<number> | undefined;
    // The checkpoint gets its name: its files are let go in the next moments.
    hook.onRename = () => {
      syncing = store.syncWal();
    };
    await env.run(store.checkpoint());
    assert.ok(syncing !== undefined);
    await env.run(syncing);
    assert.equal(owner.fatalError, undefined);
    assert.deepEqual(await readAll(log), expected(0, log.endOffset));
  });

  test("the WAL before a checkpoint goes, and appends go on while it is made", async () => {
    const opened = await openStore(undefined, { walFileBytes: 16 << 10 });
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 100; i++) {
      append(opened.store, log, { recordCount: 100 });
      opened.store.flush();
    }
    const files = opened.env.disk.list(`${DIRECTORY}/wal`).length;
    const making = opened.store.checkpoint();
    append(opened.store, log, { recordCount: 100 });
    await opened.env.run(making);
    append(opened.store, log, { recordCount: 100 });
    await settle(opened);
    assert.ok(files > 5);
    assert.ok(opened.env.disk.list(`${DIRECTORY}/wal`).length <= 2);
    assert.deepEqual(await readAll(log), expected(0, log.endOffset));
    const again = await openStore(opened.env.disk.kill());
    assert.deepEqual(await readAll(again.store.openLog(TOPIC, 0)), expected(0, log.endOffset));
  });

  test("checkpoints that many ask for at once are made one after the other", async () => {
    const opened = await openStore(undefined, { segmentBytes: 4 << 10, walFileBytes: 16 << 10 });
    const { store, env } = opened;
    const log = store.openLog(TOPIC, 0);
    for (let round = 0; round < 6; round++) {
      const asked: Promise<void>[] = [];
      for (let i = 0; i < 4; i++) {
        append(store, log, { recordCount: 20 });
        asked.push(store.checkpoint());
      }
      await env.run(Promise.all(asked));
    }
    assert.equal(store.stats.checkpoints, 24);
    assert.deepEqual(await readAll(log), expected(0, log.endOffset));
    await env.run(store.close());
    assert.deepEqual(verifyStore(env.disk, DIRECTORY, () => undefined).problems, []);
  });

  test("a checkpoint that waits for another is refused when the store is closed meanwhile", async () => {
    const opened = await openStore();
    const { store, env } = opened;
    const log = store.openLog(TOPIC, 0);
    append(store, log);
    const first = store.checkpoint();
    const second = assert.rejects(store.checkpoint(), { code: "closed" });
    await env.run(Promise.all([store.close(), first, second]));
    assert.equal(store.stats.checkpoints, 1);
    const again = await openStore(env.disk.kill());
    assert.deepEqual(await readAll(again.store.openLog(TOPIC, 0)), expected(0, 1));
  });

  test("a checkpoint is made by itself when the WAL has grown enough", async () => {
    const opened = await openStore(undefined, { checkpointBytes: 100 << 10 });
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 60; i++) append(opened.store, log, { recordCount: 200 });
    await settle(opened);
    await opened.env.run(opened.store.checkpoint());
    assert.ok(opened.store.stats.checkpoints >= 1 && log.runs.length >= 1);
  });

  test("a checkpoint waits for a lull from a quarter of its limit on, and no longer than its limit", async () => {
    const { store, env } = await openStore(undefined, {
      durability: "os",
      checkpointBytes: 64 << 20,
      checkpointBatches: 80_000,
    });
    const log = store.openLog(TOPIC, 0);
    const write = (batches: number): void => {
      for (let i = 0; i < batches; i++) append(store, log);
      store.flush();
    };
    // Each time is a lull's, and what is written in it is not little.
    const made: number[] = [];
    for (let round = 0; round < 5; round++) {
      write(15_000);
      await env.run(passing(env, 100));
      made.push(store.stats.checkpoints);
    }
    assert.deepEqual(made, [0, 0, 0, 0, 0]);
    await env.run(passing(env, 101));
    assert.equal(store.stats.checkpoints, 1, "nothing is written");
    write(19_999);
    await env.run(passing(env, 1_000));
    assert.equal(store.stats.checkpoints, 1, "less than a quarter");
    write(60_001);
    await env.run(passing(env, 1));
    assert.equal(store.stats.checkpoints, 2, "the limit");
    assert.deepEqual(await readAll(log), expected(0, log.endOffset));
  });

  test("a checkpoint does not wait for a lull where the disk has little room", async () => {
    const disk = new MemoryDisk({ capacityBytes: 15 << 20 });
    const { store, env } = await openStore(disk, { durability: "os", checkpointBytes: 4 << 20 });
    const log = store.openLog(TOPIC, 0);
    for (let round = 0; round < 8; round++) {
      for (let i = 0; i < 6_000; i++) append(store, log);
      store.flush();
      await env.run(passing(env, 100));
    }
    assert.ok(store.stats.checkpoints > 1);
  });

  test("with durability os all before a checkpoint outlives a power cut, though the WAL was not synced", async () => {
    for (let seed = 0; seed < 40; seed++) {
      const opened = await openStore(undefined, { durability: "os", walFileBytes: 64 << 10 });
      const log = opened.store.openLog(TOPIC, 0);
      for (let i = 0; i < 40 + seed; i++) append(opened.store, log, { recordCount: 200 });
      opened.store.flush();
      const kept = log.endOffset;
      const { syncs } = opened.store.stats;
      await opened.env.run(opened.store.checkpoint());
      assert.equal(opened.store.stats.syncs, syncs);
      for (let i = 0; i < 10; i++) append(opened.store, log, { recordCount: 200 });
      opened.store.flush();
      const again = await openStore(opened.env.disk.crash(seededFates(seed)));
      const recovered = again.store.openLog(TOPIC, 0);
      assert.ok(recovered.endOffset >= kept, `seed ${seed}: ${recovered.endOffset} of ${kept}`);
      assert.deepEqual(await readAll(recovered), expected(0, recovered.endOffset));
    }
  });

  test("small segments are merged eight at a time, and nothing of a partition is lost or moved", async () => {
    const opened = await openStore();
    const logs = [0, 1, 2].map((partition) => opened.store.openLog(TOPIC, partition));
    for (let round = 0; round < 30; round++) {
      for (const [i, log] of logs.entries()) {
        if (round % (i + 1) === 0) append(opened.store, log, { recordCount: 5 });
      }
      await opened.env.run(opened.store.checkpoint());
    }
    const segments = opened.env.disk.list(`${DIRECTORY}/segments`);
    assert.ok(segments.length <= 8, `${segments.length} segments`);
    assert.deepEqual(verifyStore(opened.env.disk, DIRECTORY, () => undefined).problems, []);
    for (const log of logs) assert.deepEqual(await readAll(log), expected(0, log.endOffset));
    const again = await openStore(opened.env.disk.crash(() => "lost"));
    for (const log of logs) {
      const recovered = again.store.openLog(TOPIC, log.partition);
      assert.deepEqual(await readAll(recovered), expected(0, log.endOffset));
    }
    assert.ok((logs[0]?.runs.length ?? 0) <= 8, `${logs[0]?.runs.length} runs`);
  });

  test("a segment never has more records than segmentRecords, merged or not, but for a larger batch", async () => {
    const opened = await openStore(undefined, { segmentRecords: 100 });
    const { store, env } = opened;
    const logs = [0, 1].map((partition) => store.openLog(TOPIC, partition));
    const sizes = [1, 7, 30, 64, 130, 100, 3];
    for (let round = 0; round < 40; round++) {
      for (const [i, log] of logs.entries()) {
        append(store, log, { recordCount: sizes[(round + i) % sizes.length] ?? 1 });
      }
      if (round % 2 === 0) await env.run(store.checkpoint());
    }
    await env.run(store.checkpoint());
    const full = segmentsOf(logs).filter(({ records }) => records > 100);
    assert.ok(full.length > 5 && full.every(({ batches }) => batches === 1), JSON.stringify(full));
    const small = segmentsOf(logs).filter(({ records }) => records < 50);
    assert.ok(small.length <= 8, "small ones are merged");
    const made = store.stats.segments;
    for (let round = 0; round < 3; round++) await env.run(store.checkpoint());
    assert.equal(store.stats.segments, made, "what is half full is not written again");
    for (const log of logs) assert.deepEqual(await readAll(log), expected(0, log.endOffset));
    assert.deepEqual(verifyStore(env.disk, DIRECTORY, () => undefined).problems, []);
  });

  test("runs end at multiples of segmentMs, where a partition has a segment for itself that ends, too", async () => {
    const opened = await openStore(undefined, { segmentMs: 1_000 });
    const { store, env } = opened;
    const large = store.openLog(TOPIC, 0);
    const small = [1, 2, 3].map((partition) => store.openLog(TOPIC, partition));
    for (let i = 0; i < 450; i++) append(store, large, { recordCount: 1_000, timestampMs: i * 10 });
    for (const log of small) {
      for (const timestampMs of [300, 1_700, 1_800, 900, 3_000])
        append(store, log, { timestampMs });
    }
    await env.run(store.checkpoint());
    assert.deepEqual(
      large.runs.map((run) => run.maxTimestamp),
      [990, 1_990, 2_990, 3_990, 4_490],
    );
    assert.equal(segmentsOf([large]).length, 5);
    // One file for all, however many ends they have; a record that came late stays among its neighbours.
    assert.equal(segmentsOf(small).length, 1);
    for (const log of small) {
      assert.deepEqual(
        log.runs.map((run) => [run.baseOffset, run.endOffset, run.maxTimestamp]),
        [
          [0, 1, 300],
          [1, 4, 1_800],
          [4, 5, 3_000],
        ],
      );
    }
    const logs = [large, ...small];
    for (const log of logs) {
      assert.deepEqual(await readAll(log, { bytesMax: 1 << 20 }), expected(0, log.endOffset));
    }
    assert.deepEqual(verifyStore(env.disk, DIRECTORY, () => undefined).problems, []);
  });

  test("a partition with a trickle keeps what its retention says and segmentMs more, not what is merged for ever", async () => {
    const dayMs = 86_400_000;
    const opened = await openStore();
    const { store, env } = opened;
    const log = store.openLog(TOPIC, 0);
    for (let day = 0; day < 100; day++) {
      append(store, log, { timestampMs: day * dayMs });
      await env.run(store.checkpoint());
      store.retain(log, { nowMs: day * dayMs, retentionMs: 10 * dayMs });
      assert.ok(log.endOffset - log.startOffset <= 10 + 7 + 1, `${log.startOffset} on day ${day}`);
      assert.ok(log.startOffset <= Math.max(0, day - 10), `${log.startOffset} on day ${day}`);
    }
    assert.ok(log.runs.length < 18, `${log.runs.length} runs of 18 days`);
  });

  test("of a trickle a run stays for each span of time that is over, and what was written lately", async () => {
    const dayMs = 86_400_000;
    const opened = await openStore();
    const { store, env } = opened;
    const log = store.openLog(TOPIC, 0);
    const weeks = 20;
    for (let day = 0; day < 7 * weeks; day++) {
      append(store, log, { timestampMs: day * dayMs });
      await env.run(store.checkpoint());
      assert.ok(log.runs.length <= day / 7 + 9, `${log.runs.length} runs on day ${day}`);
    }
    assert.deepEqual(await readAll(log), expected(0, log.endOffset));
    // Without anything to merge nothing is written anew.
    const { segments } = store.stats;
    for (let i = 0; i < 5; i++) await env.run(store.checkpoint());
    assert.equal(store.stats.segments, segments);
    assert.deepEqual(verifyStore(env.disk, DIRECTORY, () => undefined).problems, []);
  });

  test("retention moves the start past old runs, and their files go", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    for (const timestampMs of [1_000, 2_000, 3_000]) {
      for (let i = 0; i < 5; i++) append(opened.store, log, { timestampMs });
      await opened.env.run(opened.store.checkpoint());
    }
    const before = opened.env.disk.list(`${DIRECTORY}/segments`).length;
    assert.equal(opened.store.retain(log, { nowMs: 10_000, retentionMs: 7_500 }), 10);
    await settle(opened);
    await opened.env.run(opened.store.checkpoint());
    assert.equal(log.startOffset, 10);
    assert.equal(opened.env.disk.list(`${DIRECTORY}/segments`).length, before - 2);
    assert.equal(opened.store.retain(log, { nowMs: 10_000, retentionBytes: 1 << 20 }), undefined);
    assert.equal(opened.store.retain(log, { nowMs: 10_000, retentionBytes: 0 }), 15);
    const again = await openStore(opened.env.disk.kill());
    assert.equal(again.store.openLog(TOPIC, 0).startOffset, 10);
  });

  test("a moved start and a dropped log stay so after a crash and a checkpoint", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    const dropped = opened.store.openLog(OTHER_TOPIC, 0);
    for (let i = 0; i < 10; i++) {
      append(opened.store, log);
      append(opened.store, dropped);
    }
    await opened.env.run(opened.store.checkpoint());
    opened.store.moveStart(log, 4);
    opened.store.dropLog(dropped);
    await settle(opened);
    await opened.env.run(opened.store.checkpoint());
    const again = await openStore(opened.env.disk.crash(() => "lost"));
    assert.equal(again.store.openLog(TOPIC, 0).startOffset, 4);
    assert.deepEqual(
      Array.from(again.store.logs(), ({ topicId }) => topicId),
      [TOPIC],
    );
  });

  test("finds records by time in segments and in the WAL", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 100; i++)
      append(opened.store, log, { timestampMs: i * 10, recordCount: 500 });
    await opened.env.run(opened.store.checkpoint());
    for (let i = 100; i < 120; i++) append(opened.store, log, { timestampMs: i * 10 });
    await settle(opened);
    for (const timestampMs of [0, 5, 500, 990, 995, 1_190]) {
      const offset = log.seekTime(timestampMs) ?? assert.fail();
      const batch = Math.ceil(timestampMs / 10);
      const exact = batch < 100 ? batch * 500 : 50_000 + batch - 100;
      assert.ok(offset <= exact && exact - offset <= 1_500, `${timestampMs}: ${offset}, ${exact}`);
    }
    assert.equal(log.seekTime(1_191), undefined);
    assert.equal(log.newestTimestamp(), 1_190);
  });
});

describe("recovery", () => {
  test("a tail torn at any byte is cut, and what was durable before it is there", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 4; i++) append(opened.store, log);
    await settle(opened);
    const [name = ""] = opened.env.disk.list(`${DIRECTORY}/wal`);
    const before = walBytes(opened.env.disk, name);
    append(opened.store, log, { recordCount: 3 });
    opened.store.flush();
    const after = walBytes(opened.env.disk, name);
    const start = before.findIndex((byte, i) => byte !== after[i]);
    const end = after.findLastIndex((byte) => byte !== 0) + 1;
    let disk = opened.env.disk.kill();
    for (let cut = start; cut < end; cut++) {
      const torn = after.slice();
      torn.fill(0, cut);
      overwrite(disk, `wal/${name}`, 0, torn);
      const again = await openStore(disk);
      const recovered = again.store.openLog(TOPIC, 0);
      assert.deepEqual(await readAll(recovered), expected(0, 4), `cut at ${cut}`);
      append(again.store, recovered);
      await settle(again);
      assert.deepEqual(await readAll(recovered), expected(0, 5));
      disk = again.env.disk.kill();
      for (const other of disk.list(`${DIRECTORY}/wal`)) {
        if (other !== name) disk.remove(`${DIRECTORY}/wal/${other}`);
      }
    }
  });

  test("a damaged frame that was synced is refused with file and position, and nothing is cut", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 6; i++) {
      append(opened.store, log);
      await settle(opened);
    }
    await opened.env.run(opened.store.close());
    const disk = opened.env.disk.kill();
    const [name = ""] = disk.list(`${DIRECTORY}/wal`);
    const whole = walBytes(disk, name);
    for (const position of [130, 200, 260, 600]) {
      const bad = whole.slice();
      bad[position] = (bad[position] ?? 0) ^ 4;
      overwrite(disk, `wal/${name}`, 0, bad);
      // A flip inside a batch that is known to be synced is found when it is read.
      const found = await openStore(disk).then(
        async ({ store, env }) => {
          const reading = readAll(store.openLog(TOPIC, 0)).then(
            () => undefined,
            (error: unknown) => error,
          );
          const error = await reading;
          await env.run(store.close());
          return error;
        },
        (error: unknown) => error,
      );
      assert.ok(isCode("data_corrupt", name)(found), `position ${position}: ${String(found)}`);
      for (const other of disk.list(`${DIRECTORY}/wal`)) {
        if (other !== name) disk.remove(`${DIRECTORY}/wal/${other}`);
      }
    }
  });

  test("bytes of a record that look like a frame do not pass for one", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    append(opened.store, log);
    await settle(opened);
    const [name = ""] = opened.env.disk.list(`${DIRECTORY}/wal`);
    const frame = walBytes(opened.env.disk, name).subarray(128, 400);
    const header = new BatchHeader();
    const batch = makeBatch(1);
    const carrier = new Uint8Array(batch.length);
    carrier.set(batch);
    patchBatch(carrier, 0, 1, opened.store.incarnation);
    header.read(carrier, 0);
    opened.store.append(log, carrier, header);
    opened.store.flush();
    // The tail: half of that frame, then an old frame of this very store, out of its place.
    const bytes = walBytes(opened.env.disk, name);
    const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
    const disk = opened.env.disk.kill();
    overwrite(disk, `wal/${name}`, end - 20, new Uint8Array(20));
    overwrite(disk, `wal/${name}`, end, frame);
    const again = await openStore(disk);
    assert.deepEqual(await readAll(again.store.openLog(TOPIC, 0)), expected(0, 1));
  });

  test("after a power cut everything reported durable is there, in order, and a prefix of the rest", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.constantFrom("append", "append", "append", "flush", "settle", "checkpoint", "turn"),
          { minLength: 1, maxLength: 40 },
        ),
        fc.array(fc.nat(1_000_000), { minLength: 1, maxLength: 3 }),
        async (steps, crashes) => {
          let disk = new MemoryDisk();
          let durableEnd = 0;
          for (const seed of crashes) {
            const options = { walFileBytes: 1_500, segmentBytes: 2_000 };
            const opened = await openStore(disk, options);
            const { store, env, owner } = opened;
            const log = store.openLog(TOPIC, 0);
            assert.ok(log.endOffset >= durableEnd, `${log.endOffset} of ${durableEnd}`);
            assert.deepEqual(await readAll(log), expected(0, log.endOffset));
            const ends = new Map<number, number>();
            for (const step of steps) {
              if (step === "append") ends.set(append(store, log), log.endOffset);
              else if (step === "flush") store.flush();
              else if (step === "settle") await settle(opened);
              else if (step === "turn") env.timers.runSoon();
              else await env.run(store.checkpoint());
            }
            for (const [sequence, end] of ends) {
              if (sequence <= owner.durableSequence) durableEnd = Math.max(durableEnd, end);
            }
            disk = env.disk.crash(seededFates(seed));
          }
          const last = await openStore(disk);
          const log = last.store.openLog(TOPIC, 0);
          assert.ok(log.endOffset >= durableEnd, `${log.endOffset} of ${durableEnd}`);
          assert.deepEqual(await readAll(log), expected(0, log.endOffset));
        },
      ),
      {
        numRuns: 150,
        // Found: a torn frame that one recovery had cut was taken up again by the next.
        examples: [
          [
            ["append", "settle", "append", "turn"],
            [328_312, 0],
          ],
        ],
      },
    );
  });
});

describe("faults", () => {
  test("a full disk fails the frame and nothing else; it recovers when there is room", async () => {
    let isFull = false;
    const disk = new MemoryDisk({
      onCall: ({ kind, path }) => {
        if (isFull && kind === "write") throw diskError("ENOSPC", path, 40);
      },
    });
    const opened = await openStore(disk);
    const log = opened.store.openLog(TOPIC, 0);
    append(opened.store, log);
    await settle(opened);
    isFull = true;
    append(opened.store, log, { recordCount: 4 });
    opened.store.flush();
    assert.equal(opened.owner.failures[0]?.code, "storage_full");
    assert.equal(log.endOffset, 1);
    await assert.rejects(opened.env.run(opened.store.checkpoint()), isCode("storage_full"));
    isFull = false;
    append(opened.store, log);
    await settle(opened);
    await opened.env.run(opened.store.checkpoint());
    const again = await openStore(opened.env.disk.kill());
    assert.deepEqual(await readAll(again.store.openLog(TOPIC, 0)), expected(0, 2));
  });

  test("on a full disk what was deleted makes room, and a checkpoint leaves no large file behind", async () => {
    const opened = await openStore(new MemoryDisk({ capacityBytes: 8 << 20 }), {
      durability: "os",
    });
    const { store, env, owner } = opened;
    const logs = [0, 1].map((partition) => store.openLog(TOPIC, partition));
    const [old = assert.fail(), recent = assert.fail()] = logs;
    while (old.endOffset < 100_000) append(store, old, { recordCount: 1_000 });
    await env.run(store.checkpoint());
    assert.ok(env.disk.usedBytes < 3 << 20, `${env.disk.usedBytes} bytes after a checkpoint`);
    while (env.disk.freeBytes(DIRECTORY) > 256 << 10) append(store, recent, { recordCount: 1_000 });
    assert.deepEqual(owner.failures, []);
    const kept = recent.endOffset;
    // No room for the segments of what the WAL has.
    await assert.rejects(env.run(store.checkpoint()), isCode("storage_full"));
    store.retain(old, { nowMs: 1e12, retentionMs: 1 });
    store.flush();
    await assert.rejects(env.run(store.checkpoint()), isCode("storage_full"));
    assert.ok(env.disk.freeBytes(DIRECTORY) > 1 << 20, "the expired segment is gone");
    store.moveStart(recent, kept);
    store.flush();
    await env.run(store.checkpoint());
    assert.ok(env.disk.usedBytes < 1 << 20, "deleted records were not copied");
    append(store, recent);
    store.flush();
    const again = await openStore(env.disk.kill(), { durability: "os" });
    assert.equal(again.store.openLog(TOPIC, 0).startOffset, 100_000);
    assert.deepEqual(await readAll(again.store.openLog(TOPIC, 1)), expected(kept, kept + 1));
  });

  test("after a failed sync nothing is acknowledged any more", async () => {
    let isBad = false;
    const disk = new MemoryDisk({
      onCall: ({ kind, path }) => {
        if (isBad && kind === "sync") throw diskError("EIO", path);
      },
    });
    const opened = await openStore(disk);
    const log = opened.store.openLog(TOPIC, 0);
    append(opened.store, log);
    await settle(opened);
    isBad = true;
    const sequence = append(opened.store, log);
    opened.store.flush();
    await assert.rejects(opened.env.run(opened.store.syncWal()), isCode("storage_failed"));
    isBad = false;
    assert.ok(opened.owner.durableSequence < sequence);
    assert.equal(opened.owner.fatalError?.code, "storage_failed");
    assert.throws(() => append(opened.store, log), isCode("storage_failed", "restart"));
  });

  test("a directory in use, foreign, newer or damaged is refused by name", async () => {
    const opened = await openStore();
    const { env } = opened;
    const open = (directory: string) =>
      env.run(Store.open(env, { directory, durability: "os" }, opened.owner));
    await assert.rejects(open(DIRECTORY), isCode("directory_in_use", DIRECTORY));
    append(opened.store, opened.store.openLog(TOPIC, 0));
    await env.run(opened.store.checkpoint());
    await env.run(opened.store.close());

    env.disk.makeDirectory("/foreign");
    env.disk.open("/foreign/letters.txt", "create").close();
    await assert.rejects(open("/foreign"), isCode("format_unknown", "letters.txt"));

    const identity = env.disk.open(`${DIRECTORY}/cordwood.json`, "write");
    const text = new Uint8Array(identity.size());
    identity.read(text, 0);
    const newer = new TextDecoder().decode(text).replace(`"version":1`, `"version":9`);
    identity.write([new TextEncoder().encode(newer)], 0);
    await assert.rejects(open(DIRECTORY), isCode("format_newer", "cordwood.json"));
    identity.write([new TextEncoder().encode("?")], 0);
    await assert.rejects(open(DIRECTORY), isCode("data_corrupt", "cordwood.json"));
    identity.write([text], 0);

    const [name = ""] = env.disk.list(`${DIRECTORY}/checkpoints`);
    overwrite(env.disk, `checkpoints/${name}`, 30, new Uint8Array([1, 2, 3]));
    await assert.rejects(open(DIRECTORY), isCode("data_corrupt", name));
  });

  test("leftovers of a build that did not finish are removed at the next start", async () => {
    const opened = await openStore();
    await opened.env.run(opened.store.close());
    const orphan = `${DIRECTORY}/segments/00000000000000000077.seg`;
    opened.env.disk.open(orphan, "create").close();
    const again = await openStore(opened.env.disk);
    assert.equal(again.env.disk.exists(orphan), false);
  });

  test("verify names the file of any flipped bit in a segment", async () => {
    const opened = await openStore();
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 3; i++) append(opened.store, log, { recordCount: 2 });
    await opened.env.run(opened.store.checkpoint());
    await opened.env.run(opened.store.close());
    const { disk } = memoryEnv({ seed: 1, disk: opened.env.disk });
    const [name = ""] = disk.list(`${DIRECTORY}/segments`);
    const file = disk.open(`${DIRECTORY}/segments/${name}`, "write");
    const whole = new Uint8Array(file.size());
    file.read(whole, 0);
    assert.deepEqual(verifyStore(disk, DIRECTORY, () => undefined).problems, []);
    for (let position = 0; position < whole.length; position++) {
      file.write([Uint8Array.of((whole[position] ?? 0) ^ 1)], position);
      const { problems } = verifyStore(disk, DIRECTORY, () => undefined);
      assert.ok(
        problems.some((problem) => problem.includes(name)),
        `a flip at ${position} of ${whole.length} was not found`,
      );
      file.write([whole.subarray(position, position + 1)], position);
    }
  });
});
