// What a store promises, wherever it is: every URL scheme passes the same tests.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import {
  LogError,
  type StandardSchema,
  type Store,
  type Topic,
  type TopicRecord,
} from "../../src/index.ts";

/** One way to a store. */
export interface Scheme {
  readonly name: string;
  /** A new, empty store. Whoever opens it closes it. */
  open(): Promise<Store>;
}

interface Order {
  readonly id: string;
  readonly total: number;
}

/** Written by hand, as any library's schema would be: a total may be missing, and is 0 then. */
const orderSchema: StandardSchema<{ readonly id: string; readonly total?: number }, Order> = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate(value) {
      const { id, total = 0 } = fieldsOf(value);
      if (typeof id !== "string") return { issues: [{ message: "must be a text", path: ["id"] }] };
      if (typeof total === "number") return { value: { id, total } };
      return { issues: [{ message: "must be a number", path: [{ key: "total" }] }] };
    },
  },
};

function fieldsOf(value: unknown): { readonly id?: unknown; readonly total?: unknown } {
  return typeof value === "object" && value !== null ? value : {};
}

const byId = { key: (order: Order) => order.id };

export function storeContract(scheme: Scheme): void {
  const test = (name: string, run: (store: Store) => Promise<void>): void => {
    it(name, async () => {
      await using store = await scheme.open();
      await run(store);
    });
  };

  describe(`a store at ${scheme.name}`, () => {
    describe("appends and reads", () => testRecords(test));
    describe("positions", () => testPositions(test));
    describe("values", () => testValues(test));
    describe("keys", () => testKeys(test));
    describe("conditions", () => testConditions(test));
    describe("subscriptions", () => testSubscriptions(test));
    describe("ends", () => testEnds(test));
  });
}

type Test = (name: string, run: (store: Store) => Promise<void>) => void;

