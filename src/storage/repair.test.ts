import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  append,
  DIRECTORY,
  expected,
  openStore,
  type OpenedStore,
  readAll,
  TOPIC,
} from "../../test/fixtures/store.ts";
import type { MemoryDisk } from "../env/index.ts";
import { LogError } from "../errors/index.ts";
import { verifyStore } from "./inspect.ts";
import { findDamage, repairStore } from "./repair.ts";

const isCode = (code: string, part: string) => (error: unknown) =>
  error instanceof LogError && error.code === code && error.message.includes(part);

/** A closed store with records 0 to 29 in a segment and 30 to 39 in the WAL. */
async function makeStore(): Promise<OpenedStore> {
  const opened = await openStore();
  const log = opened.store.openLog(TOPIC, 0);
  for (let i = 0; i < 10; i++) append(opened.store, log, { recordCount: 3 });
  await opened.env.run(opened.store.checkpoint());
  for (let i = 0; i < 10; i++) {
    append(opened.store, log);
    opened.store.flush();
    await opened.env.run(opened.store.syncWal());
  }
  await opened.env.run(opened.store.close());
  return opened;
}

function flip(disk: MemoryDisk, folder: string, position: number): string {
  const [name = ""] = disk.list(`${DIRECTORY}/${folder}`);
  const file = disk.open(`${DIRECTORY}/${folder}/${name}`, "write");
  const byte = new Uint8Array(1);
  file.read(byte, position);
  file.write([Uint8Array.of((byte[0] ?? 0) ^ 1)], position);
  file.close();
  return name;
}

