// Real records, compacted through every door: what is left is the last record of each key, at its own offset.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

import { Broker } from "../src/broker/index.ts";
import { nodeEnv } from "../src/env/node/index.ts";
import { LogError, open, openLog } from "../src/index.ts";
import { kafkaHandlers, KafkaListener } from "../src/kafka/index.ts";
import { MetricRegistry } from "../src/metrics/index.ts";
import type { Client, ReadRecord } from "./clients/client.ts";
import { openKafkajs } from "./clients/kafkajs.ts";
import { openPlatformatic } from "./clients/platformatic.ts";
import { cordwoodMain, until } from "./servers.ts";

/** Debian's package lists, one version of a package a line; beside the project, not part of it. */
const dataFile = fileURLToPath(
  new URL("../../shared/data/debian-packages.ndjson.gz", import.meta.url),
);
const patience = { msMax: 60_000 };

/** A line, and the key that it has. */
interface Line {
  readonly key: string;
  readonly text: string;
}

/** What was appended, in order, and of each key the offset of its last line. */
const lines: Line[] = [];
const lastOffsets = new Map<string, number>();
let scratch = "";

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "cordwood-compaction-"));
  for (const text of await texts()) {
    const key = String(Reflect.get(JSON.parse(text), "package"));
    lastOffsets.set(key, lines.length);
    lines.push({ key, text });
  }
  if (existsSync(dataFile)) assert.deepEqual([lines.length, lastOffsets.size], [66_479, 63_664]);
});
after(() => rm(scratch, { recursive: true, force: true }));

async function texts(): Promise<readonly string[]> {
  if (existsSync(dataFile)) {
    return gunzipSync(await readFile(dataFile))
      .toString("utf8")
      .split("\n")
      .filter(Boolean);
  }
  return Array.from({ length: 5_000 }, (_, index) =>
    JSON.stringify({
      package: `package-${index % 20 === 0 ? index % 400 : index}`,
      version: `1.${index}-1`,
      depends: Array.from({ length: index % 23 }, (_unused, each) => `library-${each}`),
      summary: `Package number ${index}, for “tests” — größer als ASCII`,
    }),
  );
}

/** What must be left from `from` on. */
function left(from = 0): (readonly [offset: number, key: string, text: string])[] {
  return lines
    .map(({ key, text }, offset) => [offset, key, text] as const)
    .filter(([offset, key]) => offset >= from && lastOffsets.get(key) === offset);
}

/** An offset whose record is gone, somewhere in the middle. */
function goneOffset(): number {
  const middle = Math.floor(lines.length / 2);
  const gone = lines.findIndex(
    ({ key }, offset) => offset > middle && lastOffsets.get(key) !== offset,
  );
  return gone >= 0 ? gone : lines.findIndex(({ key }, offset) => lastOffsets.get(key) !== offset);
}

test("a topic of the library keeps the last record of each key", async () => {
  await using store = await open(`file:${scratch}/topic`, { compression: "zstd" });
  const packages = await store.topic<Line>("packages", {
    codec: { encode: ({ text }) => Buffer.from(text), decode: (bytes) => lineOf(bytes) },
    key: ({ key }) => key,
  });
  for (let at = 0; at < lines.length; at += 1_000) {
    await packages.appendMany(lines.slice(at, at + 1_000));
  }
  let reached = 0;
  const [report] = await packages.compact({
    progress({ bytesDone, bytesToDo }) {
      assert.ok(bytesDone >= reached && bytesDone <= bytesToDo);
      reached = bytesDone;
    },
  });
  assert.ok(reached > 0);
  assert.equal(report?.recordsRemoved, lines.length - lastOffsets.size);
  const from = goneOffset();
  for (const first of [0, from]) {
    const found: (readonly [number, string, string])[] = [];
    for await (const { offset, key = "", value } of packages.read({ from: first })) {
      found.push([offset, key, value.text]);
    }
    assert.deepEqual(found, left(first));
  }
  const [offset = 0, key = "", text] = left(from)[0] ?? [];
  const last = await packages.last(key);
  assert.deepEqual([last?.offset, last?.value.text], [offset, text]);
  assert.equal((await packages.compact())[0]?.passes, 0, "nothing is left to do");
});

function lineOf(bytes: Uint8Array): Line {
  const text = Buffer.from(bytes).toString();
  return { key: String(Reflect.get(JSON.parse(text), "package")), text };
}

function isGone(error: unknown): boolean {
  return error instanceof LogError && error.code === "offset_out_of_range";
}