function testRecords(test: Test): void {
  test("a record is read as it was appended", async (store) => {
    const topic = await store.topic("t", { codec: "json" });
    const appended = await topic.append(
      { a: [1, null, "ü"] },
      { key: "k", timestamp: 1_700_000_000_123, headers: { one: "1", two: new Uint8Array([2]) } },
    );
    assert.deepEqual(appended, { partition: 0, offset: 0 });
    const [record] = await all(topic.read());
    assert.equal(record?.topic, "t");
    assert.equal(record.partition, 0);
    assert.equal(record.offset, 0);
    assert.equal(record.timestamp, 1_700_000_000_123);
    assert.equal(record.key, "k");
    assert.deepEqual(Buffer.from(record.keyBytes ?? []).toString(), "k");
    assert.deepEqual(
      record.headers.map(({ key, value }) => [key, Buffer.from(value ?? []).toString("hex")]),
      [
        ["one", "31"],
        ["two", "02"],
      ],
    );
    assert.deepEqual(record.value, { a: [1, null, "ü"] });
  });

  test("appends get offsets in the order of the calls", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    const appended = await Promise.all(numbers(300).map((n) => topic.append(String(n))));
    assert.deepEqual(
      appended.map(({ offset }) => offset),
      numbers(300),
    );
    assert.deepEqual(await values(topic.read()), numbers(300).map(String));
  });

  test("reading ends at what was there when it began", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.appendMany(["a", "b"]);
    const seen: string[] = [];
    for await (const { value } of topic.read()) {
      seen.push(value);
      await topic.append("later");
    }
    assert.deepEqual(seen, ["a", "b"]);
  });

  test("following goes on with what is appended later, until its limit", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.append("a");
    const following = values(topic.read({ follow: true, limit: 3 }));
    await topic.append("b");
    await topic.append("c");
    await topic.append("d");
    assert.deepEqual(await following, ["a", "b", "c"]);
  });

  test("a signal ends a reader that waits", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    const control = new AbortController();
    const waiting = values(topic.read({ follow: true, signal: control.signal }));
    control.abort(new Error("enough"));
    await rejects(waiting, "cancelled", /cancelled/);
  });

  test("leaving the loop early leaves nothing behind", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.appendMany(["a", "b", "c"]);
    for await (const { value } of topic.read({ follow: true })) if (value === "b") break;
    assert.deepEqual(await values(topic.read({ from: -1 })), ["c"]);
  });

  test("steps that are asked for at once follow one another", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.appendMany(["a", "b"]);
    const reader = topic.read();
    const steps = await Promise.all([reader.next(), reader.next(), reader.next()]);
    assert.deepEqual(
      steps.map((step) => (step.done === true ? "end" : step.value.value)),
      ["a", "b", "end"],
    );
  });

  test("many records come back, through several batches and chunks", async (store) => {
    const topic = await store.topic("t", { codec: "string", partitions: 3 });
    const sent = numbers(5000).map((n) => `${n}-${"x".repeat(n % 200)}`);
    await Promise.all(sent.map((text) => topic.append(text)));
    const got = await values(topic.read());
    assert.deepEqual(got.toSorted(), sent.toSorted());
    const ranges = (await topic.offsets()).map(({ endOffset }) => endOffset);
    assert.equal(
      ranges.reduce((sum, end) => sum + end, 0),
      5000,
    );
  });

  test("several partitions are read by time", async (store) => {
    const topic = await store.topic("t", { codec: "string", partitions: 2 });
    for (const [text, partition, timestamp] of [
      ["a", 0, 10],
      ["b", 1, 20],
      ["c", 0, 30],
      ["d", 1, 40],
    ] as const) {
      await topic.append(text, { partition, timestamp });
    }
    assert.deepEqual(await values(topic.read()), ["a", "b", "c", "d"]);
    assert.deepEqual(await values(topic.read({ partition: 1 })), ["b", "d"]);
  });

  test("many values in one call are one batch each partition, all of them or none", async (store) => {
    const settings = { "max.message.bytes": "2000" };
    const topic = await store.topic("t", { codec: "string", settings });
    const places = await topic.appendMany(["a", "b", "c"]);
    assert.deepEqual(
      places.map(({ offset }) => offset),
      [0, 1, 2],
    );
    const large = numbers(30).map(() => "x".repeat(100));
    await rejects(topic.appendMany(large), "record_too_large", /30 records.*2000/);
    await rejects(topic.append("x".repeat(3000)), "record_too_large", /3000 bytes.*2000/);
    assert.equal((await topic.offsets())[0]?.endOffset, 3);
  });

  test("text comes back as it was, whatever its length and its characters", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    const texts = ["", "a", "é", "😀", "\0", "a".repeat(63), "é".repeat(64), "€".repeat(70_000)];
    await topic.appendMany(texts);
    for (const text of texts) await topic.append(text);
    assert.deepEqual(await values(topic.read()), [...texts, ...texts]);
    // What is no text has no form in UTF-8.
    await topic.append("\ud800");
    assert.deepEqual(await values(topic.read({ from: -1 })), ["\ufffd"]);
  });

  test("calls of one turn keep their order, and do not touch each other's values", async (store) => {
    const topic = await store.topic<number>("t", { codec: "json" });
    const calls: Promise<unknown>[] = [];
    for (let call = 0; call < 20; call++) {
      calls.push(topic.appendMany(numbers(100).map((n) => call * 101 + n)));
      calls.push(topic.append(call * 101 + 100));
    }
    await Promise.all(calls);
    assert.deepEqual(await values(topic.read()), numbers(20 * 101));
  });
}

