import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { checkRecords } from "../../test/fixtures/records.ts";
import { BatchBuilder } from "./batch-builder.ts";
import { checkBatch, checkStoredBatch } from "./batch-check.ts";
import { BatchHeader, patchBatch, patchLogAppendTime } from "./batch-header.ts";
import { codecNames } from "./compression.ts";
import type { RecordHeader } from "../values/index.ts";
import { RecordCursor } from "./record-cursor.ts";

interface PlainRecord {
  readonly timestamp: number;
  readonly key: Uint8Array | undefined;
  readonly value: Uint8Array | undefined;
  readonly headers: readonly RecordHeader[];
}

const field = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined });
const anyRecord: fc.Arbitrary<PlainRecord> = fc.record({
  timestamp: fc.oneof(fc.nat(), fc.integer({ min: -1, max: 2 ** 45 })),
  key: field,
  value: field,
  headers: fc.array(fc.record({ key: fc.string({ maxLength: 6 }), value: field }), {
    maxLength: 3,
  }),
});
const anyRecords = fc.array(anyRecord, { minLength: 1, maxLength: 12 });

test("what a builder built, the check lets pass and the cursor reads", () => {
  const cursor = new RecordCursor();
  const header = new BatchHeader();
  const property = fc.property(
    anyRecords,
    fc.constantFrom(...codecNames),
    fc.nat(2 ** 31 - 1),
    (records, codec, baseOffset) => {
      const builder = new BatchBuilder({ codec });
      for (const { timestamp, key, value, headers } of records) {
        assert.equal(builder.append(timestamp, key, value, headers), true);
      }
      const batch = builder.finish(baseOffset);
      assert.equal(checkBatch(batch, 0, batch.length, header), undefined);
      assert.equal(checkStoredBatch(batch, 0, batch.length, header), undefined);
      assert.equal(checkRecords(batch, 0, cursor), undefined);
      assert.equal(header.sizeBytes, batch.length);
      assert.equal(header.codec, codec);
      assert.equal(header.maxTimestamp, Math.max(...records.map((record) => record.timestamp)));
      assert.equal(header.nextOffset, baseOffset + records.length);
      assert.deepEqual(readAll(cursor, batch, 0), plain(records, baseOffset));
    },
  );
  fc.assert(property, { numRuns: 150 });
});

test("text is stored as its UTF-8, in the very bytes of a batch that was given them", () => {
  const unit = fc.constantFrom("a", "é", "€", "😀", "\ud800", "\0");
  const text = fc.oneof(
    fc.string({ maxLength: 80, unit }),
    fc.string({ minLength: 60, maxLength: 70 }),
    fc.constant("é".repeat(4096)),
  );
  const property = fc.property(
    fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 5 }),
    fc.integer({ min: 80, max: 20_000 }),
    (records, bytesMax) => {
      const headers = [{ key: "h", value: undefined }];
      const ofText = new BatchBuilder({ codec: "none", bytesMax });
      const ofBytes = new BatchBuilder({ codec: "none", bytesMax });
      for (const [value, key] of records) {
        const isTaken = ofBytes.append(1, Buffer.from(key), Buffer.from(value), headers);
        assert.equal(ofText.append(1, key, value, headers), isTaken);
        assert.equal(ofText.sizeBytes, ofBytes.sizeBytes);
      }
      if (ofBytes.recordCount === 0) return;
      const batch = ofBytes.finish(7);
      assert.deepEqual(Buffer.from(ofText.finishInPlace(7)), Buffer.from(batch));
    },
  );
  fc.assert(property, { numRuns: 300 });
});

test("a batch is found where it lies among other bytes", () => {
  const builder = new BatchBuilder({ codec: "lz4" });
  builder.append(5, undefined, Uint8Array.of(1, 2, 3));
  const batch = builder.finish(7);
  const slab = new Uint8Array(batch.length + 20).fill(0xee);
  slab.set(batch, 9);
  const header = new BatchHeader();
  assert.equal(checkBatch(slab, 9, slab.length, header), undefined);
  assert.equal(checkBatch(slab, 9, 9 + batch.length, header), undefined);
  assert.match(checkBatch(slab, 9, 8 + batch.length, header)?.reason ?? "", /only \d+ are left/);
  const cursor = new RecordCursor();
  cursor.reset(slab, 9);
  assert.equal(cursor.advance(), true);
  assert.deepEqual([...(cursor.value() ?? [])], [1, 2, 3]);
  assert.equal(cursor.offset, 7);
  assert.equal(cursor.advance(), false);
});