test("a log keeps the last record of each key, and reads both ways over what is gone", async () => {
  const directory = join(scratch, "log");
  await using log = await openLog(directory, {
    durability: "buffered",
    compact: { everyMs: 1 << 30 },
  });
  for (const [index, { key, text }] of lines.entries()) {
    log.append(Buffer.from(text), { key: Buffer.from(key), timestamp: 1_000_000 + index });
  }
  const gone = goneOffset();
  assert.equal(String(Buffer.from(log.read(gone).value ?? [])), lines[gone]?.text);
  using reader = await openLog(directory, { readonly: true });
  const report = await log.compact();
  assert.equal(report.recordsRemoved, lines.length - lastOffsets.size);
  assert.equal(log.endOffset, lines.length);
  assert.throws(() => log.read(gone), isGone, "what was read before is forgotten too");
  const found = (reverse: boolean, from = 0): (readonly [number, string, string])[] =>
    Array.from(log.scan({ reverse, from }), ({ offset, key, value }) => [
      offset,
      Buffer.from(key ?? []).toString(),
      Buffer.from(value ?? []).toString(),
    ]);
  assert.deepEqual(found(false), left());
  assert.deepEqual(found(true), left().toReversed());
  assert.deepEqual(found(false, gone), left(gone));
  const next = left(gone)[0]?.[0] ?? 0;
  assert.equal(log.offsetForTime(1_000_000 + gone), next);
  assert.equal(log.read(next).offset, next);
  assert.equal(log.read(-1).offset, lines.length - 1);
  assert.deepEqual(log.verify().problems, []);
  // Another process sees the same, from its next look on.
  reader.refresh();
  assert.deepEqual(
    Array.from(reader.scan(), ({ offset }) => offset),
    left().map(([offset]) => offset),
  );
});

test("a log that is opened to be compacted is so by itself, while it is written and followed", async () => {
  const directory = join(scratch, "live");
  await using log = await openLog(directory, {
    durability: "os",
    compact: { everyMs: 10, dirtyRatio: 0.01, bytesPerSecondMax: 100_000_000 },
    files: { checkpointMs: 10, segmentBytes: 64 << 10 },
  });
  using reader = await openLog(directory, { readonly: true, pollMs: 1 });
  const count = 20_000;
  const keys = 100;
  const followed: number[] = [];
  const following = (async () => {
    for await (const { offset } of reader.follow()) {
      followed.push(offset);
      if (offset === count - 1) return;
    }
  })();
  for (let index = 0; index < count; index++) {
    log.append(Buffer.alloc(100), { key: Buffer.from(`k${index % keys}`) });
    if (index % 50 === 0) await new Promise(setImmediate);
  }
  await following;
  assert.ok(followed.every((offset, index) => offset > (followed[index - 1] ?? -1)));
  assert.deepEqual(followed.slice(-keys).at(0), count - keys, "what nothing replaces was met");
  const isCompacted = (): boolean => Array.from(log.scan()).length === keys;
  await until("all is compacted", isCompacted, patience);
  assert.deepEqual(log.verify().problems, []);
});

test("the command line compacts a directory", async () => {
  const directory = join(scratch, "topic");
  const printed = await cordwood(["storage", "verify", directory]);
  assert.equal(JSON.parse(printed).problems, 0);
  const fresh = join(scratch, "lines");
  const input = lines.map(({ text }) => `${text}\n`).join("");
  const at = ["--at", `file:${fresh}`];
  await cordwood(["topic", "create", "packages", ...at]);
  await cordwood(["produce", "packages", "--key-from", "package", ...at], input);
  const refused = await cordwood(["storage", "compact", fresh, "packages"]).catch(String);
  assert.match(refused, /add --yes/, "a topic that is not meant to be compacted is asked about");
  assert.equal(await cordwood(["storage", "compact", fresh]), "");
  await cordwood(["topic", "alter", "packages", "--set", "cleanup.policy=compact", ...at]);
  const [row] = (await cordwood(["storage", "compact", fresh])).split("\n");
  const { topic, recordsRead, recordsRemoved } = JSON.parse(row ?? "");
  assert.deepEqual(
    [topic, recordsRead, recordsRemoved],
    ["packages", lines.length, lines.length - lastOffsets.size],
  );
  const read = (await cordwood(["consume", "packages", "-o", "start..", ...at]))
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .map(({ offset, key, value }) => [offset, key, value]);
  assert.deepEqual(read, left());
  assert.equal(JSON.parse(await cordwood(["storage", "verify", fresh])).problems, 0);
});

