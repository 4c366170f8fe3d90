import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import * as fc from "fast-check";

import { nodeEnv } from "../env/node/index.ts";
import { MetricRegistry } from "../metrics/index.ts";
import { settled, whenSettled } from "../partitions/index.ts";
import { batchOf, BrokerWorld, takeValues } from "./broker-world.test.ts";
import { Broker } from "./broker.ts";
import type { FetchedPartition } from "./record-verbs.ts";

test("on a real disk: topics, records and offsets survive a restart, and a second broker is refused", async () => {
  const directory = mkdtempSync(join(tmpdir(), "broker-"));
  const options = {
    directory,
    advertised: () => ({ host: "localhost", port: 9092 }),
    onFatal: (error: Error): void => assert.fail(error),
  };
  try {
    const first = await Broker.open(nodeEnv(), options);
    const [created] = await first.createTopics([{ name: "orders", partitionCount: 2 }]);
    assert.equal(created?.errorCode, undefined);
    const nowMs = Date.now();
    const outcome = first.partition("orders", 1)?.append(batchOf(["a", "b"], nowMs), nowMs);
    assert.ok(outcome !== undefined);
    await new Promise<void>((resolve) => whenSettled([outcome], resolve));
    assert.equal(settled(outcome), undefined);
    await first.commitOffsets({
      groupId: "readers",
      generationId: undefined,
      memberId: undefined,
      groupInstanceId: undefined,
      offsets: [
        {
          topic: { name: "orders" },
          partition: 1,
          offset: 1,
          leaderEpoch: undefined,
          metadata: "",
        },
      ],
    });
    await assert.rejects(Broker.open(nodeEnv(), options), { code: "directory_in_use" });
    await first.close();
    await first.close();

    const second = await Broker.open(nodeEnv(), options);
    assert.equal(second.clusterId, first.clusterId);
    const partition = second.partition("orders", 1);
    assert.ok(partition !== undefined);
    const answer = await new Promise<FetchedPartition[]>((resolve) => {
      const items = [{ partition, fetchOffset: 0, bytesMax: 1000 }];
      second.fetch({ items, bytesMin: 1, bytesMax: 1000, waitMsMax: 1000 }, resolve);
    });
    assert.deepEqual(answer.flatMap(takeValues), ["a", "b"]);
    const { offsets } = await second.fetchOffsets({ groupId: "readers", partitions: undefined });
    assert.deepEqual(
      offsets.map(({ topic, partition: index, offset }) => [topic, index, offset]),
      [["orders", 1, 1]],
    );
    await second.close();
  } finally {
    rmSync(directory, { recursive: true });
  }
});

type Action =
  | { readonly kind: "create"; readonly topic: number; readonly partitionCount: number }
  | { readonly kind: "delete"; readonly topic: number }
  | { readonly kind: "grow"; readonly topic: number; readonly partitionCount: number }
  | { readonly kind: "produce"; readonly topic: number; readonly values: readonly string[] }
  | { readonly kind: "commit"; readonly topic: number; readonly offset: number }
  | { readonly kind: "checkpoint" }
  | { readonly kind: "kill" }
  | { readonly kind: "crash"; readonly seed: number }
  | { readonly kind: "close" };

