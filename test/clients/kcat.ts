// kcat (librdkafka) against a server: node test/clients/kcat.ts HOST:PORT
import assert from "node:assert/strict";
import { PassThrough, type Readable } from "node:stream";

import { quickGroups, startServer, until } from "../servers.ts";
import {
  field,
  Kcat,
  type GroupMember,
  type KcatRecord,
  type Line,
  objects,
  parseRecord,
} from "./kcat-process.ts";
import { bootstrapArgument, step } from "./steps.ts";
import { codecs, createTopic, readBatches, Wire } from "./wire.ts";

const bootstrap = bootstrapArgument();
const kcat = new Kcat(bootstrap);
const partitionCount = 3;
const keyCount = 11;
const quick = ["-X", "fetch.wait.max.ms=50"];
/** It leaves a batch of one or two records as it is, where compressed it would be larger. */
const whole = ["-X", "linger.ms=500"];
const idempotent = ["-X", "enable.idempotence=true"];

await step("list topics and partitions (-L)", async () => {
  const topic = await newTopic("list");
  const listed: unknown = JSON.parse(await kcat.run(["-L", "-J"]));
  const topics = new Map(
    objects(field(listed, "topics")).map((each) => [
      field(each, "topic"),
      objects(field(each, "partitions")).length,
    ]),
  );
  assert.equal(topics.get(topic), partitionCount);
});

for (const codec of codecs) {
  await step(`produce with headers and -z ${codec}, consume`, async () => {
    const topic = await newTopic(codec);
    const lines = numbered(0, 10_000);
    const marks = ["-H", "origin=kcat", "-H", "empty="];
    await produce(topic, lines, ["-z", codec, ...whole, ...marks]);
    const read = await readAll(topic);
    assertSame(read, lines);
    for (const { headers } of read) assert.deepEqual(headers, ["origin", "kcat", "empty", ""]);
    assert.deepEqual(await storedCodecs(topic), new Set([codec]));
  });
}

await step("produce idempotently (-X enable.idempotence=true)", async () => {
  const topic = await newTopic("idempotent");
  for (const first of [0, 300, 600]) {
    await produce(topic, numbered(first, 300), idempotent);
  }
  assertSame(await readAll(topic), numbered(0, 900));
});

await step("null values and a chosen partition (-Z -p)", async () => {
  const topic = await newTopic("null");
  await produce(topic, [{ key: "gone", value: "" }], ["-Z", "-p", "2"]);
  const [record, ...others] = await readAll(topic);
  assert.deepEqual(others, []);
  assert.deepEqual([record?.partition, record?.key, record?.value], [2, "gone", "null"]);
});

await step("offsets by time, first and last (-Q)", async () => {
  const topic = await newTopic("time");
  await produce(topic, numbered(0, 100), ["-p", "0"]);
  const newestMs = Math.max(...(await readAll(topic)).map(({ timestampMs }) => timestampMs));
  await until("the clock has moved on", () => Date.now() > newestMs + 1);
  await produce(topic, numbered(100, 50), ["-p", "0"]);
  assert.equal(await queryOffset(topic, -2), 0);
  assert.equal(await queryOffset(topic, -1), 150);
  assert.equal(await queryOffset(topic, 1), 0);
  assert.equal(await queryOffset(topic, newestMs + 1), 100);
});

await step("go on from the commit after a restart (-G)", async () => {
  const topic = await newTopic("commit");
  await produce(topic, numbered(0, 400));
  const first = kcat.join("commit-group", topic, ["-c", "150"]);
  await first.untilEnded();
  const second = kcat.join("commit-group", topic);
  await until("the rest is read", () => second.records.length >= 250, {
    state: () => second.records.length,
  });
  await second.stop();
  assert.equal(first.records.length, 150);
  // Together they are the whole topic: no gap and nothing twice.
  assertSame([...first.records, ...second.records], numbered(0, 400));
});

await step("a group of two through a rebalance (-G)", async () => {
  const topic = await newTopic("group");
  const group = "pair";
  await produce(topic, numbered(0, 300));
  const first = kcat.join(group, topic);
  await until("one member reads all", () => first.records.length >= 300);
  const second = kcat.join(group, topic);
  await untilShared([first, second]);
  await produce(topic, numbered(300, 300));
  await until("two members read all", () => first.count + second.count >= 600, {
    state: () => [first.count, second.count],
  });
  assert.ok(second.count > 0 && second.count < 300, "each member reads a part");
  await second.stop();
  await untilShared([first]);
  await produce(topic, numbered(600, 300));
  await until("the one that stayed reads all", () => first.count + second.count >= 900);
  await first.stop();
  assertSame([...first.records, ...second.records].toSorted(byPlace), numbered(0, 900));

  const third = kcat.join(group, topic);
  await untilShared([third]);
  await produce(topic, numbered(900, 30));
  await until("a third one reads what is new", () => third.count >= 30);
  await third.stop();
  assertSame(third.records, numbered(900, 30));
});