function testPositions(test: Test): void {
  test("reading begins where it is told to", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    for (const [index, text] of ["a", "b", "c", "d"].entries()) {
      await topic.append(text, { timestamp: 1_000_000 + index * 1000 });
    }
    const cases = [
      ["start", "abcd"],
      ["end", ""],
      [0, "abcd"],
      [2, "cd"],
      [4, ""],
      [-1, "d"],
      [-3, "bcd"],
      [-99, "abcd"],
      [{ time: 1_001_000 }, "bcd"],
      [{ time: 1_001_001 }, "cd"],
      [{ time: new Date(1_003_000) }, "d"],
      [{ time: "1970-01-01T00:16:42Z" }, "cd"],
      [{ time: "2100-01-01" }, ""],
    ] as const;
    for (const [from, expected] of cases) {
      const got = await values(topic.read({ from }));
      assert.equal(got.join(""), expected, `from ${JSON.stringify(from)}`);
    }
  });

  test("what cannot be a place to begin is refused", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.append("a");
    await rejects(
      values(topic.read({ from: 2 })),
      "offset_out_of_range",
      /t\/0 has no offset 2: it begins at 0 and ends before 1/,
    );
    await rejects(values(topic.read({ from: 0.5 })), "invalid_argument", /0\.5/);
    await rejects(values(topic.read({ from: { time: "soon" } })), "invalid_argument", /"soon"/);
    assert.throws(
      () => topic.read({ partition: 1 }),
      matches("partition_not_found", /there is no 1/),
    );
    const wide = await store.topic("wide", { codec: "string", partitions: 2 });
    assert.throws(
      () => wide.read({ from: 1 }),
      matches("invalid_argument", /needs \{ partition \}/),
    );
    assert.deepEqual(await values(wide.read({ from: 0, partition: 1 })), []);
  });

  test("what was truncated is gone, and says so", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.appendMany(["a", "b", "c"]);
    assert.equal(await topic.truncateBefore(2), 2);
    assert.deepEqual(await values(topic.read()), ["c"]);
    assert.deepEqual(await topic.offsets(), [{ partition: 0, startOffset: 2, endOffset: 3 }]);
    await rejects(values(topic.read({ from: 1 })), "offset_out_of_range", /begins at 2/);
    await rejects(topic.truncateBefore(4), "offset_out_of_range", /4/);
  });
}

function testValues(test: Test): void {
  test("a value that does not fit its schema is refused by path, and nothing is appended", async (store) => {
    const orders = await store.topic("orders", { schema: orderSchema, ...byId });
    await orders.append({ id: "o-1" });
    // What a program without types might hand in.
    const wrong: Order = JSON.parse('{ "id": "o-2", "total": "12" }');
    await rejects(
      orders.append(wrong),
      "schema_mismatch",
      /orders: total is "12": must be a number/,
    );
    await rejects(orders.appendMany([{ id: "o-3" }, wrong]), "schema_mismatch", /total/);
    assert.deepEqual(await values(orders.read()), [{ id: "o-1", total: 0 }]);
  });

  test("a schema may take its time", async (store) => {
    const late: typeof orderSchema = {
      "~standard": {
        ...orderSchema["~standard"],
        validate: async (value) => orderSchema["~standard"].validate(value),
      },
    };
    const orders = await store.topic("orders", { schema: late, checkReads: true });
    await orders.append({ id: "o-1", total: 3 });
    assert.deepEqual(await values(orders.read()), [{ id: "o-1", total: 3 }]);
    const wrong: Order = JSON.parse('{ "id": 7 }');
    await rejects(orders.append(wrong), "schema_mismatch", /id is 7: must be a text/);
  });

  test("values are checked when they are read, where that is asked for", async (store) => {
    const loose = await store.topic("orders", { codec: "json" });
    await loose.append({ id: "o-1", total: "many" });
    const trusting = await store.topic("orders", { schema: orderSchema });
    assert.equal((await values(trusting.read())).length, 1);
    const checking = await store.topic("orders", { schema: orderSchema, checkReads: true });
    await rejects(
      values(checking.read()),
      "schema_mismatch",
      /orders\/0 at offset 0: total is "many"/,
    );
  });

  test("a callback that throws is told as such, and nothing is appended", async (store) => {
    const cause = new Error("no more keys");
    const keyed = await store.topic<Order>("keyed", {
      codec: "json",
      key() {
        throw cause;
      },
    });
    const error = await rejects(
      keyed.append({ id: "o-1", total: 1 }),
      "handler_failed",
      /the key function of keyed threw: no more keys/,
    );
    assert.equal(error.cause, cause);
    await rejects(keyed.appendMany([{ id: "o-1", total: 1 }]), "handler_failed", /no more keys/);
    for (const validate of [
      () => {
        throw cause;
      },
      () => Promise.reject(cause),
    ]) {
      const schema: typeof orderSchema = {
        "~standard": { ...orderSchema["~standard"], validate },
      };
      const topic = await store.topic("keyed", { schema });
      const failing = topic.append({ id: "o-1", total: 1 });
      await rejects(failing, "handler_failed", /the schema of keyed threw: no more keys/);
    }
    assert.equal((await keyed.offsets())[0]?.endOffset, 0);
  });

  test("each codec gives back what it took, and refuses the rest", async (store) => {
    const bytes = await store.topic("bytes");
    await bytes.append(new Uint8Array([0, 255]));
    await bytes.append(new Uint8Array(0));
    assert.deepEqual(await values(bytes.read()), [new Uint8Array([0, 255]), new Uint8Array(0)]);
    const wrong: Uint8Array = JSON.parse('"text"');
    await rejects(bytes.append(wrong), "schema_mismatch", /Uint8Array is expected, not string/);

    const json = await store.topic("json", { codec: "json" });
    await rejects(json.append(undefined), "schema_mismatch", /no form in JSON/);
    await rejects(json.append(12n), "schema_mismatch", /cannot be encoded/);
    const raw = await store.topic("json");
    await raw.append(Buffer.from("{"));
    await rejects(values(json.read()), "schema_mismatch", /json\/0 at offset 0.*cannot be decoded/);

    const dates = await store.topic("dates", {
      codec: {
        encode: (date: Date) => Buffer.from(date.toISOString()),
        decode: (stored) => new Date(Buffer.from(stored).toString()),
      },
    });
    await dates.append(new Date(5));
    assert.deepEqual(await values(dates.read()), [new Date(5)]);
  });

  test("what was read stays as it is while reading goes on", async (store) => {
    const topic = await store.topic("t");
    const sent = numbers(2000).map((n) => Buffer.alloc(500, n));
    await Promise.all(sent.map((value) => topic.append(value)));
    const got = await values(topic.read());
    assert.ok(
      got.every((value, index) => Buffer.from(value).equals(sent[index] ?? value.subarray(1))),
    );
  });
}

