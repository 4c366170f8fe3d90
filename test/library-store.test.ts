// What holds for a store in a directory and no other: it is there again, after an end and after a kill.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { after, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import { type FileLimits, LogError, open, openLog } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "cordwood-library-"));
after(() => rmSync(root, { recursive: true, force: true }));

test("a store is there again when it is opened again", async () => {
  const url = `file:${join(root, "again")}`;
  {
    await using store = await open(url, { durability: "os", compression: "zstd" });
    const topic = await store.topic("t", { codec: "string", partitions: 2, compact: true });
    for (let n = 0; n < 100; n++) await topic.append(`v${n}`, { key: `k${n % 10}` });
    await store.checkpoint();
    await topic.append("newest", { key: "k3" });
  }
  await using store = await open(url);
  assert.deepEqual(await store.topics(), ["t"]);
  const topic = await store.topic("t", { codec: "string" });
  assert.equal(topic.partitionCount, 2);
  assert.equal((await topic.last("k3"))?.value, "newest");
  assert.equal((await topic.last("k4"))?.value, "v94");
  let count = 0;
  for await (const record of topic.read()) count += record.value === "" ? 0 : 1;
  assert.equal(count, 101);
});

test("compressed batches of one record each are read as they were written", async () => {
  for (const compression of ["none", "gzip", "snappy", "lz4", "zstd"] as const) {
    await using store = await open("memory:", { compression });
    const topic = await store.topic("t", { codec: "string" });
    // All of one size, as what they decompress to may lie side by side in one piece of memory.
    const texts = Array.from({ length: 50 }, (_, n) => `value ${1000 + n}`);
    for (const text of texts) await topic.append(text, { key: text });
    const found: unknown[] = [];
    for await (const { key, value } of topic.read()) found.push(key, value);
    assert.deepEqual(
      found,
      texts.flatMap((text) => [text, text]),
      compression,
    );
  }
});

test("nothing is removed after seven days, or ever, unless the program says so", async () => {
  await using store = await open(`file:${join(root, "kept")}`, {
    settings: { "log.retention.check.interval.ms": "5" },
    files: { segmentBytes: 1 << 16 },
  });
  const old = await store.topic("old", { codec: "string" });
  const short = await store.topic("short", { codec: "string", retention: { ms: 1000 } });
  for (const topic of [old, short]) await topic.append("a", { timestamp: 1_000_000 });
  await store.checkpoint();
  while ((await short.offsets())[0]?.startOffset === 0) await turn();
  assert.deepEqual(await old.offsets(), [{ partition: 0, startOffset: 0, endOffset: 1 }]);
});

/** Opens, appends 5 MB of records that are 10 s apart, and tells how many segments that makes. */
const segmentCounts = {
  async open(files: FileLimits): Promise<number> {
    await using store = await open("memory:", { files });
    const topic = await store.topic("t");
    for (const timestamp of times) await topic.append(quarterMegabyte, { timestamp });
    await store.checkpoint();
    return (await store.stats()).store.segments;
  },
  async openLog(files: FileLimits): Promise<number> {
    await using log = await openLog("memory:", { files });
    for (const timestamp of times) log.append(quarterMegabyte, { timestamp });
    await log.checkpoint();
    return log.stats().segments;
  },
};
const times = Array.from({ length: 20 }, (_, n) => n * 10_000);
const quarterMegabyte = new Uint8Array(250_000);

for (const [name, segmentCount] of Object.entries(segmentCounts)) {
  test(`segments of ${name} end by records and by time, and limits that are none are refused`, async () => {
    // One of what was appended, one of what the store keeps for itself.
    assert.equal(await segmentCount({}), 2);
    assert.equal(await segmentCount({ segmentRecords: 4 }), 6);
    assert.equal(await segmentCount({ segmentMs: 20_000 }), 11);
    for (const field of ["segmentBytes", "segmentRecords", "segmentMs"]) {
      await assert.rejects(segmentCount({ [field]: 0 }), hasCode("invalid_argument", field));
    }
  });
}

test("a directory that another process writes, or that is none of ours, is refused by name", async () => {
  const directory = join(root, "taken");
  await using store = await open(`file:${directory}`);
  await assert.rejects(open(`file:${directory}`), hasCode("directory_in_use", directory));
  writeFileSync(join(root, "file"), "");
  await assert.rejects(
    open(`file:${join(root, "file")}`),
    hasCode("directory_not_writable", "file"),
  );
  await assert.rejects(open("s3://bucket/prefix"), hasCode("unsupported", "s3:"));
  await assert.rejects(open("file:"), hasCode("invalid_argument", "file:./data"));
  await store.close();
  const identity = join(directory, "cordwood.json");
  const text = readFileSync(identity, "utf8");
  writeFileSync(identity, text.replace('"version":1', '"version":99'));
  await assert.rejects(open(`file:${directory}`), hasCode("format_newer", "99"));
});

test("effects in the program's own database happen once, whatever kills it", async () => {
  const directory = join(root, "once");
  const program = new URL("library/exactly-once.ts", import.meta.url).pathname;
  for (const batches of [3, 1, 7, 20]) {
    const child = spawn(process.execPath, [program, directory], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let left = batches;
    for await (const line of createInterface(child.stdout)) {
      if (line !== "" && --left === 0) break;
    }
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    assert.equal(child.signalCode, "SIGKILL");
  }
  using database = new DatabaseSync(join(directory, "totals.sqlite"));
  const totals = database.prepare("SELECT count, sum FROM totals").get();
  const stored = database.prepare("SELECT position FROM positions").get();
  const position: Record<string, number> = JSON.parse(String(stored?.["position"]));
  const count = Number(totals?.["count"]);
  assert.ok(count >= 31, `${count} orders were counted`);
  assert.equal(position["orders/0"], count);
  assert.equal(totals?.["sum"], (count * (count + 1)) / 2);
  await using store = await open(`file:${directory}/store`);
  const orders = await store.topic<{ id: number }>("orders", { codec: "json" });
  let id = 0;
  for await (const { value } of orders.read()) assert.equal(value.id, ++id);
  assert.ok(id >= count);
});

function hasCode(code: string, named: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof LogError, String(error));
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(named), error.message);
    return true;
  };
}