test("base offset and leader epoch change without the CRC", () => {
  const builder = new BatchBuilder({ codec: "none" });
  builder.append(1, undefined, undefined);
  const batch = builder.finish();
  patchBatch(batch, 0, 2 ** 40 + 3, 12);
  const header = new BatchHeader();
  assert.equal(checkBatch(batch, 0, batch.length, header), undefined);
  assert.equal(header.baseOffset, 2 ** 40 + 3);
  assert.equal(header.lastOffset, 2 ** 40 + 3);
  assert.equal(header.leaderEpoch, 12);
});

test("log append time is the time of every record, under a right CRC", () => {
  const builder = new BatchBuilder({ codec: "gzip" });
  builder.append(100, undefined, undefined);
  builder.append(50, undefined, undefined);
  const batch = builder.finish();
  const slab = new Uint8Array(batch.length + 8);
  slab.set(batch, 4);
  patchLogAppendTime(slab, 4, 1_800_000_000_123);
  const header = new BatchHeader();
  assert.equal(checkBatch(slab, 4, slab.length, header), undefined);
  assert.equal(header.isLogAppendTime, true);
  assert.equal(header.codec, "gzip");
  assert.equal(header.maxTimestamp, 1_800_000_000_123);
  const times = readAll(new RecordCursor(), slab, 4).map((record) => record.timestamp);
  assert.deepEqual(times, [1_800_000_000_123, 1_800_000_000_123]);
});

test("a builder keeps to its limit and goes on with the sequence", () => {
  const options = { codec: "none", producerId: 9, producerEpoch: 1, bytesMax: 200 } as const;
  const builder = new BatchBuilder({ ...options, baseSequence: 2 ** 31 - 2 });
  const value = new Uint8Array(60);
  assert.equal(builder.append(1, undefined, new Uint8Array(200)), false);
  assert.equal(builder.recordCount, 0);
  assert.equal(builder.append(1, undefined, value), true);
  assert.equal(builder.append(1, undefined, value), true);
  const before = builder.sizeBytes;
  assert.equal(builder.append(1, undefined, value), false);
  assert.equal(builder.sizeBytes, before);
  const header = new BatchHeader();
  header.read(builder.finish(), 0);
  assert.equal(header.sizeBytes, before);
  assert.equal(header.baseSequence, 2 ** 31 - 2);
  assert.equal(builder.append(1, undefined, value), true);
  header.read(builder.finish(), 0);
  assert.equal(header.baseSequence, 0, "sequences wrap at 2^31");
  assert.equal(header.producerId, 9);
});

test("a builder's exact limit is allowed", () => {
  const exact = new BatchBuilder({ codec: "none", bytesMax: 61 + 7 });
  assert.equal(exact.append(0, undefined, undefined), true);
  assert.equal(exact.sizeBytes, 68);
  const below = new BatchBuilder({ codec: "none", bytesMax: 61 + 6 });
  assert.equal(below.append(0, undefined, undefined), false);
});

interface ReadRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | undefined;
  readonly value: string | undefined;
  readonly headers: readonly (string | undefined)[][];
}

function readAll(cursor: RecordCursor, bytes: Uint8Array, position: number): ReadRecord[] {
  const found: ReadRecord[] = [];
  cursor.reset(bytes, position);
  while (cursor.advance()) {
    const { offset, timestamp } = cursor;
    const headers = cursor.headers().map(({ key, value }) => [key, hex(value)]);
    found.push({ offset, timestamp, key: hex(cursor.key()), value: hex(cursor.value()), headers });
  }
  return found;
}

function plain(records: readonly PlainRecord[], baseOffset: number): ReadRecord[] {
  return records.map(({ timestamp, key, value, headers }, index) => ({
    offset: baseOffset + index,
    timestamp,
    key: hex(key),
    value: hex(value),
    headers: headers.map((each) => [each.key, hex(each.value)]),
  }));
}

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("hex");
}