function testKeys(test: Test): void {
  test("a key is the same as text and as its bytes, however it is appended", async (store) => {
    const options = { codec: "string", partitions: 5, key: (text: string) => text } as const;
    const topic = await store.topic("t", options);
    const keys = ["", "a", "é", "😀", "order-1", "€".repeat(300), "x".repeat(400)];
    const places = await topic.appendMany(keys);
    for (const [index, key] of keys.entries()) {
      const partition = places[index]?.partition;
      assert.equal((await topic.append("text", { key })).partition, partition);
      assert.equal((await topic.append("bytes", { key: Buffer.from(key) })).partition, partition);
      assert.equal((await topic.last(key))?.value, "bytes");
      const last = await topic.append("last", {
        key,
        expectedLastOffset: await lastOf(topic, key),
      });
      assert.equal((await topic.last(Buffer.from(key)))?.offset, last.offset);
    }
    const read = await all(topic.read());
    assert.deepEqual(new Set(read.map(({ key }) => key)), new Set(keys));
    for (const { key = "", keyBytes } of read) {
      assert.deepEqual(Buffer.from(keyBytes ?? []), Buffer.from(key));
    }
  });

  test("records of one key keep to one partition, where Kafka's clients put them", async (store) => {
    const topic = await store.topic("t", { codec: "string", partitions: 7 });
    const places = await Promise.all(
      numbers(50).map((n) => topic.append("v", { key: `k${n % 5}` })),
    );
    for (const [index, { partition }] of places.entries()) {
      assert.equal(partition, places[index % 5]?.partition);
    }
    // As kafka-python, librdkafka and the Java client answer for this key.
    assert.equal((await topic.append("v", { key: "21" })).partition, (-973932308 & 0x7fffffff) % 7);
  });

  test("the last record of a key is found, before and after more are appended", async (store) => {
    const orders = await store.topic("orders", { schema: orderSchema, ...byId, partitions: 2 });
    for (const n of numbers(40)) await orders.append({ id: `o-${n % 8}`, total: n });
    assert.equal((await orders.last("o-3"))?.value.total, 35);
    assert.equal(await orders.last("o-99"), undefined);
    await orders.append({ id: "o-3", total: 100 });
    const last = await orders.last("o-3");
    assert.deepEqual(last?.value, { id: "o-3", total: 100 });
    await orders.delete("o-3");
    assert.equal(await orders.last("o-3"), undefined);
    assert.equal((await orders.last("o-4"))?.value.total, 36);
  });

  test("a deletion is passed over, unless it is asked for", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.append("a", { key: "k" });
    await topic.delete("k");
    await topic.append("b", { key: "l" });
    await topic.delete("l");
    assert.deepEqual(await values(topic.read()), ["a", "b"]);
    assert.deepEqual(await values(topic.readWithDeletions()), ["a", undefined, "b", undefined]);
  });

  test("compacting keeps the newest record of each key, at its offset", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    for (const [key, text] of ["a1", "b1", "a2", "c1", "a3"].entries()) {
      await topic.append(text, { key: text.slice(0, 1), timestamp: key });
    }
    const [report] = await topic.compact();
    assert.equal(report?.partition, 0);
    assert.equal(report.recordsRemoved, 2);
    const left = (await all(topic.read())).map(({ offset, value }) => `${offset} ${value}`);
    assert.deepEqual(left, ["1 b1", "3 c1", "4 a3"]);
    await rejects(topic.compact({ partition: 7 }), "partition_not_found", /7/);
  });

  test("the last record of any key is what a simple model says", async (store) => {
    const topic = await store.topic("t", { codec: "string", partitions: 2 });
    const model = new Map<string, string>();
    let seed = 7;
    for (let step = 0; step < 400; step++) {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      const key = `k${(seed >>> 8) % 40}`;
      if (step % 7 === 0) {
        await topic.delete(key);
        model.delete(key);
      } else {
        await topic.append(`v${step}`, { key });
        model.set(key, `v${step}`);
      }
      const asked = `k${(seed >>> 16) % 40}`;
      if (step % 5 === 0) assert.equal((await topic.last(asked))?.value, model.get(asked));
    }
    for (const n of numbers(40)) {
      assert.equal((await topic.last(`k${n}`))?.value, model.get(`k${n}`));
    }
  });
}

