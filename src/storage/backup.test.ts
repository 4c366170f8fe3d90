import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  append,
  DIRECTORY,
  expected,
  openStore,
  type OpenedStore,
  OTHER_TOPIC,
  readAll,
  TOPIC,
} from "../../test/fixtures/store.ts";
import { MemoryDisk, memoryEnv, seededFates, SeededRandom } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { backupStore, restoreStore } from "./backup.ts";
import { verifyStore } from "./inspect.ts";
import { Store } from "./store.ts";

const BACKUP = "/backup";
const RESTORED = "/restored";

async function settle({ env, store }: OpenedStore): Promise<void> {
  store.flush();
  await env.run(store.syncWal());
  while (store.durableSequence < store.writtenSequence) await Promise.resolve();
}

/** What a partition holds after a backup was restored beside the store. */
async function restoredRecords(disk: MemoryDisk, to: string): Promise<[number, string][]> {
  await restoreStore(disk, BACKUP, to);
  assert.deepEqual(verifyStore(disk, to, () => undefined).problems, []);
  const env = memoryEnv({ seed: 7, disk });
  const { owner } = await openStore();
  const opening = Store.open(env, { directory: to, durability: "fsync" }, owner);
  const store = await env.run(opening);
  const records = await readAll(store.openLog(TOPIC, 0));
  await env.run(store.close());
  return records;
}

const isCode = (code: string, part: string) => (error: unknown) =>
  error instanceof LogError && error.code === code && error.message.includes(part);

describe("a backup", () => {
  test("has everything that was acknowledged, and copies a segment once", async () => {
    const opened = await openStore(undefined, { walFileBytes: 2_000, segmentBytes: 2_000 });
    const { disk } = opened.env;
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 10; i++) append(opened.store, log, { recordCount: 3 });
    await settle(opened);
    const first = await backupStore(disk, DIRECTORY, BACKUP);
    assert.deepEqual(
      [first.generation, first.checkpointNumber, first.segmentsCopied],
      [1, undefined, 0],
    );
    await opened.env.run(opened.store.checkpoint());
    const second = await backupStore(disk, DIRECTORY, BACKUP);
    assert.ok(second.segmentsCopied > 0 && second.segmentsKept === 0);
    for (let i = 0; i < 5; i++) append(opened.store, log);
    await settle(opened);
    const third = await backupStore(disk, DIRECTORY, BACKUP);
    assert.deepEqual([third.segmentsCopied, third.segmentsKept], [0, second.segmentsCopied]);
    assert.deepEqual(await restoredRecords(disk, RESTORED), expected(0, 35));
    assert.equal(disk.list(`${BACKUP}/generations`).length, 1);
  });

  test("is consistent whatever the store does meanwhile", async () => {
    for (let seed = 1; seed <= 25; seed++) {
      const random = new SeededRandom(seed);
      const disk = new MemoryDisk();
      const opened = await openStore(disk, { walFileBytes: 1_000, segmentBytes: 1_500 });
      const { store, env } = opened;
      const log = store.openLog(TOPIC, 0);
      for (let i = 0; i < 10; i++) append(store, log);
      await settle(opened);
      const acknowledged = log.endOffset;
      const work = (): void => {
        if (random.below(2) > 0) return;
        append(store, log);
        if (random.below(2) === 0) store.flush();
        if (random.below(3) === 0) store.checkpoint().catch(assert.fail);
      };
      // The backup is another process: between any two of its calls the store goes on.
      const watched = new Proxy(disk, {
        get: (target, name) => {
          work();
          const value: unknown = Reflect.get(target, name);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
      await env.run(backupStore(watched, DIRECTORY, BACKUP));
      await settle(opened);
      const records = await restoredRecords(disk, RESTORED);
      assert.ok(records.length >= acknowledged, `seed ${seed}: ${records.length}`);
      assert.deepEqual(records, expected(0, records.length));
    }
  });

  test("that is not finished leaves the one before", async () => {
    for (let calls = 1; calls < 60; calls += 4) {
      let left = Infinity;
      const disk = new MemoryDisk({
        onCall: () => {
          if (--left < 0) throw Object.assign(new Error("EIO"), { code: "EIO" });
        },
      });
      const opened = await openStore(disk, { walFileBytes: 2_000, segmentBytes: 2_000 });
      const log = opened.store.openLog(TOPIC, 0);
      for (let i = 0; i < 10; i++) append(opened.store, log);
      await opened.env.run(opened.store.checkpoint());
      await backupStore(disk, DIRECTORY, BACKUP);
      append(opened.store, log);
      await opened.env.run(opened.store.checkpoint());
      await opened.env.run(opened.store.close());
      left = calls;
      await backupStore(disk, DIRECTORY, BACKUP).catch(() => undefined);
      left = Infinity;
      const after = disk.crash(seededFates(calls));
      const records = await restoredRecords(after, RESTORED);
      assert.ok(records.length >= 10, `after ${calls} calls: ${records.length}`);
      assert.deepEqual(records, expected(0, records.length));
    }
  });

  test("that has lost the end of its log, or its checkpoint, is not restored", async () => {
    const opened = await openStore();
    const { disk } = opened.env;
    const log = opened.store.openLog(TOPIC, 0);
    for (let i = 0; i < 3; i++) append(opened.store, log);
    await opened.env.run(opened.store.checkpoint());
    append(opened.store, log);
    await settle(opened);
    await backupStore(disk, DIRECTORY, BACKUP);
    const [generation = ""] = disk.list(`${BACKUP}/generations`);
    const own = `${BACKUP}/generations/${generation}`;
    const [name = ""] = disk.list(`${own}/wal`);
    const file = disk.open(`${own}/wal/${name}`, "write");
    const bytes = new Uint8Array(file.size());
    file.read(bytes, 0);
    file.truncate(bytes.findLastIndex((byte) => byte !== 0) - 20);
    await assert.rejects(restoreStore(disk, BACKUP, RESTORED), isCode("data_corrupt", "frames"));
    file.write([bytes], 0);
    file.close();
    await restoreStore(disk, BACKUP, "/whole");
    const checkpoint = disk.list(own).find((one) => one.endsWith(".ckpt"));
    disk.remove(`${own}/${checkpoint}`);
    await assert.rejects(
      restoreStore(disk, BACKUP, "/other"),
      isCode("data_corrupt", "its checkpoint"),
    );
  });

  test("refuses what is not its own", async () => {
    const opened = await openStore();
    const { disk } = opened.env;
    append(opened.store, opened.store.openLog(OTHER_TOPIC, 0));
    await settle(opened);
    disk.makeDirectory(BACKUP);
    disk.open(`${BACKUP}/letters.txt`, "create").close();
    await assert.rejects(
      backupStore(disk, DIRECTORY, BACKUP),
      isCode("format_unknown", "letters.txt"),
    );
    await assert.rejects(
      restoreStore(disk, DIRECTORY, RESTORED),
      isCode("format_unknown", DIRECTORY),
    );
    await backupStore(disk, DIRECTORY, "/other");
    await assert.rejects(
      restoreStore(disk, "/other", BACKUP),
      isCode("format_unknown", "letters.txt"),
    );
  });
});
