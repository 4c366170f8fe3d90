import assert from "node:assert/strict";
import { describe, test } from "node:test";

import * as fc from "fast-check";

import { DIRECTORY, openStore, type OpenedStore, TOPIC } from "../../test/fixtures/store.ts";
import { crc32c, putInt32 } from "../bytes/index.ts";
import { diskError, MemoryDisk, type MemoryEnv, seededFates } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import {
  BatchBuilder,
  BatchHeader,
  checkStoredBatch,
  type Codec,
  codecNames,
  patchBatch,
  patchLogAppendTime,
  RecordCursor,
} from "../records/index.ts";
import type { CompactionReport } from "../values/index.ts";
import type { CompactionOptions } from "./contract.ts";
import { verifyStore } from "./inspect.ts";
import { RecordFilter } from "./compaction.ts";
import { KeyOffsets } from "./key-offsets.ts";
import type { PartitionLog } from "./partition-log.ts";

/** A record as it was appended. */
interface Given {
  readonly key: string | undefined;
  /** Undefined is a tombstone. */
  readonly value: string | undefined;
  readonly timestampMs: number;
}

interface Placed extends Given {
  readonly offset: number;
}

const retentionMs = 10_000;
const options: CompactionOptions = {
  deleteRetentionMs: retentionMs,
  lagMinMs: 0,
  lagMaxMs: Infinity,
  dirtyRatioMin: 0.5,
  endOffset: () => Infinity,
  keyBytesMax: 1 << 20,
};
/** Segments of a few batches, and portions of a few segments. */
const sizes = { segmentBytes: 800, compactionBytes: 1_000 };
/** Room for two keys. */
const fewKeys = 100;

const bytesOf = (text: string | undefined): Uint8Array | undefined =>
  text === undefined ? undefined : new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);

function batchOf(records: readonly Given[], codec: Codec = "none"): Uint8Array {
  const builder = new BatchBuilder({ codec, producerId: 7, producerEpoch: 0, baseSequence: 0 });
  for (const { key, value, timestampMs } of records) {
    const headers = [{ key: "of", value: bytesOf(key ?? "nobody") }];
    builder.append(timestampMs, bytesOf(key), bytesOf(value), headers);
  }
  return new Uint8Array(builder.finish());
}

/** Appends a batch, and answers its records where they are. */
function put(
  { store }: OpenedStore,
  log: PartitionLog,
  records: readonly Given[],
  codec?: Codec,
): Placed[] {
  const batch = batchOf(records, codec);
  const base = log.endOffset;
  patchBatch(batch, 0, base, store.incarnation);
  const header = new BatchHeader();
  header.read(batch, 0);
  store.append(log, batch, header);
  return records.map((record, index) => ({ ...record, offset: base + index }));
}

/** Reads on from `from`, and checks on the way that every batch leads to the next one. */
async function readFrom(log: PartitionLog, from: number): Promise<Placed[]> {
  const found: Placed[] = [];
  const cursor = new RecordCursor();
  for (let next = from; ;) {
    const limits = { endOffset: log.endOffset, atLeastOneBatch: true, bytesMax: 300 };
    const fetched = await log.read(next, limits);
    if (fetched === undefined) return found;
    for (let position = 0; position < fetched.bytes.length;) {
      cursor.reset(fetched.bytes, position);
      found.push(...recordsFrom(cursor, from));
      // A reader that asks for what follows the last record it was given must get further.
      assert.equal(cursor.offset, cursor.header.lastOffset);
      assert.ok(cursor.header.nextOffset > next, `no way forward at ${next}`);
      next = cursor.header.nextOffset;
      position += cursor.header.sizeBytes;
    }
    fetched.release();
  }
}

function* recordsFrom(cursor: RecordCursor, from: number): Generator<Placed> {
  while (cursor.advance()) {
    const { offset, timestamp: timestampMs } = cursor;
    if (offset < from) continue;
    const key = textOf(cursor.key());
    assert.equal(textOf(cursor.headers()[0]?.value), key ?? "nobody");
    yield { offset, key, value: textOf(cursor.value()), timestampMs };
  }
}

function compact(
  { env, store }: OpenedStore,
  log: PartitionLog,
  changes: Partial<CompactionOptions> = {},
): Promise<CompactionReport> {
  return env.run(store.compact(log, { ...options, ...changes }));
}