await step("kill -9 twice while writing 10,000 records: none lost, none twice", async () => {
  await using server = await startServer({ args: quickGroups });
  const mortal = new Kcat(server.bootstrap);
  const topic = await newTopic("crash", mortal);
  const lines = numbered(0, 10_000);
  // -E: a server that is gone for a while does not end it.
  const small = ["-E", "-X", "batch.num.messages=10", "-X", "max.in.flight=1", "-X", "linger.ms=0"];
  // Some is left to be written at each kill, however fast it goes.
  const input = new PassThrough();
  const producing = write(topic, input, [...idempotent, ...small], mortal);
  for (let kill = 1; kill <= 2; kill += 1) {
    const before = (await readAll(topic, mortal)).length;
    input.write(textOf(lines.slice(4_000 * (kill - 1), 4_000 * kill)));
    const written = async (): Promise<boolean> => (await readAll(topic, mortal)).length > before;
    await until(`records arrive before kill ${kill}`, written);
    await server.kill("SIGKILL");
    await server.restart();
  }
  input.end(textOf(lines.slice(8_000)));
  await producing;
  assertSame(await readAll(topic, mortal), lines);
});

async function untilShared(members: readonly GroupMember[]): Promise<void> {
  const owned = (): readonly (readonly number[])[] => members.map(({ assigned }) => assigned);
  const everything = [...Array(partitionCount).keys()].join();
  await until(
    `${members.length} members share the partitions`,
    () =>
      owned().every((partitions) => partitions.length > 0) &&
      owned()
        .flat()
        .toSorted((a, b) => a - b)
        .join() === everything,
    { state: owned },
  );
}

async function newTopic(kind: string, client = kcat): Promise<string> {
  const topic = `kcat-${kind}-${process.pid}`;
  const wire = await Wire.connect(client.bootstrap);
  await createTopic(wire, topic, partitionCount);
  wire.close();
  await until("the topic can be read", async () => (await readAll(topic, client)).length === 0);
  return topic;
}

function produce(
  topic: string,
  lines: readonly Line[],
  options: readonly string[] = [],
): Promise<void> {
  return write(topic, textOf(lines), options);
}

// oxlint-disable-next-line max-params -- what and how
async function write(
  topic: string,
  input: string | Readable,
  options: readonly string[],
  client = kcat,
): Promise<void> {
  await client.run(["-P", "-t", topic, "-K", "\\t", ...options], input);
}

function textOf(lines: readonly Line[]): string {
  return lines.map(({ key, value }) => `${key}\t${value}\n`).join("");
}

async function readAll(topic: string, client = kcat): Promise<readonly KcatRecord[]> {
  const output = await client.run(["-C", "-t", topic, "-o", "beginning", "-e", "-J", ...quick]);
  return output.split("\n").filter(Boolean).map(parseRecord);
}

async function queryOffset(topic: string, timestampMs: number): Promise<number> {
  const output = await kcat.run(["-Q", "-t", `${topic}:0:${timestampMs}`]);
  return Number(/ offset (-?\d+)/.exec(output)?.[1] ?? Number.NaN);
}

async function storedCodecs(topic: string): Promise<ReadonlySet<string>> {
  const wire = await Wire.connect(bootstrap);
  const found = new Set<string>();
  for (let partition = 0; partition < partitionCount; partition += 1) {
    for (const batch of await readBatches(wire, topic, partition, 0)) found.add(batch.codec);
  }
  wire.close();
  return found;
}

function numbered(first: number, count: number): readonly Line[] {
  return Array.from({ length: count }, (_, index) => {
    const number = first + index;
    return { key: `key-${number % keyCount}`, value: `${number} ${"again ".repeat(number % 7)}` };
  });
}

/** The same records, and those of a key in one partition and in the order of their writing. */
function assertSame(read: readonly KcatRecord[], written: readonly Line[]): void {
  const keys = new Set(written.map(({ key }) => key));
  for (const wanted of keys) {
    const found = read.filter(({ key }) => key === wanted);
    const values = written.filter(({ key }) => key === wanted).map(({ value }) => value);
    assert.deepEqual(
      found.map(({ value }) => value),
      values,
      `records of ${wanted}: ${found.length} read, ${values.length} written`,
    );
    assert.equal(new Set(found.map(({ partition }) => partition)).size, 1, `${wanted} moved`);
  }
  assert.equal(read.length, written.length);
}

function byPlace(a: KcatRecord, b: KcatRecord): number {
  return a.partition - b.partition || a.offset - b.offset;
}
