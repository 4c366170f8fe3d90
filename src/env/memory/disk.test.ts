import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import type { DiskFile } from "../env.ts";
import { type CrashFate, type DiskCall, diskError, MemoryDisk, type Unsynced } from "./disk.ts";
import { seededFates } from "./world.ts";

const bytes = (content: string): Uint8Array => Buffer.from(content);
const all =
  (fate: CrashFate) =>
  (_unsynced: Unsynced): CrashFate =>
    fate;

function read(disk: MemoryDisk, path: string): string | undefined {
  if (!disk.exists(path)) return undefined;
  const file = disk.open(path, "read");
  const target = new Uint8Array(file.size());
  file.read(target, 0);
  return Buffer.from(target).toString();
}

/** A file whose name is durable and whose content is `content`, synced. */
async function durableFile(disk: MemoryDisk, path: string, content: string): Promise<DiskFile> {
  const file = disk.open(path, "create");
  file.write([bytes(content)], 0);
  await file.sync();
  await disk.syncDirectory("/");
  return file;
}

test("a power cut takes what was not synced, and nothing that was", async () => {
  const disk = new MemoryDisk();
  const file = await durableFile(disk, "/a", "durable");
  file.write([bytes("DURABLE and more")], 0);
  assert.equal(read(disk, "/a"), "DURABLE and more");
  const after = disk.crash(all("lost"));
  assert.equal(read(after, "/a"), "durable");
});

test("what was written while a sync was under way is not synced by it", async () => {
  const disk = new MemoryDisk();
  const file = await durableFile(disk, "/a", "1");
  file.write([bytes("2")], 1);
  const synced = file.sync();
  file.write([bytes("3")], 2);
  await synced;
  assert.equal(read(disk.crash(all("lost")), "/a"), "12");
});

test("a kept write after a lost one leaves zeros between", async () => {
  const disk = new MemoryDisk();
  const file = await durableFile(disk, "/a", "1");
  file.write([bytes("2")], 1);
  file.write([bytes("3")], 2);
  const fates: CrashFate[] = ["lost", "kept"];
  const after = disk.crash(() => fates.shift() ?? "lost");
  assert.equal(read(after, "/a"), "1\x003");
});

test("a torn write is torn at sectors of 512 bytes", async () => {
  const disk = new MemoryDisk();
  const file = await durableFile(disk, "/a", "");
  file.write([bytes("x".repeat(1500))], 100);
  const sectors: Unsynced[] = [];
  const after = disk.crash((unsynced) => {
    if (unsynced.kind !== "sector") return "torn";
    sectors.push(unsynced);
    return sectors.length === 2 ? "kept" : "lost";
  });
  const spans = sectors.map(({ position, size }) => [position, size]);
  assert.deepEqual(spans, [
    [100, 412],
    [512, 512],
    [1024, 512],
    [1536, 64],
  ]);
  assert.equal(read(after, "/a"), "\0".repeat(512) + "x".repeat(512));
});

test("a name lives through a power cut only after its directory was synced", async () => {
  const disk = new MemoryDisk();
  const kept = await durableFile(disk, "/kept", "1");
  kept.close();
  const file = disk.open("/new", "create");
  file.write([bytes("2")], 0);
  await file.sync();
  assert.deepEqual(disk.crash(all("lost")).list("/"), ["kept"]);
});

test("renames and removals come undone unless their directory was synced", async () => {
  const lostDisk = new MemoryDisk();
  await durableFile(lostDisk, "/a", "old");
  await durableFile(lostDisk, "/b", "new");
  lostDisk.rename("/b", "/a");
  const lost = lostDisk.crash(all("lost"));
  assert.deepEqual([read(lost, "/a"), read(lost, "/b")], ["old", "new"]);
  lost.rename("/b", "/a");
  const pending = lost.syncDirectory("/");
  lost.remove("/a");
  await pending;
  const kept = lost.crash(all("lost"));
  assert.deepEqual([read(kept, "/a"), read(kept, "/b")], ["new", undefined]);
});

