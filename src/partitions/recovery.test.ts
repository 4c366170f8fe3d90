import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { type MemoryEnv, MemoryDisk, memoryEnv } from "../env/index.ts";
import type { LogError } from "../errors/index.ts";
import { topicPolicy } from "../metadata/index.ts";
import { BatchBuilder } from "../records/index.ts";
import type { Partition } from "./partition.ts";
import { Partitions, whenSettled } from "./partitions.ts";

const topicId = "1c7f2a64-9d55-4b2b-8c11-5a5f4f0c7e21";
const policy = topicPolicy({ broker: new Map(), startup: new Map() });
const partitionCount = 2;

type Action =
  | {
      readonly kind: "append";
      readonly partition: number;
      readonly producer: number;
      readonly count: number;
      /** Whether the producer comes with a newer epoch. */
      readonly isNewEpoch: boolean;
    }
  | { readonly kind: "plain"; readonly partition: number; readonly count: number }
  | { readonly kind: "settle" }
  | { readonly kind: "checkpoint" }
  | { readonly kind: "delete"; readonly partition: number; readonly share: number }
  | { readonly kind: "kill" }
  | { readonly kind: "close" };

const partitionIndex = fc.nat({ max: partitionCount - 1 });
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      partition: partitionIndex,
      producer: fc.nat({ max: 3 }),
      count: fc.integer({ min: 1, max: 4 }),
      isNewEpoch: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("plain" as const),
      partition: partitionIndex,
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 3, arbitrary: fc.constant({ kind: "settle" as const }) },
  { weight: 3, arbitrary: fc.constant({ kind: "checkpoint" as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("delete" as const),
      partition: partitionIndex,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "kill" as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: "close" as const }) },
);

function mustNotFail(error: LogError): void {
  assert.fail(error);
}

/** What each producer sends next, as the clients know it. */
interface Sender {
  producerEpoch: number;
  nextSequence: number;
}

class World {
  env: MemoryEnv;
  #partitions: Partitions | undefined;
  opened: Partition[] = [];
  readonly senders = new Map<string, Sender>();

  constructor() {
    this.env = memoryEnv({ seed: 1, disk: new MemoryDisk() });
  }

  get partitions(): Partitions {
    assert.ok(this.#partitions !== undefined, "the world is open");
    return this.#partitions;
  }

  async open(disk?: MemoryDisk): Promise<void> {
    if (disk !== undefined) this.env = memoryEnv({ seed: 1, disk });
    const store = { directory: "/store", durability: "fsync" } as const;
    const opening = Partitions.open(this.env, { store, onFatal: mustNotFail });
    this.#partitions = await this.env.run(opening);
    this.opened = Array.from({ length: partitionCount }, (_, index) =>
      this.partitions.openPartition({ topicId, policy, isInternal: false }, index),
    );
  }

  /** Everything that must survive: taken when all is durable. */
  state(): unknown {
    return this.opened.map((partition) => ({
      logStartOffset: partition.logStartOffset,
      highWatermark: partition.highWatermark,
      logEndOffset: partition.logEndOffset,
      epochs: Array.from({ length: partition.logEndOffset - partition.logStartOffset }, (_, at) =>
        partition.epochOf(partition.logStartOffset + at),
      ),
      producers: partition
        .activeProducers()
        .map(({ producerId, producerEpoch, lastSequence }) => [
          producerId,
          producerEpoch,
          lastSequence,
        ])
        .toSorted(([left = 0], [right = 0]) => left - right),
    }));
  }

  async settleAll(): Promise<void> {
    const nowMs = this.env.clock.wallMs();
    const outcomes = this.opened.map((partition) => partition.append(this.batch(1, {}), nowMs));
    await this.env.run(new Promise<void>((resolve) => whenSettled(outcomes, resolve)));
  }

  batch(
    count: number,
    producer: { producerId?: number; producerEpoch?: number; baseSequence?: number },
  ): Uint8Array {
    const builder = new BatchBuilder({ codec: "none", ...producer });
    for (let left = count; left > 0; left--) {
      builder.append(this.env.clock.wallMs(), undefined, new Uint8Array(20));
    }
    return builder.finish();
  }

  send({ partition, producer, count, isNewEpoch }: Extract<Action, { kind: "append" }>): void {
    const key = `${partition}/${producer}`;
    const sender = this.senders.get(key) ?? { producerEpoch: 0, nextSequence: 0 };
    if (isNewEpoch && sender.nextSequence > 0) {
      sender.producerEpoch++;
      sender.nextSequence = 0;
    }
    const bytes = this.batch(count, {
      producerId: producer,
      producerEpoch: sender.producerEpoch,
      baseSequence: sender.nextSequence,
    });
    const outcome = this.opened[partition]?.append(bytes, this.env.clock.wallMs());
    assert.equal(outcome?.kind, "appended");
    sender.nextSequence += count;
    this.senders.set(key, sender);
  }

  async restart(isKilled: boolean): Promise<void> {
    await this.settleAll();
    const before = this.state();
    if (isKilled) {
      await this.open(this.env.disk.kill());
    } else {
      await this.env.run(this.partitions.close());
      await this.open(this.env.disk);
    }
    assert.deepEqual(this.state(), before);
  }

  async act(wanted: Action): Promise<void> {
    switch (wanted.kind) {
      case "append":
        return this.send(wanted);
      case "plain":
        this.opened[wanted.partition]?.append(
          this.batch(wanted.count, {}),
          this.env.clock.wallMs(),
        );
        return;
      case "settle":
        return this.settleAll();
      case "checkpoint":
        // Begun with an open frame, and let run beside what follows.
        return this.env.run(this.partitions.store.checkpoint());
      case "delete": {
        const partition = this.opened[wanted.partition];
        if (partition === undefined) return;
        const before = Math.floor(partition.highWatermark * wanted.share);
        await this.env.run(partition.deleteRecords(before));
        return;
      }
      case "kill":
        return this.restart(true);
      case "close":
        return this.restart(false);
    }
  }
}

test("whatever was appended, checkpointed and cut off: a restart finds the same state", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 1, maxLength: 40 }), async (actions) => {
      const world = new World();
      await world.open();
      for (const wanted of actions) await world.act(wanted);
      await world.restart(true);
    }),
    { numRuns: 60 },
  );
});

test("a batch that was durable before a restart is known as a duplicate after it", async () => {
  const world = new World();
  await world.open();
  const producer = { producerId: 7, producerEpoch: 2, baseSequence: 0 };
  for (let sequence = 0; sequence < 6; sequence++) {
    const bytes = world.batch(1, { ...producer, baseSequence: sequence });
    world.opened[0]?.append(bytes, world.env.clock.wallMs());
    if (sequence === 2) await world.env.run(world.partitions.store.checkpoint());
  }
  await world.restart(true);
  const kinds = [0, 1, 5].map((baseSequence) => {
    const bytes = world.batch(1, { ...producer, baseSequence });
    const outcome = world.opened[0]?.append(bytes, world.env.clock.wallMs());
    return outcome?.kind === "refused" ? outcome.code : outcome?.kind;
  });
  assert.deepEqual(kinds, ["sequence_duplicate", "duplicate", "duplicate"]);
});