/** The newest record of each key, and those without one. */
function newest(records: readonly Placed[]): Placed[] {
  const last = new Map(records.map((record) => [record.key, record.offset]));
  return records.filter(({ key, offset }) => key === undefined || last.get(key) === offset);
}

function verified({ env }: OpenedStore): void {
  assert.deepEqual(verifyStore(env.disk, DIRECTORY, () => undefined).problems, []);
}

async function reopen(opened: OpenedStore): Promise<OpenedStore> {
  await opened.env.run(opened.store.close());
  return openStore(opened.env.disk.kill());
}

const at = (key: string | undefined, value: string | undefined, timestampMs = 1_000): Given => ({
  key,
  value,
  timestampMs,
});

async function openedLog(): Promise<{ readonly store: OpenedStore; readonly log: PartitionLog }> {
  const store = await openStore(undefined, sizes);
  return { store, log: store.store.openLog(TOPIC, 0) };
}

describe("compaction", () => {
  for (const codec of codecNames) {
    test(`keeps the newest record of each key at its own offset, in ${codec} batches`, async () => {
      const { store, log } = await openedLog();
      const all: Placed[] = [];
      for (let i = 0; i < 40; i++) {
        const records = [at(`k${i % 7}`, `v${i}`, 1_000 + i), at(`once${i % 13}`, "x".repeat(40))];
        all.push(...put(store, log, records, codec));
        if (i === 20) await store.env.run(store.store.checkpoint());
      }
      const report = await compact(store, log);
      assert.deepEqual(await readFrom(log, 0), newest(all));
      assert.equal(report.recordsRemoved, all.length - newest(all).length);
      assert.equal(report.recordsRead, all.length);
      assert.equal(log.endOffset, all.length);
      for (let from = 0; from < log.endOffset; from++) {
        const expected = newest(all).filter(({ offset }) => offset >= from);
        assert.deepEqual(await readFrom(log, from), expected);
      }
      verified(store);
      const again = await reopen(store);
      assert.deepEqual(await readFrom(again.store.openLog(TOPIC, 0), 0), newest(all));
      await again.env.run(again.store.close());
    });
  }

  test("a second one finds nothing to do, a later one only what came since", async () => {
    const { store, log } = await openedLog();
    const all = put(store, log, [at("a", "1"), at("b", "1"), at("a", "2")]);
    assert.equal((await compact(store, log)).recordsRemoved, 1);
    assert.equal((await compact(store, log)).passes, 0);
    const again = await reopen(store);
    const same = again.store.openLog(TOPIC, 0);
    assert.equal((await compact(again, same)).passes, 0, "a restart knows what was compacted");
    all.push(...put(again, same, [at("b", "2"), at("c", "1")]));
    assert.equal((await compact(again, same)).recordsRemoved, 1);
    assert.deepEqual(await readFrom(same, 0), newest(all));
  });

  test("records without a key stay", async () => {
    const { store, log } = await openedLog();
    const all = put(store, log, [at(undefined, "1"), at("a", "1"), at(undefined, "2")]);
    all.push(...put(store, log, [at("a", "2"), at(undefined, "3")]));
    await compact(store, log);
    assert.deepEqual(await readFrom(log, 0), newest(all));
  });

  test("an empty key is a key, and an empty value is no tombstone", async () => {
    const { store, log } = await openedLog();
    const all = put(store, log, [at("", "1"), at("a", "1"), at("", "")]);
    await compact(store, log, { deleteRetentionMs: 0 });
    await compact(store, log, { deleteRetentionMs: 0 });
    assert.deepEqual(await readFrom(log, 0), newest(all));
  });

  test("a tombstone stays for its time, counted from the pass that met it, over a restart", async () => {
    const { store, log } = await openedLog();
    const [, , tombstone, last] = put(store, log, [
      at("a", "1"),
      at("b", "1"),
      at("a", undefined, 500),
      at("c", "1"),
    ]);
    assert.ok(tombstone !== undefined && last !== undefined);
    await compact(store, log);
    const offsets = async (of: PartitionLog): Promise<number[]> =>
      (await readFrom(of, 0)).map(({ offset }) => offset);
    assert.deepEqual(await offsets(log), [1, 2, 3]);
    assert.deepEqual((await readFrom(log, 2))[0], tombstone, "with its own time");
    store.env.timers.advance(retentionMs - 1);
    assert.equal((await compact(store, log)).passes, 0);
    await store.env.run(store.store.close());
    // A clock that begins anew: what counts is the wall's.
    const wallMs = store.env.clock.wallMs();
    const again = await openStore(store.env.disk.kill(), {}, wallMs + 1);
    const same = again.store.openLog(TOPIC, 0);
    assert.ok(await again.env.run(again.store.isCompactionDue(same, options)));
    const report = await compact(again, same);
    assert.deepEqual([report.recordsRemoved, report.tombstonesRemoved], [1, 1]);
    assert.deepEqual(await offsets(same), [1, 3]);
    assert.ok(!(await again.env.run(again.store.isCompactionDue(same, options))));
  });

  test("the last record of a log stays, be it a tombstone whose time is over", async () => {
    const { store, log } = await openedLog();
    put(store, log, [at("a", "1"), at("a", undefined)]);
    const offsets = async (): Promise<number[]> =>
      (await readFrom(log, 0)).map(({ offset }) => offset);
    for (let i = 0; i < 3; i++) {
      await compact(store, log, { deleteRetentionMs: 0 });
      store.env.timers.advance(1);
      assert.deepEqual(await offsets(), [1]);
    }
    put(store, log, [at("b", "1")]);
    await compact(store, log, { deleteRetentionMs: 0 });
    store.env.timers.advance(1);
    await compact(store, log, { deleteRetentionMs: 0 });
    assert.deepEqual(await offsets(), [2]);
  });

  test("a horizon that a client has put into its batch counts for nothing", async () => {
    const { store, log } = await openedLog();
    const batch = batchOf([at("a", undefined, 10), at("b", "1", 10)]);
    // Bit 6, with a base timestamp long gone; nobody checks a CRC here before the first read.
    const header = new BatchHeader();
    batch[22] = (batch[22] ?? 0) | 0x40;
    putInt32(batch, 17, crc32c(batch, 21));
    patchBatch(batch, 0, 0, store.store.incarnation);
    header.read(batch, 0);
    store.store.append(log, batch, header);
    await compact(store, log);
    store.env.timers.advance(retentionMs - 1);
    put(store, log, [at("c", "1")]);
    await compact(store, log);
    assert.deepEqual(
      (await readFrom(log, 0)).map(({ offset }) => offset),
      [0, 1, 2],
    );
  });

  test("records whose time the log has set keep it, though their batches are joined", async () => {
    const { store, log } = await openedLog();
    const times: number[] = [];
    for (let i = 0; i < 12; i++) {
      const batch = batchOf([at(`k${i % 8}`, `${i}`, 5), at("z", undefined, 7)], "gzip");
      patchLogAppendTime(batch, 0, 100 + Math.floor(i / 3));
      patchBatch(batch, 0, log.endOffset, store.store.incarnation);
      const header = new BatchHeader();
      header.read(batch, 0);
      store.store.append(log, batch, header);
      times.push(header.maxTimestamp, header.maxTimestamp);
    }
    await compact(store, log);
    const found = await readFrom(log, 0);
    assert.deepEqual(
      found.map(({ offset, timestampMs }) => [offset, timestampMs]),
      [8, 10, 12, 14, 16, 18, 20, 22, 23].map((offset) => [offset, times[offset]]),
    );
  });

  test("records younger than the lag are left alone, and those behind them", async () => {
    const { store, log } = await openedLog();
    const nowMs = store.env.clock.wallMs();
    const all = put(store, log, [at("a", "1", nowMs - 90), at("a", "2", nowMs - 80)]);
    all.push(...put(store, log, [at("a", "3", nowMs - 10)]));
    all.push(...put(store, log, [at("a", "4", nowMs - 95)]));
    await compact(store, log, { lagMinMs: 50 });
    assert.deepEqual(
      (await readFrom(log, 0)).map(({ value }) => value),
      ["2", "3", "4"],
    );
    store.env.timers.advance(50);
    await compact(store, log, { lagMinMs: 50 });
    assert.deepEqual(await readFrom(log, 0), newest(all));
  });

  test("is due by the share of what is not compacted, or by the age of the oldest of it", async () => {
    const { store, log } = await openedLog();
    const isDue = (changes: Partial<CompactionOptions> = {}): Promise<boolean> =>
      store.env.run(store.store.isCompactionDue(log, { ...options, ...changes }));
    const nowMs = store.env.clock.wallMs();
    for (let i = 0; i < 10; i++) put(store, log, [at(`k${i}`, "x".repeat(100), nowMs)]);
    assert.ok(!(await isDue()), "what only the write-ahead log has does not count");
    await compact(store, log);
    assert.ok(!(await isDue({ dirtyRatioMin: 0 })));
    put(store, log, [at("k0", "1", nowMs)]);
    await store.env.run(store.store.checkpoint());
    assert.ok(!(await isDue()));
    assert.ok(await isDue({ dirtyRatioMin: 0.01 }));
    assert.ok(!(await isDue({ dirtyRatioMin: 0.01, lagMinMs: 1_000 })));
    assert.ok(!(await isDue({ lagMaxMs: 1_000 })));
    store.env.timers.advance(1_001);
    assert.ok(await isDue({ lagMaxMs: 1_000 }));
  });

  test("keys that do not fit the memory take several passes", async () => {
    const { store, log } = await openedLog();
    const all: Placed[] = [];
    for (let i = 0; i < 60; i++)
      all.push(...put(store, log, [at(`k${i % 9}`, `${i}`), at("z", "")]));
    const report = await compact(store, log, { keyBytesMax: fewKeys });
    assert.ok(report.passes > 5, `${report.passes} passes`);
    assert.deepEqual(await readFrom(log, 0), newest(all));
    verified(store);
  });

  test("goes on while others append, and takes back nothing when it is cancelled", async () => {
    const { store, log } = await openedLog();
    const all: Placed[] = [];
    for (let i = 0; i < 60; i++) all.push(...put(store, log, [at(`k${i % 9}`, `${i}`)]));
    const aborting = new AbortController();
    let slices = 0;
    const compacting = store.store.compact(log, {
      ...options,
      keyBytesMax: fewKeys,
      signal: aborting.signal,
      progress: ({ bytesDone, bytesToDo }) => {
        assert.ok(bytesDone <= bytesToDo);
        all.push(...put(store, log, [at(`k${slices % 9}`, `during ${slices}`)]));
        if (++slices === 12) aborting.abort();
      },
    });
    await assert.rejects(store.env.run(compacting), (error) => {
      return error instanceof LogError && error.code === "cancelled";
    });
    const found = await readFrom(log, 0);
    for (const record of newest(all))
      assert.deepEqual(found[found.findIndex((one) => one.offset === record.offset)], record);
    await compact(store, log);
    assert.deepEqual(await readFrom(log, 0), newest(all));
    verified(store);
  });

  test("a batch that cannot be decoded is left as it is, and what is in it replaces nothing", async () => {
    const { store, log } = await openedLog();
    put(store, log, [at("a", "1"), at("b", "1"), at("b", "2")]);
    const bad = batchOf([at("a", "2"), at("c", "1")]);
    // It says that it has three records.
    putInt32(bad, 57, 3);
    putInt32(bad, 23, 2);
    putInt32(bad, 17, crc32c(bad, 21));
    patchBatch(bad, 0, log.endOffset, store.store.incarnation);
    const header = new BatchHeader();
    header.read(bad, 0);
    store.store.append(log, bad, header);
    const behind = put(store, log, [at("d", "1"), at("d", "2"), at("b", "3")]);
    const report = await compact(store, log);
    assert.deepEqual([report.batchesSkipped, report.recordsRemoved], [1, 3]);
    const limits = { endOffset: log.endOffset, atLeastOneBatch: true, bytesMax: 1 };
    // No batch with a record can take in what was removed before it, so one without any does.
    const begins = [0, 1, 1, 3, 3, 3, 6, 6, 6];
    for (const [from, baseOffset] of begins.entries()) {
      const fetched = await log.read(from, limits);
      assert.ok(fetched !== undefined);
      header.read(fetched.bytes, 0);
      assert.equal(header.baseOffset, baseOffset, `read from ${from}`);
      fetched.release();
    }
    assert.deepEqual(await readFrom(log, 6), newest(behind));
    verified(store);
  });

  test("what lies before the log start goes with it, though it was the newest of its key", async () => {
    const { store, log } = await openedLog();
    const all = put(store, log, [at("a", "1"), at("b", "1"), at("c", "1"), at("d", "1")]);
    await store.env.run(store.store.checkpoint());
    store.store.moveStart(log, 2);
    await compact(store, log);
    assert.deepEqual(await readFrom(log, 2), all.slice(2));
    const before = log.sizeBytes;
    put(store, log, [at("e", "1")]);
    await compact(store, log);
    assert.ok(log.sizeBytes < before + 100);
    verified(store);
  });

  test("a topic deleted meanwhile ends it", async () => {
    const { store, log } = await openedLog();
    for (let i = 0; i < 30; i++) put(store, log, [at(`k${i % 3}`, `${i}`)]);
    let isDropped = false;
    await store.env.run(
      store.store.compact(log, {
        ...options,
        progress: () => {
          if (!isDropped && log.runs.length > 0) {
            isDropped = true;
            store.store.dropLog(log);
          }
        },
      }),
    );
    await store.env.run(store.store.checkpoint());
    verified(store);
    await store.env.run(store.store.close());
  });

  test("takes no room that those who append will need", async () => {
    const { store, log } = await openedLog();
    put(store, log, [at("a", "1"), at("a", "2")]);
    await store.env.run(store.store.close());
    const small = await openStore(store.env.disk.kill({ capacityBytes: 16 << 20 }));
    await assert.rejects(compact(small, small.store.openLog(TOPIC, 0)), /make room and try again/);
    assert.equal((await readFrom(small.store.openLog(TOPIC, 0), 0)).length, 2);
  });
});

