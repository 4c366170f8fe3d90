// One suite over both disks: what a program may rely on, wherever it runs.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";

import type { Disk } from "./env.ts";
import { MemoryDisk } from "./memory/disk.ts";
import { NodeDisk } from "./node/disk.ts";

const scratch = mkdtempSync(join(tmpdir(), "cordwood-disk-"));
after(() => rmSync(scratch, { recursive: true }));
const memory = new MemoryDisk();
memory.makeDirectory("/scratch");

const disks: readonly { readonly name: string; readonly disk: Disk; readonly root: string }[] = [
  { name: "the disk of this machine", disk: new NodeDisk(), root: scratch },
  { name: "the disk in memory", disk: memory, root: "/scratch" },
];

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const bytes = (content: string): Uint8Array => Buffer.from(content);

for (const { name, disk, root } of disks) {
  let count = 0;
  const freshDirectory = (): string => {
    const path = `${root}/${count++}`;
    disk.makeDirectory(path);
    return path;
  };
  const contentOf = (path: string): string => {
    const file = disk.open(path, "read");
    const target = new Uint8Array(file.size());
    file.read(target, 0);
    file.close();
    return text(target);
  };
  const make = (path: string, content: string): void => {
    const file = disk.open(path, "create");
    file.write([bytes(content)], 0);
    file.close();
  };

  describe(name, () => {
    test("parts are written one after another from a position on", () => {
      const path = `${freshDirectory()}/a`;
      const file = disk.open(path, "create");
      file.write([bytes("hello"), bytes(""), bytes(" world")], 0);
      file.write([], 3);
      file.write([bytes("HE"), bytes("L")], 0);
      assert.equal(file.size(), 11);
      file.close();
      assert.equal(contentOf(path), "HELlo world");
    });

    test("a write behind the end leaves zeros in between", () => {
      const path = `${freshDirectory()}/a`;
      const file = disk.open(path, "create");
      file.write([bytes("x")], 3);
      file.close();
      assert.equal(contentOf(path), "\0\0\0x");
    });

    test("more parts than one system call takes are written whole", async () => {
      const path = `${freshDirectory()}/a`;
      const parts = Array.from({ length: 2500 }, (_, index) => bytes(`${index},`));
      const expected = parts.map(text).join("");
      const file = disk.open(path, "create");
      file.write(parts, 0);
      await file.writeAsync(parts, expected.length);
      file.close();
      assert.equal(contentOf(path), expected + expected);
    });

    test("a read gives fewer bytes only at the end of the file", async () => {
      const path = `${freshDirectory()}/a`;
      make(path, "0123456789");
      const file = disk.open(path, "read");
      const target = new Uint8Array(4);
      assert.equal(file.read(target, 2), 4);
      assert.equal(text(target), "2345");
      assert.equal(file.read(target, 8), 2);
      assert.equal(file.read(target, 10), 0);
      assert.equal(file.read(target, 99), 0);
      assert.equal(await file.readAsync(target, 6), 4);
      assert.equal(text(target), "6789");
      assert.equal(await file.readAsync(target, 9), 1);
      file.close();
    });

    test("cutting a file shortens it, and growing it again shows zeros", () => {
      const path = `${freshDirectory()}/a`;
      make(path, "abcdef");
      const file = disk.open(path, "write");
      file.truncate(2);
      assert.equal(file.size(), 2);
      file.truncate(4);
      file.close();
      assert.equal(contentOf(path), "ab\0\0");
    });

    test("each way of opening refuses what it should", () => {
      const directory = freshDirectory();
      make(`${directory}/a`, "x");
      const refusals: [() => unknown, string][] = [
        [() => disk.open(`${directory}/a`, "create"), "EEXIST"],
        [() => disk.open(`${directory}/b`, "read"), "ENOENT"],
        [() => disk.open(`${directory}/b`, "write"), "ENOENT"],
        [() => disk.open(`${directory}/no/b`, "create"), "ENOENT"],
        [() => disk.list(`${directory}/no`), "ENOENT"],
        [() => disk.remove(`${directory}/b`), "ENOENT"],
        [() => disk.rename(`${directory}/b`, `${directory}/c`), "ENOENT"],
        [() => disk.removeDirectory(directory), "ENOTEMPTY"],
      ];
      for (const [call, code] of refusals) assert.throws(call, { code }, call.toString());
    });

    test("a file that was opened for reading is not written", async () => {
      const path = `${freshDirectory()}/a`;
      make(path, "x");
      const file = disk.open(path, "read");
      assert.throws(() => file.write([bytes("y")], 0), { code: "EBADF" });
      await assert.rejects(file.writeAsync([bytes("y")], 0), { code: "EBADF" });
      file.close();
      assert.equal(contentOf(path), "x");
    });

    test("a closed file does nothing any more, and closes twice", async () => {
      const file = disk.open(`${freshDirectory()}/a`, "create");
      const begun = file.writeAsync([bytes("kept")], 0);
      file.close();
      file.close();
      await begun;
      assert.throws(() => file.size(), { code: "EBADF" });
      assert.throws(() => file.write([bytes("x")], 0), { code: "EBADF" });
      assert.throws(() => file.read(new Uint8Array(1), 0), { code: "EBADF" });
      await assert.rejects(file.sync(), { code: "EBADF" });
      assert.equal(contentOf(file.path), "kept", "what was under way when it was closed is done");
    });

    test("names are listed in order; renaming replaces; removing removes", async () => {
      const directory = freshDirectory();
      for (const each of ["c", "a", "b"]) make(`${directory}/${each}`, each);
      assert.deepEqual(disk.list(directory), ["a", "b", "c"]);
      disk.rename(`${directory}/c`, `${directory}/a`);
      assert.equal(contentOf(`${directory}/a`), "c");
      disk.remove(`${directory}/b`);
      assert.deepEqual(disk.list(directory), ["a"]);
      assert.equal(disk.exists(`${directory}/b`), false);
      assert.equal(disk.exists(`${directory}/a`), true);
      await disk.syncDirectory(directory);
      disk.remove(`${directory}/a`);
      disk.removeDirectory(directory);
      assert.equal(disk.exists(directory), false);
    });

    test("directories are made with their parents, and again without harm", () => {
      const path = `${freshDirectory()}/x/y/z`;
      disk.makeDirectory(path);
      make(`${path}/a`, "1");
      disk.makeDirectory(path);
      assert.deepEqual(disk.list(path), ["a"]);
    });

    test("a removed file is read to the end by whoever has it open", () => {
      const path = `${freshDirectory()}/a`;
      make(path, "still here");
      const file = disk.open(path, "read");
      disk.remove(path);
      const target = new Uint8Array(10);
      assert.equal(file.read(target, 0), 10);
      assert.equal(text(target), "still here");
      file.close();
    });

    test("a lock has one holder, and another after its release", () => {
      const path = `${freshDirectory()}/lock`;
      const first = disk.lock(path);
      assert.ok(first !== undefined);
      assert.equal(disk.lock(path), undefined);
      first.release();
      const second = disk.lock(path);
      assert.ok(second !== undefined);
      first.release();
      assert.equal(disk.lock(path), undefined, "releasing twice gives nobody else's lock up");
      second.release();
      assert.deepEqual(disk.list(path.slice(0, -5)), ["lock"]);
    });

    test("sync settles, and free bytes are a number", async () => {
      const file = disk.open(`${freshDirectory()}/a`, "create");
      file.write([bytes("x")], 0);
      await file.sync();
      file.close();
      assert.ok(disk.freeBytes(root) > 0);
    });
  });
}

test(
  "files and directories are for their owner alone",
  { skip: process.platform === "win32" },
  () => {
    const disk = new NodeDisk();
    const directory = `${scratch}/private`;
    disk.makeDirectory(directory);
    disk.open(`${directory}/a`, "create").close();
    disk.lock(`${directory}/lock`)?.release();
    assert.equal(statSync(directory).mode & 0o777, 0o700);
    assert.equal(statSync(`${directory}/a`).mode & 0o777, 0o600);
    assert.equal(statSync(`${directory}/lock`).mode & 0o777, 0o600);
  },
);
