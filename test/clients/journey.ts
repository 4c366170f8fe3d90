// What a program that uses a Kafka client library may rely on: one list of expectations for every library.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";

import { quickGroups, startServer, type TestServer, until } from "../servers.ts";
import {
  type Client,
  type Member,
  type Offsets,
  protocolCodes,
  type ReadRecord,
} from "./client.ts";
import {
  asLine,
  assertSame,
  eachKeyInOrder,
  noise,
  sample,
  sampleSize,
  timeMs,
} from "./samples.ts";
import { codecs, readBatches, Wire } from "./wire.ts";

const partitionCount = 3;

/** A server started elsewhere, to run the same tests against (Apache Kafka, another revision). */
const givenBootstrap = process.env["TEST_BOOTSTRAP"];

/**
 * How long the server may take to show what it acknowledged. Apache Kafka's controller answers before its
 * brokers have heard, and then these libraries fail, or send a whole request again and leave duplicates. Of
 * the server of this project more is asked: done is done.
 */
const lagMsMax = givenBootstrap === undefined ? 0 : 30_000;

/** Declares the tests of one library. */
export function journey(library: string, open: (bootstrap: string) => Client): void {
  describe(library, { timeout: 120_000 }, () => {
    let server: TestServer | undefined;
    let bootstrap = "";
    let client: Client;
    let topicCount = 0;

    before(async () => {
      server = givenBootstrap === undefined ? await startServer({ args: quickGroups }) : undefined;
      bootstrap = server?.bootstrap ?? givenBootstrap ?? "";
      client = open(bootstrap);
    });
    after(async () => {
      await client.close();
      await server?.stop();
    });

    afterEach(leaveAll);

    const newName = (kind: string): string => {
      topicCount += 1;
      return `${library}-${kind}-${process.pid}-${topicCount}`;
    };
    const create = async (
      topic: string,
      partitions: number,
      settings?: Readonly<Record<string, string>>,
    ): Promise<void> => {
      await client.createTopic(topic, partitions, settings);
      await shows(async () => assertEmpty(bootstrap, topic, partitions));
    };
    const newTopic = async (partitions = partitionCount): Promise<string> => {
      const topic = newName("topic");
      await create(topic, partitions);
      return topic;
    };

    test("a new topic has the partitions asked for, and its name is taken", async () => {
      const topic = await newTopic();
      await shows(async () => assert.ok((await client.listTopics()).includes(topic)));
      assert.equal(await client.partitionCount(topic), partitionCount);
      await assert.rejects(client.createTopic(topic, 1), hasCode(36));
    });

    for (const codec of codecs) {
      test(`records written with codec ${codec} are stored so and come back equal, in order per key`, async () => {
        const topic = await newTopic();
        const sent = sample({ first: 0 });
        for (const part of inParts(sent, 3)) await client.produce(topic, part, { codec });
        const read = await readAll(client, topic);
        assertSame(read, sent);
        eachKeyInOrder(read);
        assert.deepEqual(await codecsOf(bootstrap, topic), new Set([codec]));
      });
    }

    test("absent and empty keys and values, many headers and large values come back as they were", async () => {
      const topic = await newTopic(1);
      const sent = [
        { key: undefined, value: undefined, headers: [] },
        { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [["", Buffer.alloc(0)]] as const },
        {
          key: Buffer.from("é€😀"),
          value: noise(500_000),
          headers: [["ключ", noise(256)]] as const,
        },
        {
          key: Buffer.from([0, 255, 128]),
          value: undefined,
          headers: Array.from({ length: 40 }, (_, index) => [`h${index}`, noise(index)] as const),
        },
      ].map((record, index) => ({ ...record, partition: 0, timestampMs: timeMs(index) }));
      await client.produce(topic, sent);
      assert.deepEqual((await readAll(client, topic)).map(asLine), sent.map(asLine));
    });

    test("what an idempotent producer writes is there once, in the order of the calls", async () => {
      const topic = await newTopic();
      const sent = sample({ first: 0 });
      for (const part of inParts(sent, 12)) {
        await client.produce(topic, part, { isIdempotent: true });
      }
      const read = await readAll(client, topic);
      assertSame(read, sent);
      eachKeyInOrder(read);
    });

    test("a group of two shares the partitions, survives a leave, and goes on from the commit", async () => {
      const topic = await newTopic();
      const group = newName("group");
      const reading = new Reading(client, group, topic);

      // One member has everything.
      await client.produce(topic, sample({ first: 0 }));
      const first = await reading.join("first");
      await reading.untilCount(sampleSize);
      await first.commit(reading.next());

      // A second one takes over a part; what was committed is not read again.
      const second = await reading.join("second");
      await untilShared(client, group, [first, second]);
      await client.produce(topic, sample({ first: sampleSize }));
      await reading.untilCount(2 * sampleSize);
      assert.ok(reading.countOf("second") > 0, "the second member got records");
      await first.commit(pick(reading.next(), first.partitions()));
      await second.commit(pick(reading.next(), second.partitions()));
      assert.deepEqual(await client.committed(group, topic), reading.next());
      assert.deepEqual(await client.describeGroup(group), {
        state: "Stable",
        protocolType: "consumer",
        memberCount: 2,
      });
      await assert.rejects(client.deleteGroup(group), hasCode(68));

      // It leaves again; the first one goes on with everything.
      await second.leave();
      await untilShared(client, group, [first]);
      await client.produce(topic, sample({ first: 2 * sampleSize }));
      await reading.untilCount(3 * sampleSize);
      reading.assertNothingTwice();
      assertSame(reading.records, sample({ first: 0, count: 3 * sampleSize }));
      eachKeyInOrder(reading.records);

      // A commit in the middle: who comes next begins exactly there.
      const middle = new Map([...reading.next()].map(([partition, next]) => [partition, next - 7]));
      await first.commit(middle);
      await first.leave();
      await until("the group is empty", async () => {
        return (await client.describeGroup(group)).state === "Empty";
      });
      const again = new Reading(client, group, topic);
      const third = await again.join("third");
      await again.untilCount(7 * partitionCount);
      again.assertNothingTwice();
      assert.deepEqual(again.firsts(), middle);
      assert.deepEqual(again.next(), reading.next());
      await third.leave();

      // Groups can be listed and deleted.
      assert.ok((await client.listGroups()).includes(group));
      await client.deleteGroup(group);
      assert.ok(!(await client.listGroups()).includes(group));
    });

    test("offsets are found by time, inside of batches too", async () => {
      const topic = await newTopic(1);
      const sent = sample({ first: 0 }).map((record) => ({ ...record, partition: 0 }));
      for (const part of inParts(sent, 4)) await client.produce(topic, part, { codec: "gzip" });
      const at = async (place: Parameters<Client["offsets"]>[1]): Promise<number | undefined> =>
        (await client.offsets(topic, place)).get(0);
      assert.equal(await at("earliest"), 0);
      assert.equal(await at("latest"), sent.length);
      const rows = [
        { timeMs: timeMs(0) - 1, offset: 0, why: "before the first record" },
        { timeMs: timeMs(0), offset: 0, why: "the first record" },
        { timeMs: timeMs(17) - 1, offset: 17, why: "between two records the later one" },
        { timeMs: timeMs(17), offset: 17, why: "in the middle of a batch" },
        { timeMs: timeMs(sampleSize / 4), offset: sampleSize / 4, why: "the start of a batch" },
        { timeMs: timeMs(sampleSize - 1), offset: sampleSize - 1, why: "the last record" },
        { timeMs: timeMs(sampleSize), offset: sampleSize, why: "after the last record" },
      ];
      for (const { timeMs: time, offset, why } of rows) {
        assert.equal(await at({ timeMs: time }), offset, why);
      }
    });

    test("settings of a topic are shown, changed, checked, and obeyed", async () => {
      const topic = newName("topic");
      await create(topic, 1, { "retention.ms": "86400000" });
      assert.equal(await client.setting(topic, "retention.ms"), "86400000");
      assert.equal(await client.setting(topic, "cleanup.policy"), "delete");
      await client.alterSetting(topic, "max.message.bytes", "2000");
      await shows(async () =>
        assert.equal(await client.setting(topic, "max.message.bytes"), "2000"),
      );
      const large = { key: undefined, value: noise(5_000), headers: [], timestampMs: timeMs(0) };
      await assert.rejects(client.produce(topic, [large]), hasCode(10));
      await client.produce(topic, [{ ...large, value: noise(500) }]);
      await assert.rejects(client.alterSetting(topic, "retention.ms", "soon"), hasCode(40));
      await assert.rejects(client.alterSetting(topic, "no.such.setting", "1"), hasCode(40));
    });

    test("partitions can be added, not taken away", async () => {
      const topic = await newTopic();
      await client.createPartitions(topic, 5);
      await shows(async () => assert.equal(await client.partitionCount(topic), 5));
      await shows(async () => assertEmpty(bootstrap, topic, 5));
      await assert.rejects(client.createPartitions(topic, 2), hasCode(37));
      const sent = sample({ first: 0 }).map((record) => ({ ...record, partition: 4 }));
      await client.produce(topic, sent);
      assert.deepEqual((await readAll(client, topic)).map(asLine), sent.map(asLine));
      assert.equal((await client.offsets(topic, "latest")).get(4), sent.length);
    });

    test("deleted records are gone, offsets stay", async () => {
      const topic = await newTopic(2);
      const sent = [0, 1].flatMap((partition) =>
        sample({ first: 0 }).map((record) => ({ ...record, partition })),
      );
      await client.produce(topic, sent);
      await client.deleteRecords(
        topic,
        new Map<number, number | "end">([
          [0, 10],
          [1, "end"],
        ]),
      );
      assert.deepEqual(
        await client.offsets(topic, "earliest"),
        new Map([
          [0, 10],
          [1, sampleSize],
        ]),
      );
      assert.deepEqual(
        await client.offsets(topic, "latest"),
        new Map([
          [0, sampleSize],
          [1, sampleSize],
        ]),
      );
      const read = await readAll(client, topic);
      assert.deepEqual(read.map(asLine), sent.slice(10, sampleSize).map(asLine));
      await assert.rejects(client.deleteRecords(topic, new Map([[0, sampleSize + 1]])), hasCode(1));
    });

    test("a deleted topic is gone, and a new one of its name is empty", async () => {
      const topic = await newTopic();
      await client.produce(topic, sample({ first: 0 }));
      await client.deleteTopic(topic);
      await shows(async () => assert.ok(!(await client.listTopics()).includes(topic)));
      await create(topic, 1);
      assert.deepEqual(await client.offsets(topic, "latest"), new Map([[0, 0]]));
    });

    if (givenBootstrap === undefined) {
      test("records, settings and commits outlive kill -9", async () => {
        const running = server;
        assert.ok(running);
        const topic = await newTopic();
        const group = newName("group");
        const sent = sample({ first: 0 });
        await client.produce(topic, sent, { isIdempotent: true });
        await client.alterSetting(topic, "retention.ms", "86400000");
        const reading = new Reading(client, group, topic);
        const member = await reading.join("first");
        await reading.untilCount(sampleSize);
        const next = reading.next();
        await member.commit(next);
        await member.leave();
        await client.close();

        await running.kill("SIGKILL");
        await running.restart();
        client = open(bootstrap);
        assert.equal(await client.setting(topic, "retention.ms"), "86400000");
        assert.deepEqual(await client.committed(group, topic), next);
        const read = await readAll(client, topic);
        assertSame(read, sent);
        const again = new Reading(client, group, topic);
        const returned = await again.join("returned");
        await client.produce(topic, sample({ first: sampleSize }));
        await again.untilCount(sampleSize);
        again.assertNothingTwice();
        assert.deepEqual(again.firsts(), next);
        await returned.leave();
      });
    }
  });
}