test("more offsets than one batch can span are covered by several", () => {
  const far = 3 * 2 ** 31;
  const bytes = [0, 1, far].map((baseOffset) => {
    const batch = batchOf([at(baseOffset === 1 ? "gone" : `k${baseOffset}`, "v")]);
    patchBatch(batch, 0, baseOffset, 1);
    return batch;
  });
  const keys = new KeyOffsets({ bytesMax: 1 << 20, keysMax: 10, seed: [1, 2] });
  keys.put(Buffer.from("gone"), 0, 4, far + 7);
  const filter = new RecordFilter(
    { keys, nowMs: 0, deleteRetentionMs: 0, endOffset: Infinity, compactedTo: 0 },
    { startOffset: 0, baseOffset: 0, lastOffset: far, isCarried: false },
    {
      bytesRead: 0,
      bytesWritten: 0,
      recordsRead: 0,
      recordsRemoved: 0,
      tombstonesRemoved: 0,
      batchesSkipped: 0,
    },
  );
  for (const batch of bytes) filter.take(batch);
  filter.flush();
  const out = Buffer.concat(filter.drain().map((part) => part.bytes));
  const header = new BatchHeader();
  const spans: [number, number, number][] = [];
  for (let position = 0; position < out.length; position += header.sizeBytes) {
    assert.equal(checkStoredBatch(out, position, out.length, header), undefined);
    spans.push([header.baseOffset, header.nextOffset, header.recordCount]);
  }
  assert.deepEqual(spans, [
    [0, 1, 1],
    [1, 2 ** 31 + 1, 0],
    [2 ** 31 + 1, 2 ** 32 + 1, 0],
    [2 ** 32 + 1, far, 0],
    [far, far + 1, 1],
  ]);
});

