// The libraries of Node, by the adapters of the journey; ../facts.ts says what the program does and prints.
// node test/clients/node/client.ts kafkajs|platformatic HOST:PORT SCENARIO NAME T0
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";

import { until } from "../../servers.ts";
import { type Client, type Offsets, protocolCodes, type SentRecord } from "../client.ts";
import {
  crash as crashAt,
  deletedBelow,
  groupParts,
  partitionCount,
  raw,
  recordCount,
  uncommittedCount,
  valueOf,
} from "../facts.ts";
import { openKafkajs } from "../kafkajs.ts";
import { openPlatformatic } from "../platformatic.ts";
import { codecs } from "../wire.ts";
import { Reading, type Row } from "./reading.ts";

const [library, bootstrap = "", scenario, name = "", t0Text] = process.argv.slice(2);
const t0 = Number(t0Text);
const client: Client = (library === "kafkajs" ? openKafkajs : openPlatformatic)(bootstrap);
if (scenario === "crash") await crash();
else await journey();
await client.close();
// A consumer of kafkajs that began again after a crash leaves a timer behind, which keeps the process alive.
process.stdout.write("", () => process.exit(0));

async function journey(): Promise<void> {
  const none = `${name}-none`;
  const grouped = `${name}-group`;
  const topics = [...codecs.map((codec) => `${name}-${codec}`), grouped];
  for (const topic of topics) await client.createTopic(topic, partitionCount);
  const again = await client.createTopic(grouped, partitionCount).then(() => 0, codeOf);
  tell("created", { partitions: await client.partitionCount(grouped), again });

  for (const codec of codecs) {
    const topic = `${name}-${codec}`;
    await client.produce(topic, records(0, recordCount), { codec, isIdempotent: true });
    tell("produced", { codec, acknowledged: recordCount });
    tell("read", { codec, records: await readAll(topic) });
  }
  await group(grouped);

  const times = [-1, 0, recordCount / 2, recordCount].map((n) => ({ timeMs: t0 + n }));
  const found = [];
  for (const time of times) found.push(byPartition(await client.offsets(none, time)));
  const earliest = byPartition(await client.offsets(none, "earliest"));
  const latest = byPartition(await client.offsets(none, "latest"));
  tell("offsets", { earliest, latest, times: found });

  const before = await client.setting(none, "retention.ms");
  await client.alterSetting(none, "retention.ms", "86400000");
  tell("config", { before, after: await client.setting(none, "retention.ms") });

  await client.deleteRecords(none, new Map([[0, deletedBelow]]));
  tell("records-deleted", {
    earliest: byPartition(await client.offsets(none, "earliest")),
    records: await readAll(none),
  });

  for (const topic of topics) await client.deleteTopic(topic);
  const listed = (await client.listTopics()).filter((topic) => topic.startsWith(`${name}-`));
  tell("topics-deleted", { listed });
}

async function group(topic: string): Promise<void> {
  const [one, two, three] = groupParts;
  const write = async (first: number, count: number): Promise<void> =>
    client.produce(topic, records(first, count), { codec: "lz4", isIdempotent: true });

  const first = await Reading.join(client, topic);
  await write(0, one);
  await until("one member has read all", () => first.rows.length === one);
  await first.commit(first.next);
  tell("group-first", { records: first.take() });

  const second = await Reading.join(client, topic);
  await until("both own partitions", () => {
    const [mine, others] = [first.owned().length, second.owned().length];
    return mine > 0 && others > 0 && mine + others === partitionCount;
  });
  await write(one, two);
  await until("both have read all", () => first.rows.length + second.rows.length === two);
  await first.commit(first.next);
  await second.commit(second.next);
  const partitions = [first.owned(), second.owned()];
  tell("group-shared", { partitions, members: [first.take(), second.take()] });

  await second.leave();
  await until("the first one owns all", () => first.owned().length === partitionCount);
  await write(one + two, three);
  await until("it has read all", () => first.rows.length === three);
  tell("group-left", { partitions: first.owned(), records: first.take() });
  await first.commit(
    new Map([...first.next].map(([partition, next]) => [partition, next - uncommittedCount])),
  );
  await first.leave();
  tell("group-committed", { committed: byPartition(await client.committed(topic, topic)) });

  const again = await Reading.join(client, topic);
  await until("it has read what was not committed", () => {
    return again.rows.length >= uncommittedCount * partitionCount;
  });
  await again.leave();
  tell("group-restarted", { records: again.take() });
}

async function crash(): Promise<void> {
  const topic = `${name}-crash`;
  await client.createTopic(topic, partitionCount);
  const members = [await Reading.join(client, topic), await Reading.join(client, topic)];
  await until("both own partitions", () => members.every((each) => each.owned().length > 0));
  tell("created", { partitions: partitionCount });
  const stopped = new AbortController();
  const committing = members.map((member) => keepCommitting(member, stopped.signal));

  const left = [...crashAt.acknowledged];
  for (let first = 0; first < recordCount; first += crashAt.part) {
    await client.produce(topic, records(first, crashAt.part), { isIdempotent: true });
    await delay(crashAt.pauseMs);
    const acknowledged = first + crashAt.part;
    if (acknowledged >= (left[0] ?? Infinity)) {
      left.shift();
      tell("producing", { acknowledged });
    }
  }
  tell("produced", { acknowledged: recordCount });

  const numbers = (): number => new Set(members.flatMap((each) => [...each.numbers])).size;
  await until("the members have read all", () => numbers() === recordCount, {
    msMax: 60_000,
    state: numbers,
  });
  await until("all is committed", async () => {
    return isDeepStrictEqual(
      await client.committed(topic, topic),
      await client.offsets(topic, "latest"),
    );
  });
  stopped.abort();
  await Promise.all(committing);
  for (const member of members) await member.leave();
  tell("consumed", { members: members.map((each) => each.take()) });
  tell("committed", { committed: byPartition(await client.committed(topic, topic)) });
  tell("read", { records: await readAll(topic) });
}

/** Commits what was read, again and again; the server may be away: the next one commits more. */
async function keepCommitting(member: Reading, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await member.commit(member.next);
    } catch (error) {
      process.stderr.write(`commit: ${String(error)}\n`);
    }
    await delay(50);
  }
}

/** From start to end, by a group of its own: the adapters have no other way to read. */
async function readAll(topic: string): Promise<readonly Row[]> {
  const starts = sum(await client.offsets(topic, "earliest"));
  const count = sum(await client.offsets(topic, "latest")) - starts;
  const reading = await Reading.join(client, topic, `${topic}-from-${starts}`);
  await until("the topic is read", () => reading.rows.length >= count);
  await reading.leave();
  return reading.rows;
}

function records(first: number, count: number): readonly SentRecord[] {
  return Array.from({ length: count }, (_, index) => {
    const n = first + index;
    return {
      key: Buffer.from(`key-${n % 97}`),
      value: Buffer.from(valueOf(n)),
      headers: [
        ["n", Buffer.from(String(n))],
        ["empty", Buffer.alloc(0)],
        ["raw", raw],
      ],
      timestampMs: t0 + n,
    };
  });
}

function codeOf(thrown: unknown): number {
  return [...protocolCodes(thrown)][0] ?? -1;
}

function byPartition(offsets: Offsets): Readonly<Record<string, number>> {
  return Object.fromEntries(offsets);
}

function sum(offsets: Offsets): number {
  return [...offsets.values()].reduce((total, each) => total + each, 0);
}

function tell(step: string, facts: Readonly<Record<string, unknown>>): void {
  process.stdout.write(`${JSON.stringify({ step, ...facts })}\n`);
}
