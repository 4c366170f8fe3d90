// The single log: what is appended is read, whatever happens in between.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, describe, it, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import { diskError, MemoryDisk, memoryEnv, seededFates } from "../src/env/index.ts";
import { type Log, LogError, type LogOptions, open, openLog, restore } from "../src/index.ts";
import { openLogToWrite } from "../src/library/index.ts";

const root = mkdtempSync(join(tmpdir(), "cordwood-log-"));
after(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
const newDirectory = (): string => join(root, String(count++));

/** Small enough that a test meets several of everything. */
const smallFiles = { walFileBytes: 1 << 16, segmentBytes: 1 << 16, checkpointBytes: 1 << 17 };

for (const [name, place] of [
  ["memory:", () => "memory:"],
  ["a directory", newDirectory],
] as const) {
  describe(`a log in ${name}`, () => {
    it("reads a record the moment it is appended, and after it is written", async () => {
      await using log = await openLog(place());
      assert.equal(log.append(text("a")), 0);
      const headers = [{ key: "h", value: text("1") }];
      assert.equal(log.append(text("b"), { key: text("k"), headers, timestamp: 12_345 }), 1);
      assert.equal(log.delete(text("k")), 2);
      assert.equal(log.append(new Uint8Array(0)), 3);
      for (const moment of ["appended", "written", "flushed"]) {
        assert.equal(textOf(log.read(0).value), "a", moment);
        const record = log.read(1);
        assert.equal(record.offset, 1);
        assert.equal(record.timestamp, 12_345);
        assert.equal(textOf(record.key), "k");
        assert.equal(textOf(record.value), "b");
        assert.deepEqual(
          record.headers.map(({ key, value }) => [key, textOf(value)]),
          [["h", "1"]],
        );
        assert.equal(log.read(2).value, undefined);
        assert.equal(textOf(log.read(2).key), "k");
        assert.equal(log.read(-1).value?.length, 0);
        assert.equal(log.read(-1).key, undefined);
        assert.ok(Math.abs(log.read(0).timestamp - Date.now()) < 60_000);
        if (moment === "appended") await turn();
        else await log.flush();
      }
    });

    it("reads at random what a walk meets, whatever its records have", async () => {
      const options = { batchBytes: 2048, files: smallFiles, cacheBytes: 20_000 };
      await using log = await openLog(place(), options);
      const values = [0, 1, 60, 130, 1000, 9000].map((length) =>
        new Uint8Array(length).fill(length),
      );
      const [key, timestamp] = [text("key"), 1_000_000];
      const headers = [{ key: "h", value: undefined }];
      for (let n = 0; n < 1500; n++) {
        const value = values[Math.imul(n, 7) % values.length] ?? text("");
        if (n % 11 === 3) log.delete(key);
        else if (n % 5 === 1) log.append(value, { timestamp: timestamp + n });
        else if (n % 7 === 2) log.append(value, { key });
        else if (n % 13 === 4) log.append(value, { headers });
        else log.append(value);
        if (n % 100 === 99) await turn();
        if (n === 700) await log.checkpoint();
      }
      await turn();
      const met = Array.from(log.scan(), (record) => record.copy());
      assert.equal(met.length, 1500);
      for (let n = 0; n < 6000; n++) {
        const at = (n * 877) % 1500;
        assert.deepEqual(log.read(at), met[at]);
      }
    });

    it("walks forward and backward over any range", async () => {
      await using log = await openLog(place(), { batchBytes: 1024 });
      for (let n = 0; n < 500; n++) log.append(text(String(n)));
      const cases = [
        [{}, 0, 500],
        [{ from: 490 }, 490, 500],
        [{ from: -3 }, 497, 500],
        [{ from: 10, to: 13 }, 10, 13],
        [{ from: 10, to: -480 }, 10, 20],
        [{ from: 500 }, 500, 500],
        [{ to: "start" }, 0, 0],
      ] as const;
      for (const [options, from, to] of cases) {
        const expected = Array.from({ length: to - from }, (_, index) => String(from + index));
        const found = [];
        for (const record of log.scan(options)) found.push(textOf(record.value));
        assert.deepEqual(found, expected, JSON.stringify(options));
        const back = [];
        for (const record of log.scan({ ...options, reverse: true }))
          back.push(textOf(record.value));
        assert.deepEqual(back, expected.toReversed(), JSON.stringify(options));
      }
      const kept = [];
      for (const record of log.scan({ from: 3 })) {
        kept.push(record.copy());
        if (record.offset === 5) break;
      }
      assert.deepEqual(
        kept.map(({ offset, value }) => `${offset}:${textOf(value)}`),
        ["3:3", "4:4", "5:5"],
      );
    });

    it("finds the first record of a time", async () => {
      await using log = await openLog(place(), { batchBytes: 1024 });
      for (let n = 0; n < 300; n++) log.append(text("x"), { timestamp: 1_000_000 + n * 10 });
      assert.equal(log.offsetForTime(0), 0);
      assert.equal(log.offsetForTime(1_001_234), 124);
      await log.checkpoint();
      assert.equal(log.offsetForTime(1_001_230), 123);
      assert.equal(log.offsetForTime(new Date(1_001_231).toISOString()), 124);
      assert.equal(log.offsetForTime(2_000_000), 300);
      assert.equal(log.scan({ from: { time: 1_002_985 } }).next().value?.offset, 299);
    });

    it("keeps what it has read when a program gives it to a worker", async () => {
      await using log = await openLog(place());
      log.append(text("value"));
      await log.flush();
      const { value } = log.read(0);
      const isRefused = { name: "DataCloneError" };
      assert.throws(() => give(value), isRefused);
      assert.equal(textOf(log.read(0).value), "value");
      for (const { bytes } of log.scan()) assert.throws(() => give(bytes), isRefused);
    });

    it("gives one sync to all who flush at the same time", async () => {
      await using log = await openLog(place());
      await log.flush();
      const { syncs } = log.stats();
      const writer = async (id: number): Promise<void> => {
        for (let n = 0; n < 10; n++) {
          log.append(text(`${id}`));
          await log.flush();
        }
      };
      await Promise.all(Array.from({ length: 64 }, (_, id) => writer(id)));
      assert.equal(log.endOffset, 640);
      assert.ok(log.stats().syncs - syncs <= 40, `${log.stats().syncs - syncs} syncs`);
    });

    it("refuses what it cannot take or does not have, each by its own code", async () => {
      const log = await openLog(place(), { recordBytesMax: 100_000 });
      log.append(text("a"));
      const wrong: Uint8Array = JSON.parse('"text"');
      throwsCode(() => log.append(wrong), "invalid_argument", /Uint8Array, not string/);
      throwsCode(() => log.appendBatch([text("b"), wrong]), "invalid_argument", /not string/);
      throwsCode(() => log.append(new Uint8Array(100_001)), "record_too_large", /100000/);
      throwsCode(
        () => log.read(1),
        "offset_out_of_range",
        /no offset 1: it begins at 0 and ends before 1/,
      );
      throwsCode(() => log.read(-2), "offset_out_of_range", /no offset -2/);
      throwsCode(() => log.read(0.5), "invalid_argument", /0\.5/);
      await log.flush();
      assert.equal(textOf(log.read(0).value), "a");
      throwsCode(() => log.read(0.5), "invalid_argument", /0\.5/);
      log.append(text("pending"));
      throwsCode(() => log.read(1.5), "invalid_argument", /1\.5/);
      throwsCode(() => log.scan({ from: 3 }), "offset_out_of_range", /3/);
      assert.equal(log.append(text("b")), 2);
      await log.close();
      await log.close();
      throwsCode(() => log.append(text("c")), "closed", /closed/);
      throwsCode(() => log.read(0), "closed", /closed/);
      throwsCode(() => log.scan(), "closed", /closed/);
      await assert.rejects(log.flush(), isCode("closed", /closed/));
      await assert.rejects(
        openLog(place(), { batchBytes: 10 }),
        isCode("invalid_argument", /batchBytes 10/),
      );
    });

    it("forgets what is truncated", async () => {
      await using log = await openLog(place(), { batchBytes: 1024 });
      for (let n = 0; n < 100; n++) log.append(text(String(n)));
      assert.equal(textOf(log.read(10).value), "10");
      assert.equal(await log.truncateBefore(60), 60);
      assert.equal(log.startOffset, 60);
      throwsCode(() => log.read(10), "offset_out_of_range", /begins at 60/);
      assert.equal([...log.scan()].length, 40);
      await assert.rejects(log.truncateBefore(101), isCode("offset_out_of_range", /101/));
      await log.truncateBefore(100);
      assert.equal([...log.scan()].length, 0);
      assert.equal(log.append(text("next")), 100);
    });

    it("keeps the newest records where it is told how many", async () => {
      await using log = await openLog(place(), { retention: { records: 500 } });
      for (let n = 0; n < 5000; n++) {
        log.append(text(String(n)));
        if (n % 100 === 0) await log.flush();
      }
      await log.flush();
      await log.flush();
      assert.ok(log.startOffset >= 5000 - 500 - 1024 - 100, `starts at ${log.startOffset}`);
      assert.ok(log.startOffset <= 4500);
      assert.equal(textOf(log.read(4500).value), "4500");
    });

    it("gives whoever follows each record once, from where it is told", async () => {
      await using log = await openLog(place());
      for (let n = 0; n < 5; n++) log.append(text(String(n)));
      const control = new AbortController();
      const seen: string[] = [];
      const following = (async () => {
        for await (const record of log.follow({ from: 2, signal: control.signal })) {
          seen.push(textOf(record.value));
          if (record.offset === 2000) control.abort(new Error("enough"));
        }
      })();
      for (let n = 5; n < 2500; n++) {
        log.append(text(String(n)));
        if (n % 500 === 0) await turn();
      }
      await assert.rejects(following, isCode("cancelled", /cancelled/));
      assert.deepEqual(
        seen.slice(0, 1999),
        Array.from({ length: 1999 }, (_, index) => String(index + 2)),
      );
    });
  });
}

for (const durability of ["fsync", "os", "buffered"] as const) {
  test(`whatever is done to a log with durability ${durability}, it has what a list has`, async () => {
    const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
    try {
      await compareWithList(seed, { durability, batchBytes: 2048, files: smallFiles });
    } catch (error) {
      throw new Error(`SEED=${seed}`, { cause: error });
    }
  });
}

async function compareWithList(seed: number, options: LogOptions): Promise<void> {
  const directory = newDirectory();
  let state = seed;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  const list: Buffer[] = [];
  let start = 0;
  const make = (): Buffer => {
    const kind = random(60);
    const size = kind === 0 ? 90_000 : kind < 3 ? 5000 : random(120);
    const made = Buffer.alloc(size, list.length % 251);
    list.push(made);
    return made;
  };
  let log: Log = await openLog(directory, options);
  for (let step = 0; step < 1500; step++) {
    const what = random(100);
    if (what < 60) {
      const base = list.length;
      assert.equal(log.append(make()), base);
    } else if (what < 66) {
      const base = list.length;
      const batch = Array.from({ length: random(40) }, make);
      assert.equal(log.appendBatch(batch), base);
    } else if (what < 90 && list.length > start) {
      const offset = start + random(list.length - start);
      assert.ok(list[offset]?.equals(log.read(offset).value ?? Buffer.alloc(1)), `read ${offset}`);
    } else if (what < 93) {
      const from = start + random(list.length - start + 1);
      const to = from + random(list.length - from + 1);
      const reverse = random(2) === 0;
      const found: number[] = [];
      for (const record of log.scan({ from, to, reverse })) {
        assert.ok(list[record.offset]?.equals(record.value ?? Buffer.alloc(1)));
        found.push(record.offset);
      }
      const wanted = Array.from({ length: to - from }, (_, index) => from + index);
      assert.deepEqual(found, reverse ? wanted.toReversed() : wanted);
    } else if (what < 95) {
      if (random(2) === 0) await log.flush();
      else log.flushSync();
    } else if (what < 97) {
      await turn();
    } else if (what === 97) {
      start = Math.max(start, list.length - random(400));
      await log.truncateBefore(start);
    } else if (what === 98 && random(3) === 0) {
      await log.checkpoint();
    } else if (what === 99 && random(3) === 0) {
      await log.close();
      log = await openLog(directory, options);
    }
    assert.equal(log.endOffset, list.length);
    assert.equal(log.startOffset, start);
  }
  assert.deepEqual(log.verify().problems, []);
  await log.close();
}

for (const durability of ["fsync", "os", "buffered"] as const) {
  test(`a kill takes nothing that durability ${durability} has promised`, async () => {
    const directory = newDirectory();
    let promised = -1;
    for (const lines of [5, 2, 12]) {
      promised = await runWriter(directory, durability, lines);
    }
    await using log = await openLog(directory);
    assert.ok(log.endOffset > promised, `${log.endOffset} records, ${promised} was promised`);
    for (const record of log.scan()) {
      const expected = `${record.offset} ${"x".repeat(record.offset % 300)}`;
      assert.equal(textOf(record.value), expected);
    }
    assert.deepEqual(log.verify().problems, []);
  });
}

async function runWriter(
  directory: string,
  durability: string,
  lines: number,
  meanwhile?: (last: number) => Promise<void>,
): Promise<number> {
  const program = new URL("library/log-writer.ts", import.meta.url).pathname;
  const pace = meanwhile === undefined ? "free" : "paced";
  const child = spawn(process.execPath, [program, directory, durability, pace], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let last = -1;
  let left = lines;
  for await (const line of createInterface(child.stdout)) {
    last = Number(line);
    // The next records come while these are looked at.
    child.stdin.write("next\n");
    await meanwhile?.(last);
    if (--left === 0) break;
  }
  child.kill("SIGKILL");
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  assert.equal(child.signalCode, "SIGKILL");
  return last;
}

test("a reader beside the writer sees what it has written, through checkpoints and new files", async () => {
  const directory = newDirectory();
  await runWriter(directory, "os", 1);
  using reader = await openLog(directory, { readonly: true, pollMs: 5 });
  let checked = 0;
  await runWriter(directory, "os", 120, async (last) => {
    for (const record of reader.scan({ from: checked })) {
      assert.ok(textOf(record.value).startsWith(`${record.offset} `));
      checked = record.offset + 1;
    }
    assert.ok(checked > last, `read up to ${checked}, ${last} was written`);
    assert.ok(textOf(reader.read(last).value).startsWith(`${last} `));
    assert.ok(textOf(reader.read(checked >> 1).value).startsWith(`${checked >> 1} `));
  });
  assert.ok(checked >= 6000);
  throwsCode(() => reader.read(1e9), "offset_out_of_range", /1000000000/);
  reader.close();
  throwsCode(() => reader.scan(), "closed", /closed/);
});

test("a reader follows a writer that truncates, checkpoints and starts again", async () => {
  const directory = newDirectory();
  const options = { files: smallFiles, durability: "os" } as const;
  let log = await openLog(directory, options);
  log.append(text("0"));
  using reader = await openLog(directory, { readonly: true, pollMs: 2 });
  const control = new AbortController();
  const seen: number[] = [];
  const following = (async () => {
    for await (const { offset, value } of reader.follow({ signal: control.signal })) {
      assert.equal(textOf(value), String(offset));
      seen.push(offset);
      if (offset === 2999) control.abort();
    }
  })();
  for (let n = 1; n < 3000; n++) {
    log.append(text(String(n)));
    if (n % 600 === 0) {
      while (seen.length < n) await turn();
      await log.truncateBefore(n - 5);
      await log.checkpoint();
      await log.checkpoint();
    }
    if (n === 1500) {
      await log.close();
      log = await openLog(directory, options);
    }
  }
  await assert.rejects(following, isCode("cancelled", /cancelled/));
  await log.close();
  assert.equal(seen.length, 3000);
  assert.equal(reader.startOffset, 2395);
  throwsCode(() => reader.read(3), "offset_out_of_range", /begins at 2395/);
});

test("a directory has one writer, and a reader needs a log", async () => {
  const directory = newDirectory();
  await using log = await openLog(directory);
  await assert.rejects(openLog(directory), isCode("directory_in_use", /in use/));
  using reader = await openLog(directory, { readonly: true });
  assert.equal(reader.endOffset, 0);
  log.append(text("a"));
  await log.flush();
  reader.refresh();
  assert.equal(reader.endOffset, 1);
  await assert.rejects(
    openLog(join(root, "nothing"), { readonly: true }),
    isCode("format_unknown", /not a Cordwood store/),
  );
  await assert.rejects(openLog("memory:", { readonly: true }), isCode("unsupported", /memory/));
});

test("a backup is made while appending goes on, brought up to date, and restored", async () => {
  const directory = newDirectory();
  const backup = newDirectory();
  await using log = await openLog(directory, { files: smallFiles });
  for (let n = 0; n < 3000; n++) log.append(text(String(n)));
  const first = log.backup(`file:${backup}`);
  for (let n = 3000; n < 6000; n++) log.append(text(String(n)));
  assert.equal((await first).generation, 1);
  const last = log.endOffset;
  assert.equal((await log.backup(backup)).generation, 2);
  log.append(text("not in the backup"));
  const restored = newDirectory();
  await restore(backup, restored);
  await using again = await openLog(restored);
  assert.equal(again.endOffset, last);
  for (const record of again.scan()) assert.equal(textOf(record.value), String(record.offset));
  await using memory = await openLog("memory:");
  await assert.rejects(memory.backup(newDirectory()), isCode("unsupported", /memory/));
});

test("a backup that follows stays up to date through checkpoints, and ends with all of it", async () => {
  const backup = newDirectory();
  await using log = await openLog(newDirectory(), { files: smallFiles });
  const control = new AbortController();
  const generations: number[] = [];
  const rounds = { seen: 0, wanted: Promise.withResolvers<void>() };
  const following = log.backup(backup, {
    follow: true,
    signal: control.signal,
    intervalMs: 1,
    completed({ generation }) {
      generations.push(generation);
      rounds.wanted.resolve();
    },
  });
  const append = (records: number): void => {
    for (let n = 0; n < records; n++) log.append(text(String(log.endOffset)));
  };
  for (let round = 0; round < 4; round++) {
    await rounds.wanted.promise;
    rounds.wanted = Promise.withResolvers<void>();
    append(2000);
    if (round === 2) await log.checkpoint();
  }
  append(10);
  control.abort();
  const { generation } = await following;
  assert.ok(generation >= 5 && generations.length === generation);
  assert.deepEqual(
    generations.toSorted((left, right) => left - right),
    generations,
  );
  const restored = newDirectory();
  await restore(backup, restored);
  await using again = await openLog(restored);
  assert.equal(again.endOffset, 8010);
  for (const record of again.scan()) assert.equal(textOf(record.value), String(record.offset));
});

test("a backup that follows ends with the log, and a callback that throws ends it too", async () => {
  const log = await openLog(newDirectory());
  log.append(text("a"));
  const first = Promise.withResolvers<void>();
  const backup = newDirectory();
  const following = log.backup(backup, { follow: true, completed: () => first.resolve() });
  await first.promise;
  await Promise.all([assert.rejects(following, isCode("closed", /closed/)), log.close()]);
  await using again = await openLog(log.directory);
  const options = { progress: throwNoScreen };
  await assert.rejects(again.backup(backup, options), isCode("handler_failed", /no screen/));
  await assert.rejects(
    again.backup(backup, { follow: true, completed: throwNoScreen }),
    isCode("handler_failed", /completed backup threw: no screen/),
  );
  await assert.rejects(
    again.backup(backup, { signal: AbortSignal.abort() }),
    isCode("cancelled", /cancelled/),
  );
  const told: number[] = [];
  await again.backup(backup, { progress: ({ bytes }) => told.push(bytes) });
  assert.ok(told.length > 1 && (told.at(-1) ?? 0) > 0);
  const restored: number[] = [];
  await restore(backup, newDirectory(), { progress: ({ files }) => restored.push(files) });
  assert.ok(restored.length > 1);
});

function throwNoScreen(): never {
  throw new Error("no screen");
}

test("the clock is the program's own, where it gives one", async () => {
  let now = 1_000_000;
  const clock = (): number => now;
  await using log = await openLog("memory:", { clock });
  log.append(text("a"));
  await turn();
  now += 5000;
  log.append(text("b"));
  assert.deepEqual([log.read(0).timestamp, log.read(1).timestamp], [1_000_000, 1_005_000]);
  assert.equal(log.offsetForTime(1_000_001), 1);
  await using store = await open("memory:", { clock });
  const topic = await store.topic("t", { codec: "string" });
  await topic.append("c");
  assert.equal((await topic.read().next()).value?.timestamp, 1_005_000);
});

test("the numbers of a log are plain, histograms too", async () => {
  await using log = await openLog(newDirectory());
  log.appendBatch([text("a"), text("b")]);
  await log.flush();
  const { batches, syncs, metrics } = log.stats();
  assert.ok(batches >= 1 && syncs >= 1);
  const seconds = metrics["cordwood_wal_sync_seconds"];
  assert.ok(typeof seconds === "object" && seconds.count >= 1 && seconds.p99 >= seconds.p50);
  assert.ok(Number(metrics["cordwood_appended_records_total"]) >= 2);
  assert.equal(JSON.parse(JSON.stringify(metrics))["cordwood_groups"], 0);
});

for (const durability of ["fsync", "os", "buffered"] as const) {
  test(`what flushSync has flushed outlives a power cut, with durability ${durability}`, async () => {
    for (let seed = 0; seed < 20; seed++) {
      const env = memoryEnv({ seed });
      const log = await env.run(openLogToWrite(env, "/log", { durability, files: smallFiles }));
      let kept = 0;
      for (let step = 0; step < 30; step++) {
        for (let n = 0; n < 20; n++) log.append(text(`${log.endOffset} ${"x".repeat(seed * 20)}`));
        // In the background something else is on its way to the device.
        if (step % 7 === seed % 7) underWay(log.flush());
        if (step % 11 === seed % 11) underWay(log.checkpoint());
        if (step % 3 === 0) await Promise.resolve();
        if (step % 5 !== 0) continue;
        log.flushSync();
        kept = log.endOffset;
      }
      const disk = env.disk.crash(seededFates(seed));
      const next = memoryEnv({ seed, disk });
      const again = await next.run(openLogToWrite(next, "/log"));
      assert.ok(again.endOffset >= kept, `seed ${seed}: ${again.endOffset} of ${kept}`);
      for (const { offset, value } of again.scan()) {
        assert.equal(textOf(value), `${offset} ${"x".repeat(seed * 20)}`);
      }
      await next.run(again.close());
    }
  });
}

test("what a full disk did not take has no offset, and nothing takes its place", async () => {
  let isFull = false;
  const disk = new MemoryDisk({
    onCall({ kind, path }) {
      if (isFull && kind === "write" && path.includes("/wal/")) {
        throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
      }
    },
  });
  const env = memoryEnv({ seed: 1, disk });
  const log = await env.run(openLogToWrite(env, "/log", { durability: "buffered" }));
  log.append(text("a"));
  await env.run(log.flush());
  isFull = true;
  log.append(text("b"));
  const flushing = log.flush();
  const other = log.flush();
  await assert.rejects(env.run(flushing), isCode("storage_full", /no space/));
  await assert.rejects(env.run(other), isCode("storage_full", /no space/));
  isFull = false;
  throwsCode(() => log.append(text("c")), "storage_full", /no space/);
  assert.equal(log.endOffset, 1);
  await assert.rejects(env.run(log.close()), isCode("storage_full", /no space/));
  const again = await env.run(openLogToWrite(env, "/log"));
  assert.equal(again.append(text("d")), 1);
  assert.equal(textOf(again.read(1).value), "d");
  await env.run(again.close());
});

test("a failed sync is the end of a log, and is told once", async () => {
  let fails = false;
  const disk = new MemoryDisk({
    onCall({ kind, path }) {
      if (fails && kind === "sync" && path.includes("/wal/")) {
        throw Object.assign(new Error("EIO: the device failed"), { code: "EIO" });
      }
    },
  });
  const env = memoryEnv({ seed: 1, disk });
  const told: LogError[] = [];
  const log = await env.run(
    openLogToWrite(env, "/log", { onFailure: (error) => told.push(error) }),
  );
  fails = true;
  log.append(text("a"));
  await assert.rejects(env.run(log.flush()), isCode("storage_failed", /EIO/));
  throwsCode(() => log.append(text("b")), "storage_failed", /EIO/);
  assert.equal(told.length, 1);
  await assert.rejects(env.run(log.close()), isCode("storage_failed", /EIO/));
});

test("a failed flushSync is the end of a log, too", async () => {
  let fails = false;
  const disk = new MemoryDisk({
    onCall({ kind, path }) {
      if (fails && kind === "sync" && path.includes("/wal/")) throw diskError("EIO", path);
    },
  });
  const env = memoryEnv({ seed: 1, disk });
  const log = await env.run(openLogToWrite(env, "/log", { durability: "buffered" }));
  log.append(text("a"));
  log.flushSync();
  fails = true;
  log.append(text("b"));
  throwsCode(() => log.flushSync(), "storage_failed", /EIO/);
  fails = false;
  throwsCode(() => log.flushSync(), "storage_failed", /EIO/);
  throwsCode(() => log.append(text("c")), "storage_failed", /EIO/);
  await assert.rejects(env.run(log.close()), isCode("storage_failed", /EIO/));
});

/** As a message to a worker does, which then has the memory alone. */
function give(bytes: Uint8Array | undefined): void {
  const memory = bytes?.buffer;
  assert.ok(memory instanceof ArrayBuffer);
  structuredClone(bytes, { transfer: [memory] });
}

/** Ends with its process, and nobody is there to be told how. */
function underWay(work: Promise<unknown>): void {
  work.catch(() => undefined);
}

function text(value: string): Uint8Array {
  return Buffer.from(value);
}

function textOf(value: Uint8Array | undefined): string {
  return Buffer.from(value ?? []).toString();
}

function isCode(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof LogError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

function throwsCode(run: () => unknown, code: string, message: RegExp): void {
  assert.throws(run, isCode(code, message));
}