/** A store to compact, its disk with a hook for every call from then on. */
async function prepared(
  onCall: (disk: MemoryDisk) => void,
): Promise<{ readonly store: OpenedStore; readonly all: Placed[] }> {
  const hook = { disk: undefined as MemoryDisk | undefined };
  const first = await openStore(undefined, sizes);
  const log = first.store.openLog(TOPIC, 0);
  const all: Placed[] = [];
  for (let i = 0; i < 12; i++) {
    all.push(...put(first, log, [at(`k${i % 5}`, i % 4 === 0 ? undefined : `v${i}`), at("z", "")]));
    if (i % 4 === 3) await first.env.run(first.store.checkpoint());
  }
  await first.env.run(first.store.close());
  const disk = first.env.disk.kill({
    onCall: () => {
      if (hook.disk !== undefined) onCall(hook.disk);
    },
  });
  const store = await openStore(disk, sizes);
  all.push(...put(store, store.store.openLog(TOPIC, 0), [at("k1", "behind"), at("k2", "behind")]));
  store.store.flush();
  await store.env.run(store.store.syncWal());
  hook.disk = disk;
  return { store, all };
}

async function until(isTrue: () => boolean, { timers }: MemoryEnv): Promise<void> {
  while (!isTrue()) await new Promise<void>((resolve) => timers.soon(resolve));
}