/** Members that did not leave yet: a test that fails must not keep the process alive by its member. */
const joined = new Set<Member>();

async function leaveAll(): Promise<void> {
  for (const member of joined) await member.leave();
}

/** All that the members of a group read of one topic, in the order of arrival. */
class Reading {
  readonly records: ReadRecord[] = [];
  readonly #readers: string[] = [];
  readonly #client: Client;
  readonly #group: string;
  readonly #topic: string;

  constructor(client: Client, group: string, topic: string) {
    this.#client = client;
    this.#group = group;
    this.#topic = topic;
  }

  async join(reader: string): Promise<Member> {
    const member = await this.#client.join(this.#group, this.#topic, (record) => {
      this.records.push(record);
      this.#readers.push(reader);
    });
    const tracked: Member = {
      ...member,
      async leave() {
        if (joined.delete(tracked)) await member.leave();
      },
    };
    joined.add(tracked);
    return tracked;
  }

  async untilCount(count: number): Promise<void> {
    await until(`${count} records are read`, () => this.records.length >= count, {
      state: () => this.records.length,
    });
  }

  countOf(reader: string): number {
    return this.#readers.filter((name) => name === reader).length;
  }

  /** The next position of each partition that was read. */
  next(): Offsets {
    const ends = this.records.map(({ partition, offset }) => [partition, offset + 1] as const);
    return new Map(ends.toSorted(([p, o], [q, r]) => p - q || o - r));
  }

  /** The lowest offset of each partition that was read. */
  firsts(): Offsets {
    const starts = this.records.map(({ partition, offset }) => [partition, offset] as const);
    return new Map(starts.toSorted(([p, o], [q, r]) => p - q || r - o));
  }

  assertNothingTwice(): void {
    const places = this.records.map(({ partition, offset }) => `${partition}:${offset}`);
    const twice = places.filter((place, index) => places.indexOf(place) !== index);
    assert.deepEqual(twice, [], "records read twice (partition:offset)");
  }
}

