// What must be true of what the client programs tell: the expectations, in one place for all languages.
//
// Apache Kafka 4.3 meets them with every client, but for one thing: its controller answers before its brokers
// have heard, so a topic may look as if it had no partitions yet, or be listed when it is deleted already.
// The server of this project is held to more: done is done.
import assert from "node:assert/strict";

import {
  checksum,
  deletedBelow,
  type Fact,
  groupParts,
  listOf,
  offsetsOf,
  partitionCount,
  type ReadFact,
  readsOf,
  recordCount,
  uncommittedCount,
} from "./facts.ts";
import { type Codec, readBatches, Wire } from "./wire.ts";

const partitions = [...Array(partitionCount).keys()];
const weekMs = "604800000";
const dayMs = "86400000";

/** One journey of one client: judges each step by what it told before. */
export class JourneyJudge {
  readonly #bootstrap: string;
  readonly #name: string;
  readonly #t0: number;
  /** NAME-none as it was read, and later what must be left of it. */
  #stored: readonly ReadFact[] = [];
  /** The group's topic as its members read it. */
  #group: readonly ReadFact[] = [];

  constructor(options: { readonly bootstrap: string; readonly name: string; readonly t0: number }) {
    this.#bootstrap = options.bootstrap;
    this.#name = options.name;
    this.#t0 = options.t0;
  }

  created(fact: Fact): void {
    assert.deepEqual(
      { partitions: fact["partitions"], again: fact["again"] },
      { partitions: partitionCount, again: 36 },
    );
  }

  async produced(fact: Fact, codec: Codec): Promise<void> {
    assert.deepEqual([fact["codec"], fact["acknowledged"]], [codec, recordCount]);
    const stored = await storedCodecs(this.#bootstrap, `${this.#name}-${codec}`);
    assert.ok(stored.delete(codec), `${codec} is stored, not only ${[...stored].join()}`);
    // Some clients send as it is what compression would make longer.
    stored.delete("none");
    assert.deepEqual([...stored], []);
  }

  read(fact: Fact, codec: Codec): void {
    assert.equal(fact["codec"], codec);
    const records = readsOf(fact["records"]);
    assertOnce(records, recordCount, this.#t0);
    if (codec === "none") this.#stored = records;
  }

  groupFirst(fact: Fact): void {
    this.#group = readsOf(fact["records"]);
    assertOnce(this.#group, groupParts[0], this.#t0);
  }

  groupShared(fact: Fact): void {
    const members = listOf(fact["members"]).map(readsOf);
    assert.equal(members.length, 2);
    const owned = listOf(fact["partitions"]).map((each) => listOf(each).map(Number));
    assert.deepEqual(
      owned.flat().toSorted((a, b) => a - b),
      partitions,
    );
    for (const [index, records] of members.entries()) {
      assert.ok(records.length > 0, `member ${index} reads something`);
      for (const { partition } of records) assert.ok(owned[index]?.includes(partition));
    }
    this.#group = [...this.#group, ...members.flat()];
    assertOnce(this.#group, groupParts[0] + groupParts[1], this.#t0);
  }

  groupLeft(fact: Fact): void {
    assert.deepEqual(listOf(fact["partitions"]), partitions);
    this.#group = [...this.#group, ...readsOf(fact["records"])];
    assertOnce(this.#group, recordCount, this.#t0);
  }

  groupCommitted(fact: Fact): void {
    const committed = [...ends(this.#group)].map(([partition, end]) => {
      return [partition, end - uncommittedCount] as const;
    });
    assert.deepEqual(offsetsOf(fact["committed"]), new Map(committed));
  }

  groupRestarted(fact: Fact): void {
    const end = ends(this.#group);
    const uncommitted = this.#group.filter(({ partition, offset }) => {
      return offset >= (end.get(partition) ?? 0) - uncommittedCount;
    });
    assert.deepEqual(
      readsOf(fact["records"]).toSorted(byPlace),
      uncommitted.toSorted(byPlace),
      "it reads what was not committed, once",
    );
  }

  offsets(fact: Fact): void {
    const end = ends(this.#stored);
    assert.deepEqual(offsetsOf(fact["earliest"]), new Map(partitions.map((each) => [each, 0])));
    assert.deepEqual(offsetsOf(fact["latest"]), end);
    const asked = [-1, 0, recordCount / 2, recordCount];
    const found = listOf(fact["times"]).map(offsetsOf);
    assert.equal(found.length, asked.length);
    for (const [index, n] of asked.entries()) {
      for (const partition of partitions) {
        const wanted = this.#stored.find((record) => {
          return record.partition === partition && record.number >= n;
        })?.offset;
        const offset = found[index]?.get(partition);
        // Where there is none, some libraries say so and some give the end.
        const isNone = wanted === undefined && (offset === -1 || offset === end.get(partition));
        assert.ok(
          isNone || offset === wanted,
          `partition ${partition} at T0 + ${n}: ${offset} instead of ${wanted}`,
        );
      }
    }
  }

  config(fact: Fact): void {
    assert.deepEqual([fact["before"], fact["after"]], [weekMs, dayMs]);
  }

  recordsDeleted(fact: Fact): void {
    const left = this.#stored.filter(({ partition, offset }) => {
      return partition !== 0 || offset >= deletedBelow;
    });
    const first = new Map(partitions.map((each) => [each, each === 0 ? deletedBelow : 0]));
    assert.deepEqual(offsetsOf(fact["earliest"]), first);
    assert.deepEqual(readsOf(fact["records"]).toSorted(byPlace), left.toSorted(byPlace));
  }

  topicsDeleted(fact: Fact): void {
    assert.deepEqual(fact["listed"], []);
  }
}

/** What a topic holds after the server was killed while it was written and read. */
export class CrashJudge {
  readonly #t0: number;
  readonly #isIdempotent: boolean;
  #consumed: readonly (readonly ReadFact[])[] = [];
  #committed: ReadonlyMap<number, number> = new Map();