/** Every record that is the newest of its key is there, and nothing that was not appended. */
function assertNothingLost(found: readonly Placed[], all: readonly Placed[]): void {
  const offsets = new Set(found.map(({ offset }) => offset));
  for (const record of found) assert.deepEqual(record, all[record.offset]);
  for (const { offset, key } of newest(all)) assert.ok(offsets.has(offset), `${key} at ${offset}`);
}

describe("a compaction that does not end", () => {
  for (const keyBytesMax of [options.keyBytesMax, 200]) {
    const passes = keyBytesMax < 1_000 ? "in several passes" : "in one pass";
    test(`loses nothing where the power goes at any call of the disk, ${passes}`, async () => {
      let calls = 0;
      const whole = await prepared(() => calls++);
      await compact(whole.store, whole.store.store.openLog(TOPIC, 0), { keyBytesMax });
      assert.ok(calls > 20);
      for (let cut = 1; cut <= calls; cut++) {
        // Of several passes one is like the other.
        const fatesToTry =
          calls > 100 ? (["mixed"] as const) : (["lost", "kept", "mixed"] as const);
        for (const fate of fatesToTry) {
          const fates = fate === "mixed" ? seededFates(cut) : () => fate;
          let left = cut;
          let after: MemoryDisk | undefined;
          const { store, all } = await prepared((disk) => {
            if (--left === 0) after = disk.crash(fates);
          });
          // What the dead disk promised never settles.
          const compacting = store.store.compact(store.store.openLog(TOPIC, 0), {
            ...options,
            keyBytesMax,
          });
          const isOver = until(() => after !== undefined, store.env);
          await store.env.run(Promise.race([compacting.catch(() => undefined), isOver]));
          assert.ok(after !== undefined, `call ${cut} came`);
          const again = await openStore(after);
          const log = again.store.openLog(TOPIC, 0);
          assertNothingLost(await readFrom(log, 0), all);
          verified(again);
          await compact(again, log);
          assert.deepEqual(await readFrom(log, 0), newest(all));
          verified(again);
        }
      }
    });
  }

  test("leaves the log as it is where any call finds the disk full, and can be tried again", async () => {
    let calls = 0;
    const whole = await prepared(() => calls++);
    await compact(whole.store, whole.store.store.openLog(TOPIC, 0));
    for (let failing = 1; failing <= calls; failing++) {
      let left = failing;
      const { store, all } = await prepared(() => {
        if (--left === 0) throw diskError("ENOSPC", DIRECTORY);
      });
      const log = store.store.openLog(TOPIC, 0);
      await compact(store, log).catch((error: unknown) => {
        assert.ok(error instanceof LogError, String(error));
      });
      if (store.owner.fatalError !== undefined) continue;
      assertNothingLost(await readFrom(log, 0), all);
      await compact(store, log);
      assert.deepEqual(await readFrom(log, 0), newest(all));
      verified(store);
    }
  });
});