function testConditions(test: Test): void {
  test("of appends that expect one offset a single one wins", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    const tries = numbers(20).map((n) => topic.append(`v${n}`, { expectedOffset: 0 }));
    const results = await Promise.allSettled(tries);
    assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
    assert.deepEqual(await values(topic.read()), ["v0"]);
    await rejects(
      topic.append("x", { expectedOffset: 0 }),
      "offset_conflict",
      /t\/0: the next offset is 1, not 0/,
    );
    assert.equal((await topic.append("x", { expectedOffset: 1 })).offset, 1);
    const wide = await store.topic("wide", { codec: "string", partitions: 2 });
    await rejects(wide.append("x", { expectedOffset: 0 }), "invalid_argument", /partition/);
    await wide.append("x", { expectedOffset: 0, partition: 1 });
  });

  test("of appends that expect one last record of a key a single one wins", async (store) => {
    const orders = await store.topic("orders", { schema: orderSchema, ...byId });
    const append = (total: number, expectedLastOffset: number | "none"): Promise<unknown> =>
      orders.append({ id: "o-1", total }, { expectedLastOffset });
    const first = await Promise.allSettled(numbers(10).map((n) => append(n, "none")));
    assert.equal(first.filter(({ status }) => status === "fulfilled").length, 1);
    await orders.append({ id: "o-2", total: 1 });
    const second = await Promise.allSettled(numbers(10).map((n) => append(n + 10, 0)));
    assert.equal(second.filter(({ status }) => status === "fulfilled").length, 1);
    await rejects(append(99, 0), "offset_conflict", /key "o-1" was appended last at offset 2/);
    await rejects(append(99, "none"), "offset_conflict", /no record was expected/);
    await orders.append({ id: "o-3", total: 1 }, { expectedLastOffset: "none" });
    const bare = orders.append({ id: "x", total: 1 }, { key: "o-9", expectedLastOffset: 0 });
    await rejects(bare, "offset_conflict", /key "o-9" has no record/);
    const keyless = await store.topic("t", { codec: "string" });
    await rejects(keyless.append("x", { expectedLastOffset: 0 }), "invalid_argument", /a key/);
  });

  test("a counter that is raised by many at once loses no step", async (store) => {
    const topic = await store.topic<number>("counters", { codec: "json" });
    const raise = async (): Promise<void> => {
      for (;;) {
        const last = await topic.last("c");
        const count = last?.value ?? 0;
        try {
          await topic.append(count + 1, {
            key: "c",
            expectedLastOffset: last?.offset ?? "none",
          });
          return;
        } catch (error) {
          if (!(error instanceof LogError) || error.code !== "offset_conflict") throw error;
        }
      }
    };
    await Promise.all(numbers(12).map(raise));
    assert.equal((await topic.last("c"))?.value, 12);
  });
}