describe("repair", () => {
  test("finds nothing in a store that is whole, and then gives nothing up", async () => {
    const { env } = await makeStore();
    assert.deepEqual(findDamage(env.disk, DIRECTORY), []);
    await assert.rejects(
      env.run(repairStore(env, DIRECTORY, "wal:3")),
      isCode("invalid_argument", "Nothing is damaged"),
    );
  });

  test("gives up the damaged part of a segment and keeps the rest", async () => {
    const { env } = await makeStore();
    const name = flip(env.disk, "segments", 64 + 61 + 2);
    const [damage] = findDamage(env.disk, DIRECTORY);
    assert.equal(damage?.range, "segment:1");
    const lost = { topicId: TOPIC, partition: 0, baseOffset: 0, endOffset: 3 };
    assert.deepEqual(damage.lost, [lost]);
    await assert.rejects(
      env.run(repairStore(env, DIRECTORY, "segment:2")),
      isCode("invalid_argument", "segment:1"),
    );
    const { keptIn } = await env.run(repairStore(env, DIRECTORY, "segment:1"));
    assert.ok(env.disk.list(keptIn).includes(name));
    assert.ok(env.disk.list(keptIn).includes("report.json"));
    assert.deepEqual(findDamage(env.disk, DIRECTORY), []);
    const again = await openStore(env.disk);
    assert.deepEqual(await readAll(again.store.openLog(TOPIC, 0)), expected(3, 40));
    await again.env.run(again.store.close());
    assert.deepEqual(verifyStore(env.disk, DIRECTORY, () => undefined).problems, []);
  });

  test("leaves a gap that is read over, and over which segments are merged", async () => {
    const { env } = await makeStore();
    const [name = ""] = env.disk.list(`${DIRECTORY}/segments`);
    const file = env.disk.open(`${DIRECTORY}/segments/${name}`, "read");
    const bytes = Buffer.alloc(file.size());
    file.read(bytes, 0);
    file.close();
    flip(env.disk, "segments", bytes.indexOf("13"));
    const lost = { topicId: TOPIC, partition: 0, baseOffset: 12, endOffset: 15 };
    assert.deepEqual(findDamage(env.disk, DIRECTORY)[0]?.lost, [lost]);
    await env.run(repairStore(env, DIRECTORY, "segment:1"));
    const again = await openStore(env.disk);
    const log = again.store.openLog(TOPIC, 0);
    assert.deepEqual(await readAll(log, { from: 13 }), expected(15, 40));
    for (let i = 0; i < 9; i++) {
      append(again.store, log);
      await again.env.run(again.store.checkpoint());
    }
    assert.ok(env.disk.list(`${DIRECTORY}/segments`).length < 9);
    const left = [...expected(0, 12), ...expected(15, 49)];
    assert.deepEqual(await readAll(log), left);
    await again.env.run(again.store.close());
    assert.deepEqual(verifyStore(env.disk, DIRECTORY, () => undefined).problems, []);
  });

  test("saves what lies before the damage, and a segment without a footer", async () => {
    const { env } = await makeStore();
    const [name = ""] = env.disk.list(`${DIRECTORY}/segments`);
    const file = env.disk.open(`${DIRECTORY}/segments/${name}`, "write");
    const size = file.size();
    file.close();
    flip(env.disk, "segments", size - 10);
    const [damage] = findDamage(env.disk, DIRECTORY);
    assert.deepEqual(damage?.lost, []);
    await env.run(repairStore(env, DIRECTORY, "segment:1"));
    const again = await openStore(env.disk);
    assert.deepEqual(await readAll(again.store.openLog(TOPIC, 0)), expected(0, 40));
  });

  test("cuts the log before a damaged frame, and keeps the rest of it aside", async () => {
    const { env, store } = await makeStore();
    const before = store.stats.frames;
    assert.equal(before, 11);
    const { disk } = env;
    const [name = ""] = disk.list(`${DIRECTORY}/wal`);
    const file = disk.open(`${DIRECTORY}/wal/${name}`, "read");
    const bytes = Buffer.alloc(file.size());
    file.read(bytes, 0);
    file.close();
    const frames = bytes.subarray(0);
    const magic = bytes.subarray(32, 40);
    const starts: number[] = [];
    for (let at = frames.indexOf(magic, 40); at >= 0; at = frames.indexOf(magic, at + 1)) {
      starts.push(at);
    }
    flip(disk, "wal", (starts[6] ?? 0) + 20);
    await assert.rejects(openStore(disk), isCode("data_corrupt", name));
    const [damage] = findDamage(disk, DIRECTORY);
    assert.equal(damage?.range, "wal:6");
    const lost = { topicId: TOPIC, partition: 0, baseOffset: 35, endOffset: undefined };
    assert.deepEqual(damage.lost, [lost]);
    const { keptIn } = await env.run(repairStore(env, DIRECTORY, "wal:6"));
    assert.ok(disk.list(keptIn).includes(name));
    const again = await openStore(disk.crash(() => "lost"));
    const log = again.store.openLog(TOPIC, 0);
    assert.deepEqual(await readAll(log), expected(0, 35));
    append(again.store, log);
    again.store.flush();
    assert.deepEqual(await readAll(log), expected(0, 36));
  });

  test("cuts the log before a damaged batch of a frame that is whole", async () => {
    const { env } = await makeStore();
    const { disk } = env;
    const [name = ""] = disk.list(`${DIRECTORY}/wal`);
    const file = disk.open(`${DIRECTORY}/wal/${name}`, "read");
    const bytes = Buffer.alloc(file.size());
    file.read(bytes, 0);
    file.close();
    const value = bytes.lastIndexOf("37");
    flip(disk, "wal", value);
    const [damage] = findDamage(disk, DIRECTORY);
    const lost = { topicId: TOPIC, partition: 0, baseOffset: 37, endOffset: 40 };
    assert.deepEqual(damage?.lost, [lost]);
    await env.run(repairStore(env, DIRECTORY, damage.range));
    const again = await openStore(disk);
    assert.deepEqual(await readAll(again.store.openLog(TOPIC, 0)), expected(0, 37));
  });

  for (const [what, spoil] of [
    ["has lost its header", (disk: MemoryDisk) => void flip(disk, "wal", 8)],
    ["is missing", (disk: MemoryDisk) => disk.remove(firstWalFile(disk))],
  ] as const) {
    test(`gives up a log whose very first file ${what}`, async () => {
      const { env, store } = await openStore(undefined, { walFileBytes: 600 });
      const log = store.openLog(TOPIC, 0);
      for (let i = 0; i < 10; i++) {
        append(store, log);
        store.flush();
        await env.run(store.syncWal());
      }
      await env.run(store.close());
      const { disk } = env;
      spoil(disk);
      const first = firstWalFile(disk);
      await assert.rejects(openStore(disk), isCode("data_corrupt", first));
      const [damage] = findDamage(disk, DIRECTORY);
      assert.equal(damage?.range, "wal:0");
      assert.equal(damage.path, first);
      const count = disk.list(`${DIRECTORY}/wal`).length;
      const { keptIn } = await env.run(repairStore(env, DIRECTORY, "wal:0"));
      assert.equal(disk.list(keptIn).length, count + 1);
      const again = await openStore(disk);
      assert.deepEqual(await readAll(again.store.openLog(TOPIC, 0)), []);
    });
  }
});

function firstWalFile(disk: MemoryDisk): string {
  return `${DIRECTORY}/wal/${disk.list(`${DIRECTORY}/wal`)[0]}`;
}