/** Runs a command, and insists that it goes well. */
async function cordwood(args: readonly string[], input = ""): Promise<string> {
  const child = spawn(process.execPath, [cordwoodMain, ...args], { timeout: patience.msMax });
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const out: string[] = [];
  const err: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => out.push(text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => err.push(text));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`cordwood ${args.join(" ")}: ${err.join("")}`);
  return out.join("");
}

describe("Kafka clients", () => {
  let broker: Broker;
  let listener: KafkaListener;
  let kafkajs: Client;
  let platformatic: Client;

  before(async () => {
    const env = nodeEnv();
    const at = { host: "127.0.0.1", port: await freePort() };
    broker = await Broker.open(env, {
      directory: join(scratch, "server"),
      advertised: () => at,
      settings: new Map([
        ["log.cleaner.backoff.ms", "50"],
        ["group.initial.rebalance.delay.ms", "0"],
      ]),
      storage: { checkpointMs: 50 },
      onFatal: (error) => assert.fail(error.message),
    });
    const handlers = kafkaHandlers({ env, broker, metrics: new MetricRegistry() });
    listener = await KafkaListener.listen(env, { at, handlers });
    kafkajs = openKafkajs(`${at.host}:${at.port}`);
    platformatic = openPlatformatic(`${at.host}:${at.port}`);
  });
  after(async () => {
    await kafkajs.close();
    await platformatic.close();
    await listener.close(1_000);
    await broker.close();
  });

  test("a topic with cleanup.policy=compact is compacted while it is written and followed", async () => {
    const settings = { "cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01" };
    await kafkajs.createTopic("packages", 1, settings);
    const followed: ReadRecord[] = [];
    const follower = await kafkajs.join("follower", "packages", (record) => followed.push(record));
    for (let at = 0; at < lines.length; at += 500) {
      const records = lines.slice(at, at + 500).map(({ key, text }, index) => ({
        key: Buffer.from(key),
        value: Buffer.from(text),
        headers: [],
        timestampMs: 1_700_000_000_000 + at + index,
        partition: 0,
      }));
      await kafkajs.produce("packages", records, at % 1_000 === 0 ? { codec: "lz4" } : {});
    }
    // The follower sees each record, or was overtaken by the compaction; and every last one.
    await until(
      "the follower is at the end",
      () => followed.at(-1)?.offset === lines.length - 1,
      patience,
    );
    assert.ok(followed.every(({ offset }, index) => offset > (followed[index - 1]?.offset ?? -1)));
    const lastSeen = followed.filter(({ key, offset }) => lastOffsets.get(String(key)) === offset);
    assert.equal(lastSeen.length, lastOffsets.size);
    await follower.leave();
    const isCompacted = (): boolean =>
      broker.stats().store.compactionRecordsRemoved === lines.length - lastOffsets.size;
    await until("all is compacted", isCompacted, patience);
  });

  for (const library of ["kafkajs", "platformatic"] as const) {
    test(`${library} reads it from its start, from an offset that is gone, and by time`, async () => {
      const client = library === "kafkajs" ? kafkajs : platformatic;
      const gone = goneOffset();
      assert.deepEqual(await readAll(client, `${library}-all`), left());
      const placed = await client.join(`${library}-gone`, "packages", () => undefined);
      await until("the member has the partition", () => placed.partitions().length === 1, patience);
      await placed.commit(new Map([[0, gone]]));
      await placed.leave();
      assert.deepEqual(await readAll(client, `${library}-gone`), left(gone));
      const time = { timeMs: 1_700_000_000_000 + gone };
      const next = left(gone)[0]?.[0];
      assert.equal((await client.offsets("packages", time)).get(0), next);
      assert.equal((await client.offsets("packages", "earliest")).get(0), 0);
      assert.equal((await client.offsets("packages", "latest")).get(0), lines.length);
    });
  }

  test("a record without a key is refused by such a topic", async () => {
    const unkeyed = { key: undefined, value: Buffer.from("x"), headers: [], timestampMs: 1 };
    await assert.rejects(kafkajs.produce("packages", [{ ...unkeyed, partition: 0 }]));
  });
});

async function readAll(
  client: Client,
  group: string,
): Promise<(readonly [offset: number, key: string, text: string])[]> {
  const read: ReadRecord[] = [];
  const member = await client.join(group, "packages", (record) => read.push(record));
  await until(`${group} is at the end`, () => read.at(-1)?.offset === lines.length - 1, patience);
  await member.leave();
  return read.map(({ offset, key, value }) => [offset, String(key), String(value)]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