function testSubscriptions(test: Test): void {
  test("a group goes on where it was", async (store) => {
    const topic = await store.topic("t", { codec: "string", partitions: 2 });
    await topic.appendMany(["a", "b", "c"], { partition: 0 });
    const seen: string[] = [];
    const run = (): Promise<void> =>
      store.subscribe({ group: "g", topics: [topic], follow: false, batchRecords: 2 }, (batch) => {
        assert.ok(batch.records.length <= 2);
        for (const { value } of batch.records) seen.push(value);
      }).finished;
    await run();
    assert.deepEqual(seen, ["a", "b", "c"]);
    assert.deepEqual(await store.position("g"), { "t/0": 3, "t/1": 0 });
    await run();
    await topic.append("d", { partition: 1 });
    await run();
    assert.deepEqual(seen, ["a", "b", "c", "d"]);
  });

  test("a subscription follows several topics, typed by all of them", async (store) => {
    const texts = await store.topic("texts", { codec: "string" });
    const orders = await store.topic("orders", { schema: orderSchema });
    const seen: (string | number)[] = [];
    const enough = Promise.withResolvers<void>();
    await using running = store.subscribe({ group: "g", topics: [texts, orders] }, (batch) => {
      for (const { value } of batch.records) {
        seen.push(typeof value === "string" ? value : value.total);
      }
      if (seen.length === 2) enough.resolve();
    });
    await texts.append("a");
    await orders.append({ id: "o", total: 5 });
    await enough.promise;
    assert.deepEqual(seen.map(String).toSorted(), ["5", "a"]);
    assert.equal(running.group, "g");
  });

  test("a position that the program keeps itself is where it goes on", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.appendMany(["a", "b", "c"]);
    let kept = "{}";
    const seen: string[] = [];
    const run = (batchRecords: number): Promise<void> => {
      const position: Record<string, number> = JSON.parse(kept);
      const options = { topics: [topic], position, batchRecords, follow: false };
      return store.subscribe(options, (batch) => {
        for (const { value } of batch.records) seen.push(value);
        kept = JSON.stringify(batch.position);
      }).finished;
    };
    await run(2);
    assert.equal(kept, '{"t/0":3}');
    await topic.append("d");
    await run(2);
    assert.deepEqual(seen, ["a", "b", "c", "d"]);
    assert.throws(
      () => store.subscribe({ topics: [topic] }, () => undefined),
      matches("invalid_argument", /needs a group, or the position/),
    );
  });

  test("a handler that throws ends its subscription, and the batch comes again", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.appendMany(["a", "b"]);
    const cause = new Error("no space for b");
    const seen: string[] = [];
    const options = { group: "g", topics: [topic], batchRecords: 1, follow: false } as const;
    const failing = store.subscribe(options, ({ records: [record] }) => {
      if (record?.value === "b") throw cause;
      seen.push(record?.value ?? "");
    });
    const error = await rejects(failing.finished, "handler_failed", /t\/0 at offset 1: no space/);
    assert.equal(error.cause, cause);
    await store.subscribe(options, ({ records }) => {
      for (const { value } of records) seen.push(value);
    }).finished;
    assert.deepEqual(seen, ["a", "b"]);
  });

  test("a group has one subscription at a time", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    const first = store.subscribe({ group: "g", topics: [topic] }, () => undefined);
    assert.throws(
      () => store.subscribe({ group: "g", topics: [topic] }, () => undefined),
      matches("group_not_empty", /"g" has a subscription/),
    );
    await first.close();
    await first.finished;
    await store.subscribe({ group: "g", topics: [topic], follow: false }, () => undefined).finished;
  });

  test("records that were removed before they were read are an error, unless they may be skipped", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.appendMany(["a", "b", "c"]);
    const position = { "t/0": 1 };
    await topic.truncateBefore(2);
    const options = { topics: [topic], position, follow: false } as const;
    await rejects(
      store.subscribe(options, () => undefined).finished,
      "offset_out_of_range",
      /offset 1\b.*begins at 2/,
    );
    const seen: string[] = [];
    await store.subscribe({ ...options, missing: "skip" }, ({ records }) => {
      for (const { value } of records) seen.push(value);
    }).finished;
    assert.deepEqual(seen, ["c"]);
  });

  test("a deletion comes to a subscription that asks for it", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    await topic.append("a", { key: "k" });
    await topic.delete("k");
    const seen: unknown[] = [];
    const options = { topics: [topic], position: {}, follow: false, deletions: true } as const;
    await store.subscribe(options, ({ records }) => {
      for (const { key, value } of records) seen.push([key, value]);
    }).finished;
    assert.deepEqual(seen, [
      ["k", "a"],
      ["k", undefined],
    ]);
  });
}