// Any sequence of what can happen to a log, against a list of everything that was ever appended.

type Step =
  | {
      readonly kind: "append";
      readonly codec: Codec;
      readonly records: readonly (readonly [number, number])[];
    }
  | { readonly kind: "compact"; readonly keyBytesMax: number }
  | { readonly kind: "checkpoint" | "settle" | "reopen" | "truncate" | "wait" }
  | { readonly kind: "crash"; readonly seed: number };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      codec: fc.constantFrom(...codecNames),
      // Key 0 is none; value 0 is a tombstone.
      records: fc.array(fc.tuple(fc.nat(6), fc.nat(3)), { minLength: 1, maxLength: 8 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("compact" as const),
      keyBytesMax: fc.constantFrom(fewKeys, options.keyBytesMax),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const), seed: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom("checkpoint", "settle", "reopen", "truncate", "wait" as const),
    }),
  },
);

const hasValue = ({ value }: Placed): boolean => value !== undefined;

class Play {
  store: OpenedStore;
  /** Everything that is in the log, or was. */
  all: Placed[] = [];
  /** Of each tombstone that a compaction has met, when it may go. */
  readonly dueMs = new Map<number, number>();
  #serial = 0;

  constructor(store: OpenedStore) {
    this.store = store;
  }

  get log(): PartitionLog {
    return this.store.store.openLog(TOPIC, 0);
  }

