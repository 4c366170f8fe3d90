import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  append,
  DIRECTORY,
  openStore,
  type OpenedStore,
  TOPIC,
} from "../../test/fixtures/store.ts";
import { diskError, MemoryDisk } from "../env/index.ts";
import { backupStore, restoreStore } from "./backup.ts";
import { loadCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { storePaths } from "./directory.ts";
import { verifyStore, type VerifyReport } from "./inspect.ts";

const { checkpoints } = storePaths(DIRECTORY);

/** Three segments of ten records each, and ten records in the WAL. */
async function makeStore(disk?: MemoryDisk): Promise<OpenedStore> {
  const opened = await openStore(disk);
  const log = opened.store.openLog(TOPIC, 0);
  for (let segment = 0; segment < 3; segment++) {
    for (let i = 0; i < 10; i++) append(opened.store, log);
    await opened.env.run(opened.store.checkpoint());
  }
  for (let i = 0; i < 10; i++) append(opened.store, log);
  opened.store.flush();
  await opened.env.run(opened.store.syncWal());
  return opened;
}

const verify = (disk: MemoryDisk, directory = DIRECTORY): VerifyReport =>
  verifyStore(disk, directory, () => undefined);

describe("verify", () => {
  test("says what it looked at, and keeps others out meanwhile", async () => {
    const { env, store } = await makeStore();
    await env.run(store.close());
    const { disk } = env;
    const report = verifyStore(disk, DIRECTORY, () => {
      assert.equal(disk.lock(`${DIRECTORY}/lock`), undefined);
    });
    const { bytesChecked, dataSum, framesChecked, ...rest } = report;
    assert.deepEqual(rest, {
      filesChecked: 6,
      batchesChecked: 40,
      partitionsChecked: 1,
      isInUse: false,
      problems: [],
    });
    assert.ok(bytesChecked > 0 && framesChecked > 0);
    assert.match(dataSum, /^[0-9a-f]{8}$/);
    disk.lock(`${DIRECTORY}/lock`)?.release();
  });

  test("notices that the directory is in use, and looks again at what went away under it", async () => {
    let missing = 0;
    const disk = new MemoryDisk({
      onCall: ({ kind, path }) => {
        if (kind === "open" && path.endsWith(".seg") && missing-- > 0) {
          throw diskError("ENOENT", path);
        }
      },
    });
    const { env, store } = await makeStore(disk);
    missing = 3;
    assert.equal(verify(disk).isInUse, true);
    missing = 3;
    assert.deepEqual(verify(disk).problems, []);
    missing = 1_000;
    assert.ok(verify(disk).problems.length > 0, "what stays away is damage");
    missing = 0;
    await env.run(store.close());
    missing = 1;
    const { isInUse, problems } = verify(disk);
    assert.equal(isInUse, false);
    assert.equal(problems.length, 1);
  });

  test("a checkpoint that forgot a segment is told from one that never had it", async () => {
    const { env, store } = await makeStore();
    await env.run(store.close());
    const { disk } = env;
    const checkpoint = loadCheckpoint(disk, checkpoints);
    assert.ok(checkpoint !== undefined);
    const partitions = checkpoint.partitions.map((one) => ({
      ...one,
      runs: one.runs.filter((_, i) => i !== 1),
    }));
    const checkpointNumber = checkpoint.checkpointNumber + 1;
    await env.run(
      saveCheckpoint(disk, checkpoints, { ...checkpoint, checkpointNumber, partitions }),
    );
    const [problem = "", ...more] = verify(disk).problems;
    assert.match(problem, /offsets 10 to 19 of .*\/0 are missing/);
    assert.deepEqual(more, []);
  });

  test("a restored directory has the same data sum, one with another record has not", async () => {
    const { env, store } = await makeStore();
    await env.run(backupStore(env.disk, DIRECTORY, "/backup"));
    await env.run(restoreStore(env.disk, "/backup", "/restored"));
    const { dataSum } = verify(env.disk, "/restored");
    assert.equal(verify(env.disk).dataSum, dataSum);
    append(store, store.openLog(TOPIC, 0));
    await env.run(store.close());
    assert.notEqual(verify(env.disk).dataSum, dataSum);
  });
});