test("a killed process loses nothing that it wrote, and its locks", async () => {
  const disk = new MemoryDisk();
  const file = disk.open("/a", "create");
  file.write([bytes("written")], 0);
  assert.ok(disk.lock("/lock") !== undefined);
  assert.equal(disk.lock("/lock"), undefined);
  const after = disk.kill();
  assert.equal(read(after, "/a"), "written");
  assert.ok(after.lock("/lock") !== undefined);
  assert.throws(() => file.write([bytes("late")], 0), { code: "EBADF" });
  assert.throws(() => disk.list("/"), { code: "EBADF" });
  // The pages are still in the system's memory only.
  assert.deepEqual(after.crash(all("lost")).list("/"), []);
});

test("what a dead process waited for never settles", async () => {
  const answers: (() => void)[] = [];
  const disk = new MemoryDisk({ settle: (answer) => answers.push(answer) });
  const file = disk.open("/a", "create");
  file.write([bytes("x")], 0);
  let hasSettled = false;
  const settled = (): void => {
    hasSettled = true;
  };
  file.sync().then(settled, settled);
  const after = disk.crash(all("kept"));
  for (const answer of answers) answer();
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  assert.equal(hasSettled, false);
  assert.equal(read(after, "/a"), "x");
});

test("a full disk takes what fits and says so", () => {
  const disk = new MemoryDisk({ capacityBytes: 10 });
  const file = disk.open("/a", "create");
  file.write([bytes("12345678")], 0);
  assert.equal(disk.freeBytes("/"), 2);
  assert.throws(() => file.write([bytes("abcd")], 8), { code: "ENOSPC" });
  assert.equal(read(disk, "/a"), "12345678ab");
  file.write([bytes("ZZ")], 0);
  assert.equal(disk.usedBytes, 10);
  file.truncate(3);
  assert.equal(disk.freeBytes("/"), 7);
  disk.remove("/a");
  assert.equal(disk.freeBytes("/"), 10);
});

test("any call can be made to fail, a write after a part of it", async () => {
  const failing = new Map<string, Error>();
  const disk = new MemoryDisk({
    onCall({ kind, count }: DiskCall) {
      const failure = failing.get(`${kind} ${count}`);
      if (failure !== undefined) throw failure;
    },
  });
  failing.set("write 2", diskError("EIO", "/a", 2));
  failing.set("sync 1", diskError("EIO", "/a"));
  const file = disk.open("/a", "create");
  file.write([bytes("1")], 0);
  assert.throws(() => file.write([bytes("234")], 1), { code: "EIO" });
  assert.equal(read(disk, "/a"), "123");
  await disk.syncDirectory("/");
  await assert.rejects(file.sync(), { code: "EIO" });
  // The second sync succeeds and means nothing for what the first one failed to save.
  file.write([bytes("4")], 3);
  await file.sync();
  assert.equal(read(disk, "/a"), "1234");
  assert.equal(read(disk.crash(all("lost")), "/a"), "\0\0\x004");
});

test("whatever is synced is there after any power cut", async () => {
  const anyStep = fc.record({
    position: fc.nat(3_000),
    size: fc.integer({ min: 1, max: 1_200 }),
    fill: fc.integer({ min: 1, max: 255 }),
    isSynced: fc.boolean(),
  });
  const property = fc.asyncProperty(fc.array(anyStep), fc.nat(), async (steps, seed) => {
    const disk = new MemoryDisk();
    const file = await durableFile(disk, "/a", "");
    // For each byte, what it may be: all values since the last sync, and the one at that sync.
    let possible = Array.from({ length: 4_200 }, () => new Set([0]));
    const now = new Uint8Array(4_200);
    for (const { position, size, fill, isSynced } of steps) {
      file.write([new Uint8Array(size).fill(fill)], position);
      now.fill(fill, position, position + size);
      for (let at = position; at < position + size; at++) possible[at]?.add(fill);
      if (!isSynced) continue;
      await file.sync();
      possible = Array.from(now, (byte) => new Set([byte]));
    }
    const after = disk.crash(seededFates(seed)).open("/a", "read");
    const found = new Uint8Array(4_200);
    after.read(found, 0);
    for (const [at, byte] of found.entries()) assert.ok(possible[at]?.has(byte), `byte ${at}`);
  });
  await fc.assert(property, { numRuns: 40 });
});