  get env(): MemoryEnv {
    return this.store.env;
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case "append":
        this.all.push(
          ...put(
            this.store,
            this.log,
            step.records.map(([key, value]) => {
              const timestampMs = this.env.clock.wallMs() - value;
              return at(
                key === 0 ? undefined : `k${key}`,
                value === 0 ? undefined : `v${this.#serial++}`,
                timestampMs,
              );
            }),
            step.codec,
          ),
        );
        break;
      case "compact":
        await this.#compact(step.keyBytesMax);
        break;
      case "checkpoint":
        await this.env.run(this.store.store.checkpoint());
        break;
      case "settle":
        await this.#settle();
        break;
      case "reopen":
        await this.env.run(this.store.store.close());
        await this.#open(this.env.disk.kill());
        break;
      case "truncate":
        this.store.store.moveStart(
          this.log,
          Math.floor((this.log.startOffset + this.log.endOffset) / 2),
        );
        await this.#settle();
        break;
      case "wait":
        this.env.timers.advance(retentionMs / 2);
        break;
      case "crash":
        await this.#settle();
        await this.#open(this.env.disk.crash(seededFates(step.seed)));
        break;
    }
    await this.check();
  }

  async #settle(): Promise<void> {
    this.store.store.flush();
    await this.env.run(this.store.store.syncWal());
  }

  async #open(disk: MemoryDisk): Promise<void> {
    this.store = await openStore(disk, sizes, this.env.clock.wallMs());
  }

  async #compact(keyBytesMax: number): Promise<void> {
    const nowMs = this.env.clock.wallMs();
    await compact(this.store, this.log, { keyBytesMax });
    for (const { offset, value } of this.all) {
      if (value === undefined && !this.dueMs.has(offset))
        this.dueMs.set(offset, nowMs + retentionMs);
    }
    const found = await readFrom(this.log, this.log.startOffset);
    const { startOffset } = this.log;
    const kept = newest(this.all).filter(({ offset }) => offset >= startOffset);
    assert.deepEqual(found.filter(hasValue), kept.filter(hasValue));
    const dueBefore = kept.filter(({ offset, value }) => {
      const isOver = (this.dueMs.get(offset) ?? Infinity) <= nowMs;
      return value === undefined && (!isOver || offset === this.log.endOffset - 1);
    });
    const tombstones = found.filter((record) => !hasValue(record));
    for (const record of dueBefore)
      assert.ok(tombstones.some(({ offset }) => offset === record.offset));
  }

  async check(): Promise<void> {
    // What is in the open frame cannot be read yet.
    this.store.store.flush();
    const { startOffset, endOffset } = this.log;
    assert.equal(endOffset, this.all.length);
    const found = await readFrom(this.log, startOffset);
    for (const record of found) assert.deepEqual(record, this.all[record.offset]);
    const offsets = new Set(found.map(({ offset }) => offset));
    const nowMs = this.env.clock.wallMs();
    for (const { offset, value } of newest(this.all)) {
      if (offset < startOffset) continue;
      const mayBeGone = value === undefined && (this.dueMs.get(offset) ?? Infinity) <= nowMs;
      assert.ok(mayBeGone || offsets.has(offset), `${offset} is lost`);
    }
    for (let from = startOffset; from < endOffset; from += 3) {
      const expected = found.filter(({ offset }) => offset >= from);
      assert.deepEqual(await readFrom(this.log, from), expected);
    }
  }
}

test("whatever happens to a log, it has the newest record of each key where it was appended", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { minLength: 1, maxLength: 25 }), async (steps) => {
      const play = new Play(await openStore(undefined, sizes));
      for (const step of steps) await play.step(step);
      verified(play.store);
    }),
    { numRuns: 150 },
  );
});