/** Reads a topic from its start to its end, by a group of its own. */
async function readAll(client: Client, topic: string): Promise<readonly ReadRecord[]> {
  const start = sum(await client.offsets(topic, "earliest"));
  const end = sum(await client.offsets(topic, "latest"));
  const group = `${topic}-all-${start}-${end}`;
  const reading = new Reading(client, group, topic);
  const member = await reading.join("all");
  await reading.untilCount(end - start);
  await member.leave();
  reading.assertNothingTwice();
  return reading.records;
}

/** Waits until the members own all partitions, each of them some and nobody the same, and the group agrees. */
async function untilShared(
  client: Client,
  group: string,
  members: readonly Member[],
): Promise<void> {
  const owned = (): readonly (readonly number[])[] => members.map((member) => member.partitions());
  const isShared = (): boolean =>
    owned().every((partitions) => partitions.length > 0) &&
    owned()
      .flat()
      .toSorted((a, b) => a - b)
      .join() === [...Array(partitionCount).keys()].join();
  await until(
    `${members.length} members share ${partitionCount} partitions`,
    async () => {
      if (!isShared()) return false;
      const { state, memberCount } = await client.describeGroup(group);
      return state === "Stable" && memberCount === members.length && isShared();
    },
    { state: owned },
  );
}