  constructor(options: { readonly t0: number; readonly isIdempotent: boolean }) {
    this.#t0 = options.t0;
    this.#isIdempotent = options.isIdempotent;
  }

  produced(fact: Fact): void {
    assert.equal(fact["acknowledged"], recordCount);
  }

  consumed(fact: Fact): void {
    this.#consumed = listOf(fact["members"]).map(readsOf);
    assert.equal(this.#consumed.length, 2);
    for (const [index, records] of this.#consumed.entries()) {
      assert.ok(records.length > 0, `member ${index} reads something`);
    }
  }

  committed(fact: Fact): void {
    this.#committed = offsetsOf(fact["committed"]);
  }

  /** What is there in the end tells whether the steps before were right. */
  read(fact: Fact): void {
    const stored = readsOf(fact["records"]);
    if (this.#isIdempotent) assertOnce(stored, recordCount, this.#t0);
    else assertAtLeastOnce(stored, recordCount, this.#t0);
    assert.deepEqual(this.#committed, ends(stored), "commits are at the ends");

    const places = new Map(stored.map((record) => [placeOf(record), record]));
    const missed = new Map(places);
    for (const record of this.#consumed.flat()) {
      const place = placeOf(record);
      assert.deepEqual(record, places.get(place), `a member read what is not there at ${place}`);
      missed.delete(place);
    }
    assert.deepEqual([...missed.values()].slice(0, 5), [], `${missed.size} not read by the group`);
  }
}

/** Records 0 to count - 1 as they were written, each once, those of a key in one partition and in their order. */
function assertOnce(records: readonly ReadFact[], count: number, t0: number): void {
  assertAtLeastOnce(records, count, t0);
  const seen = new Set<number>();
  const twice = records.filter(({ number }) => seen.size === seen.add(number).size);
  assert.deepEqual(twice.slice(0, 5), [], `${twice.length} records are there twice`);
  const newest = new Map<number, number>();
  for (const { number } of records.toSorted(byPlace)) {
    const before = newest.get(number % 97) ?? -1;
    assert.ok(number > before, `record ${number} of key-${number % 97} is behind ${before}`);
    newest.set(number % 97, number);
  }
}

function assertAtLeastOnce(records: readonly ReadFact[], count: number, t0: number): void {
  const partitionOfKey = new Map<number, number>();
  const missing = new Set(Array(count).keys());
  for (const { partition, offset, number, crc } of records) {
    assert.equal(
      crc,
      checksum(number, t0),
      `record ${number} at ${partition}/${offset} is altered`,
    );
    const expected = partitionOfKey.get(number % 97) ?? partition;
    assert.equal(partition, expected, `key-${number % 97} is in one partition`);
    partitionOfKey.set(number % 97, partition);
    missing.delete(number);
  }
  assert.deepEqual([...missing].slice(0, 5), [], `${missing.size} of ${count} records are missing`);
  assertDense(records);
}

/** In the order of reading each partition's offsets follow one another: no gap, no place twice. */
function assertDense(records: readonly ReadFact[]): void {
  const next = new Map<number, number>();
  for (const { partition, offset } of records) {
    const expected = next.get(partition) ?? offset;
    assert.equal(offset, expected, `partition ${partition} is read at ${offset}, not ${expected}`);
    next.set(partition, offset + 1);
  }
}

async function storedCodecs(bootstrap: string, topic: string): Promise<Set<Codec>> {
  const wire = await Wire.connect(bootstrap);
  const found = new Set<Codec>();
  for (const partition of partitions) {
    for (const batch of await readBatches(wire, topic, partition, 0)) found.add(batch.codec);
  }
  wire.close();
  return found;
}

function ends(records: readonly ReadFact[]): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  for (const { partition, offset } of records.toSorted(byPlace)) found.set(partition, offset + 1);
  return found;
}

function byPlace(a: ReadFact, b: ReadFact): number {
  return a.partition - b.partition || a.offset - b.offset;
}

function placeOf({ partition, offset }: ReadFact): string {
  return `${partition}/${offset}`;
}
