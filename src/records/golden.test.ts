// Bytes that clients of other makers sent over a socket, one line for one field: what is read from
// them is what those clients were given.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { checkRecords } from "../../test/fixtures/records.ts";
import { BatchBuilder } from "./batch-builder.ts";
import { checkBatch } from "./batch-check.ts";
import { BatchHeader, patchBatch } from "./batch-header.ts";
import type { Codec } from "./compression.ts";
import type { RecordHeader } from "../values/index.ts";
import { RecordCursor } from "./record-cursor.ts";

const directory = new URL("../../test/golden/", import.meta.url);

interface Golden {
  readonly codec: Codec;
  /** -1 where the client is not idempotent. */
  readonly producerId: number;
  /** How often the first two values repeat their words. */
  readonly repeats: 1 | 3;
  /** Clients differ in how they send a header without a value; only one was asked to. */
  readonly hasEmptyHeader: boolean;
  /** Takes the time of the first record as base, as the builder does; another takes the least. */
  readonly isRebuilt: boolean;
}

const plain = { producerId: -1, repeats: 3, hasEmptyHeader: false, isRebuilt: false } as const;
const rdkafka = { ...plain, hasEmptyHeader: true } as const;
const kafkajs = { ...plain, repeats: 1 } as const;
const goldens: Readonly<Record<string, Golden>> = {
  "kafka-python-none": { ...plain, codec: "none", isRebuilt: true },
  "kafka-python-gzip": { ...plain, codec: "gzip" },
  "kafka-python-snappy": { ...plain, codec: "snappy" },
  "kafka-python-lz4": { ...plain, codec: "lz4" },
  "kafka-python-zstd": { ...plain, codec: "zstd" },
  "kafkajs-none": { ...kafkajs, codec: "none" },
  "kafkajs-gzip": { ...kafkajs, codec: "gzip" },
  "kafkajs-idempotent": { ...kafkajs, codec: "none", producerId: 4711 },
  "librdkafka-idempotent": { ...rdkafka, codec: "none", producerId: 4711, isRebuilt: true },
  "librdkafka-gzip": { ...rdkafka, codec: "gzip" },
  "librdkafka-snappy": { ...rdkafka, codec: "snappy" },
  "librdkafka-lz4": { ...rdkafka, codec: "lz4" },
  "librdkafka-zstd": { ...rdkafka, codec: "zstd" },
};

test("every golden batch is known here", () => {
  const files = readdirSync(directory).filter((name) => name.endsWith(".hex"));
  const names = files.map((name) => name.slice(0, -4)).toSorted();
  assert.deepEqual(names, Object.keys(goldens).toSorted());
});

for (const [name, golden] of Object.entries(goldens)) {
  test(`the batch ${name} is read as it was meant`, () => {
    const bytes = parseHex(readFileSync(new URL(`${name}.hex`, directory), "utf8"));
    const header = new BatchHeader();
    assert.equal(checkBatch(bytes, 0, bytes.length, header), undefined);
    assert.equal(header.codec, golden.codec);
    assert.equal(header.producerId, golden.producerId);
    assert.equal(header.recordCount, 3);
    assert.equal(header.maxTimestamp, 1_767_225_600_200);
    if (golden.producerId >= 0) {
      assert.equal(header.producerEpoch, 3);
      assert.equal(header.baseSequence, 0);
    }
    const cursor = new RecordCursor();
    assert.equal(checkRecords(bytes, 0, cursor), undefined);
    const records = expectedRecords(golden);
    cursor.reset(bytes, 0);
    for (const [offset, expected] of records.entries()) {
      assert.equal(cursor.advance(), true);
      assert.equal(cursor.offset, offset);
      assert.equal(cursor.timestamp, expected.timestamp);
      assert.deepEqual(textOf(cursor.key()), expected.key);
      assert.deepEqual(textOf(cursor.value()), expected.value);
      assert.deepEqual(plainHeaders(cursor.headers()), plainHeaders(expected.headers));
    }
    assert.equal(cursor.advance(), false);
    if (golden.isRebuilt) assert.deepEqual(rebuild(golden), bytes);
  });
}

interface ExpectedRecord {
  readonly timestamp: number;
  readonly key: string | undefined;
  readonly value: string | undefined;
  readonly headers: readonly RecordHeader[];
}

function expectedRecords({ repeats, hasEmptyHeader }: Golden): ExpectedRecord[] {
  const end = repeats === 1 ? "" : " ";
  const trace = { key: "trace", value: Uint8Array.of(1, 2) };
  const headers = hasEmptyHeader ? [trace, { key: "empty", value: undefined }] : [trace];
  const first = `first value${end}`.repeat(repeats);
  const second = `second value${end}`.repeat(repeats);
  return [
    { timestamp: 1_767_225_600_123, key: "k1", value: first, headers },
    { timestamp: 1_767_225_600_100, key: undefined, value: second, headers: [] },
    { timestamp: 1_767_225_600_200, key: "k3", value: undefined, headers: [] },
  ];
}

/** The same records by our own builder. */
function rebuild(golden: Golden): Uint8Array {
  const isIdempotent = golden.producerId >= 0;
  const producer = { producerId: golden.producerId, producerEpoch: 3, baseSequence: 0 };
  const builder = new BatchBuilder({ codec: golden.codec, ...(isIdempotent ? producer : {}) });
  for (const { timestamp, key, value, headers } of expectedRecords(golden)) {
    builder.append(timestamp, bytesOf(key), bytesOf(value), headers);
  }
  const batch = builder.finish();
  patchBatch(batch, 0, 0, 0);
  return Uint8Array.from(batch);
}

/** Pairs of hex digits up to two spaces or the end of the line; what follows is for people. */
function parseHex(text: string): Uint8Array {
  const fields = text.split("\n").map((line) => /^(?:[0-9a-f]{2} ?)*(?= |$)/.exec(line)?.[0] ?? "");
  return Uint8Array.from(Buffer.from(fields.join("").replaceAll(" ", ""), "hex"));
}

function plainHeaders(headers: readonly RecordHeader[]): unknown[] {
  return headers.map(({ key, value }) => [key, value === undefined ? undefined : [...value]]);
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
}

function bytesOf(text: string | undefined): Uint8Array | undefined {
  return text === undefined ? undefined : Buffer.from(text);
}