async function assertEmpty(bootstrap: string, topic: string, partitions: number): Promise<void> {
  const wire = await Wire.connect(bootstrap);
  try {
    for (let partition = 0; partition < partitions; partition += 1) {
      assert.deepEqual(await readBatches(wire, topic, partition, 0), []);
    }
  } finally {
    wire.close();
  }
}

/** Makes sure of something that was acknowledged. */
async function shows(check: () => Promise<void>): Promise<void> {
  const deadlineMs = performance.now() + lagMsMax;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() >= deadlineMs) throw error;
      await delay(10);
    }
  }
}

async function codecsOf(bootstrap: string, topic: string): Promise<ReadonlySet<string>> {
  const wire = await Wire.connect(bootstrap);
  const found = new Set<string>();
  for (let partition = 0; partition < partitionCount; partition += 1) {
    for (const batch of await readBatches(wire, topic, partition, 0)) found.add(batch.codec);
  }
  wire.close();
  return found;
}

function inParts<T>(items: readonly T[], count: number): readonly (readonly T[])[] {
  const size = Math.ceil(items.length / count);
  return Array.from({ length: count }, (_, index) => items.slice(index * size, (index + 1) * size));
}

function pick(offsets: Offsets, partitions: readonly number[]): Offsets {
  return new Map([...offsets].filter(([partition]) => partitions.includes(partition)));
}

function sum(offsets: Offsets): number {
  return [...offsets.values()].reduce((total, offset) => total + offset, 0);
}

function hasCode(code: number): (thrown: unknown) => boolean {
  return (thrown) => {
    const codes = protocolCodes(thrown);
    assert.ok(codes.has(code), `error code ${code}, not ${[...codes].join()} (${String(thrown)})`);
    return true;
  };
}