function testEnds(test: Test): void {
  test("topics are listed, found again and deleted", async (store) => {
    await store.topic("b", { partitions: 3 });
    await store.topic("a");
    assert.deepEqual(await store.topics(), ["a", "b"]);
    assert.equal((await store.topic("b")).partitionCount, 3);
    await rejects(store.topic("b", { partitions: 4 }), "invalid_partitions", /3 partitions, not 4/);
    await rejects(store.topic("no/slash"), "invalid_topic_name", /no\/slash/);
    await store.deleteTopic("b");
    await rejects(store.deleteTopic("b"), "topic_not_found", /b/);
    assert.deepEqual(await store.topics(), ["a"]);
    const anew = await store.topic("b");
    assert.equal(anew.partitionCount, 1);
    await anew.append(new Uint8Array(1));
    assert.equal((await anew.offsets())[0]?.endOffset, 1);
  });

  test("the newest records of a topic are kept, as many as it was made with", async (store) => {
    const topic = await store.topic("t", { codec: "json", retention: { records: 3 } });
    for (let n = 0; n < 10; n++) await topic.append(n);
    const started = async (offset: number): Promise<void> => {
      while (((await topic.offsets())[0]?.startOffset ?? 0) < offset) await turn();
    };
    await started(7);
    assert.deepEqual(await values(topic.read()), [7, 8, 9]);
    await topic.append(10);
    await started(8);
    assert.deepEqual(await values(topic.read({ from: "start" })), [8, 9, 10]);
    for (const records of [-2, 1.5]) {
      const retention = { records };
      await rejects(store.topic("u", { retention }), "invalid_config", /retention\.records/);
    }
  });

  test("two handles of one topic write one log", async (store) => {
    const one = await store.topic("t", { codec: "string" });
    const two = await store.topic("t", { codec: "json" });
    await Promise.all([one.append('"a"'), two.append("b"), one.append('"c"')]);
    assert.deepEqual(await values(two.read()), ["a", "b", "c"]);
  });

  test("what is closed says so, and what was appended before is kept", async (store) => {
    const topic = await store.topic("t", { codec: "string" });
    const appending = topic.append("a");
    const waiting = rejects(values(topic.read({ from: "end", follow: true })), "closed", /closed/);
    const closing = store.close();
    assert.equal((await appending).offset, 0);
    await waiting;
    await closing;
    await store.close();
    await rejects(topic.append("b"), "closed", /closed/);
    await rejects(values(topic.read()), "closed", /closed/);
    await rejects(store.topic("t"), "closed", /closed/);
    await rejects(store.topics(), "closed", /closed/);
  });

  test("the numbers of a store are plain", async (store) => {
    const topic = await store.topic("t");
    await topic.append(new Uint8Array(10));
    const { topics, partitions, store: counts } = await store.stats();
    assert.ok(topics >= 1 && partitions >= 1 && counts.batches >= 1 && counts.bytes > 10);
    await store.checkpoint();
    assert.ok((await store.stats()).store.checkpoints >= 1);
    assert.equal((await values(topic.read())).length, 1);
  });
}

async function all<T>(records: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const record of records) found.push(record);
  return found;
}

async function values<T>(records: AsyncIterable<TopicRecord<T>>): Promise<T[]> {
  return (await all(records)).map(({ value }) => value);
}

async function lastOf(topic: Topic<string>, key: string): Promise<number | "none"> {
  return (await topic.last(key))?.offset ?? "none";
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function matches(code: string, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof LogError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };
}

async function rejects(
  promise: Promise<unknown>,
  code: string,
  message: RegExp,
): Promise<LogError> {
  let found: LogError | undefined;
  await assert.rejects(promise, (error: unknown) => {
    matches(code, message)(error);
    if (error instanceof LogError) found = error;
    return true;
  });
  assert.ok(found !== undefined);
  return found;
}