const topic = fc.nat({ max: 2 });
const partitionCount = fc.integer({ min: 1, max: 5 });
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ kind: fc.constant("create" as const), topic, partitionCount }),
  fc.record({ kind: fc.constant("delete" as const), topic }),
  fc.record({ kind: fc.constant("grow" as const), topic, partitionCount }),
  fc.record({
    kind: fc.constant("produce" as const),
    topic,
    values: fc.array(fc.string({ maxLength: 5 }), { minLength: 1, maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant("commit" as const),
    topic,
    offset: fc.nat({ max: 100 }),
  }),
  fc.constant({ kind: "checkpoint" as const }),
  fc.constant({ kind: "kill" as const }),
  fc.record({ kind: fc.constant("crash" as const), seed: fc.nat() }),
  fc.constant({ kind: "close" as const }),
);

/** What must be there of a topic: nothing else is. */
interface Expected {
  partitionCount: number;
  /** Of partition 0. */
  readonly values: string[];
  committed: number | undefined;
}

type Model = Map<string, Expected>;

async function act(world: BrokerWorld, model: Model, wanted: Action): Promise<BrokerWorld> {
  const { broker } = world;
  if (wanted.kind === "kill") return world.killAndOpen();
  if (wanted.kind === "crash") return world.crashAndOpen(wanted.seed);
  if (wanted.kind === "close") return world.closeAndOpen();
  if (wanted.kind === "checkpoint") {
    await world.pass(400_000);
    return world;
  }
  const name = `topic-${wanted.topic}`;
  const expected = model.get(name);
  switch (wanted.kind) {
    case "create": {
      const made = { name, partitionCount: wanted.partitionCount };
      const [created] = await world.run(broker.createTopics([made]));
      assert.equal(created?.errorCode, expected === undefined ? undefined : "topic_exists");
      if (expected === undefined) {
        const count = wanted.partitionCount;
        model.set(name, { partitionCount: count, values: [], committed: undefined });
      }
      break;
    }
    case "delete": {
      const [deleted] = await world.run(broker.deleteTopics([{ name }]));
      assert.equal(deleted?.errorCode, expected === undefined ? "topic_not_found" : undefined);
      model.delete(name);
      break;
    }
    case "grow": {
      const more = { name, partitionCount: wanted.partitionCount };
      const [grown] = await world.run(broker.createPartitions([more]));
      const mayGrow = expected !== undefined && wanted.partitionCount > expected.partitionCount;
      assert.equal(grown?.errorCode === undefined, mayGrow);
      if (mayGrow) expected.partitionCount = wanted.partitionCount;
      break;
    }
    case "produce":
      if (expected === undefined) break;
      assert.equal(await world.produce(name, 0, wanted.values), undefined);
      expected.values.push(...wanted.values);
      break;
    case "commit": {
      const item = {
        topic: { name },
        partition: 0,
        offset: wanted.offset,
        leaderEpoch: undefined,
        metadata: "",
      };
      const outside = { generationId: undefined, memberId: undefined, groupInstanceId: undefined };
      const [outcome] = await world.run(
        broker.commitOffsets({ groupId: "readers", ...outside, offsets: [item] }),
      );
      assert.equal(outcome?.errorCode, expected === undefined ? "topic_not_found" : undefined);
      if (expected !== undefined) expected.committed = wanted.offset;
    }
  }
  return world;
}

async function mustBeAs(world: BrokerWorld, model: Model): Promise<void> {
  const { offsets } = await world.run(
    world.broker.fetchOffsets({ groupId: "readers", partitions: undefined }),
  );
  const found: unknown[] = [];
  for (const { name, isInternal, partitions } of world.broker.listTopics()) {
    if (isInternal) continue;
    found.push({
      name,
      partitionCount: partitions.length,
      values: await world.valuesOf(name, 0),
      committed: offsets.find((offset) => offset.topic === name)?.offset,
    });
  }
  const expected = [...model]
    .map(([name, rest]) => ({ name, ...rest }))
    .toSorted((left, right) => (left.name < right.name ? -1 : 1));
  assert.deepEqual(found, expected);
}

test("whatever is done and whenever it is killed, a broker has what it acknowledged and nothing else", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
      let world = await BrokerWorld.open();
      const model: Model = new Map();
      for (const wanted of actions) {
        world = await act(world, model, wanted);
        await mustBeAs(world, model);
      }
    }),
    { numRuns: 40 },
  );
});

test("the metrics count what was appended, synced and fetched", async () => {
  const metrics = new MetricRegistry();
  const world = await BrokerWorld.open({ metrics });
  await world.createTopic("orders");
  const read = (name: string): number => {
    const found = metrics.read().find((reading) => reading.name === name);
    return found?.value ?? Number.NaN;
  };
  const before = read("cordwood_appended_records_total");
  await world.produce("orders", 0, ["a", "b"]);
  assert.equal(read("cordwood_appended_records_total") - before, 2);
  await world.valuesOf("orders", 0);
  assert.equal(read("cordwood_fetches_total"), 1);
  assert.ok(read("cordwood_fetched_bytes_total") > 0);
  assert.ok(read("cordwood_wal_sync_seconds_count") > 0);
  assert.equal(read("cordwood_partitions"), 2);
  assert.equal(read("cordwood_topics"), 1);
});

test("an idle partition costs less than four kilobytes", async () => {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  assert.ok(typeof collect === "function");
  const world = await BrokerWorld.open();
  const used = (): number => {
    collect();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = used();
  await world.createTopic("wide", 5000);
  const each = (used() - before) / 5000;
  assert.ok(each < 4096, `${Math.round(each)} bytes each`);
  assert.equal(world.broker.stats().partitions, 5001);
});
