import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { crc32c, putInt16, putInt32, putInt64 } from "../bytes/index.ts";
import { InvariantError, LogError } from "../errors/index.ts";
import { checkRecords } from "../../test/fixtures/records.ts";
import { BatchBuilder } from "./batch-builder.ts";
import { type BatchFault, checkBatch, checkStoredBatch } from "./batch-check.ts";
import { BatchHeader, CRC_COVERS_FROM, FIELD } from "./batch-header.ts";
import { codecNames } from "./compression.ts";
import { RecordCursor } from "./record-cursor.ts";

type Edit = (batch: Uint8Array) => void;

/** Three records of producer 9, changed by `edit`, with a CRC that is right for the change. */
function edited(edit: Edit): Uint8Array {
  const batch = sample();
  edit(batch);
  putInt32(batch, FIELD.crc, crc32c(batch, CRC_COVERS_FROM));
  return batch;
}

function sample(): Uint8Array {
  const options = { producerId: 9, producerEpoch: 1, baseSequence: 5 } as const;
  const builder = new BatchBuilder({ codec: "none", ...options });
  builder.append(100, Buffer.from("k"), Buffer.from("value"), [{ key: "h", value: undefined }]);
  builder.append(101, undefined, Buffer.from("value"));
  builder.append(102, undefined, undefined);
  return builder.finish();
}

const check = (batch: Uint8Array): BatchFault | undefined =>
  checkBatch(batch, 0, batch.length, new BatchHeader());
const checkStored = (batch: Uint8Array): BatchFault | undefined =>
  checkStoredBatch(batch, 0, batch.length, new BatchHeader());

const both = (field: number, value: number): Edit => {
  return (batch) => {
    putInt32(batch, FIELD.recordCount, value);
    putInt32(batch, field, value - 1);
  };
};

test("each way in which a producer's batch can be wrong has its fault", () => {
  const cases: [string, Edit, BatchFault["code"] | undefined][] = [
    ["nothing", () => {}, undefined],
    ["format 0", (batch) => (batch[FIELD.magic] = 0), "unsupported_format"],
    ["format 3", (batch) => (batch[FIELD.magic] = 3), "unsupported_format"],
    ["compression 5", (batch) => putInt16(batch, FIELD.attributes, 5), "unsupported_compression"],
    ["compression 7", (batch) => putInt16(batch, FIELD.attributes, 7), "unsupported_compression"],
    ["no records", both(FIELD.lastOffsetDelta, 0), "batch_invalid"],
    ["negative records", (batch) => putInt32(batch, FIELD.recordCount, -3), "batch_invalid"],
    ["one offset more", (batch) => putInt32(batch, FIELD.lastOffsetDelta, 3), "batch_invalid"],
    ["one offset less", (batch) => putInt32(batch, FIELD.lastOffsetDelta, 1), "batch_invalid"],
    ["2^31 - 1 records", both(FIELD.lastOffsetDelta, 2 ** 31 - 1), "batch_invalid"],
    ["a count above the bytes", both(FIELD.lastOffsetDelta, 60), "batch_invalid"],
    ["producer -2", (batch) => putInt64(batch, FIELD.producerId, -2), "batch_invalid"],
    ["epoch -1", (batch) => putInt16(batch, FIELD.producerEpoch, -1), "batch_invalid"],
    ["sequence -1", (batch) => putInt32(batch, FIELD.baseSequence, -1), "batch_invalid"],
    ["producer 2^56", (batch) => (batch[FIELD.producerId] = 1), "batch_invalid"],
    ["base time 2^56", (batch) => (batch[FIELD.baseTimestamp] = 1), "batch_invalid"],
    ["max time 2^56", (batch) => (batch[FIELD.maxTimestamp] = 1), "batch_invalid"],
    ["base offset 2^56", (batch) => (batch[FIELD.baseOffset] = 1), "batch_invalid"],
    ["length -1", (batch) => putInt32(batch, FIELD.length, -1), "batch_corrupt"],
    ["length 48", (batch) => putInt32(batch, FIELD.length, 48), "batch_corrupt"],
    ["length 2^31 - 1", (batch) => putInt32(batch, FIELD.length, 2 ** 31 - 1), "batch_corrupt"],
  ];
  for (const [why, edit, code] of cases) assert.equal(check(edited(edit))?.code, code, why);
});

test("producer fields that mean nothing without a producer id are not looked at", () => {
  const withoutId = edited((batch) => {
    putInt64(batch, FIELD.producerId, -1);
    putInt16(batch, FIELD.producerEpoch, 0);
    putInt32(batch, FIELD.baseSequence, -7);
  });
  assert.equal(check(withoutId), undefined);
  const transactional = edited((batch) => {
    putInt64(batch, FIELD.producerId, -1);
    putInt16(batch, FIELD.attributes, 0x10);
  });
  assert.equal(check(transactional)?.code, "batch_invalid");
});

test("a control batch passes, and says that it is one", () => {
  const batch = edited((marker) => {
    putInt16(marker, FIELD.attributes, 0x30);
    putInt32(marker, FIELD.baseSequence, -1);
  });
  const header = new BatchHeader();
  assert.equal(checkBatch(batch, 0, batch.length, header), undefined);
  assert.equal(header.isControl, true);
  assert.equal(header.isTransactional, true);
});

test("every byte under the CRC is under the CRC", () => {
  const batch = sample();
  for (let index = FIELD.crc; index < batch.length; index++) {
    const damaged = Uint8Array.from(batch);
    damaged[index] = (damaged[index] ?? 0) ^ 0x40;
    assert.equal(check(damaged)?.code, "batch_corrupt", `byte ${index}`);
    assert.equal(checkStored(damaged)?.code, "batch_corrupt", `byte ${index}`);
  }
});

test("a batch that is cut anywhere is corrupt", () => {
  const batch = sample();
  for (let end = 0; end < batch.length; end++) {
    const fault = checkBatch(batch, 0, end, new BatchHeader());
    assert.equal(fault?.code, "batch_corrupt", `${end} bytes`);
  }
});

const count = (records: number, lastDelta: number): Uint8Array =>
  edited((batch) => {
    putInt32(batch, FIELD.recordCount, records);
    putInt32(batch, FIELD.lastOffsetDelta, lastDelta);
  });

test("a stored batch may have lost records to compaction, but not gained any", () => {
  assert.equal(checkStored(count(3, 2)), undefined);
  assert.equal(checkStored(count(3, 10)), undefined);
  assert.equal(checkStored(count(0, 10)), undefined);
  assert.equal(checkStored(count(3, 1))?.code, "batch_corrupt");
  assert.equal(checkStored(count(-1, 2))?.code, "batch_corrupt");
  assert.equal(checkStored(count(0, -1))?.code, "batch_corrupt");
});

test("records that are not as many as the header says, or do not fill the batch, are refused at once", () => {
  for (const [why, edit] of [
    ["one record less than there are", count(2, 1)],
    ["one record more than there are", count(4, 3)],
    ["a record longer than the batch", edited((batch) => (batch[61] = 0x7e))],
    ["a negative record length", edited((batch) => (batch[61] = 0x01))],
    ["a length without an end", edited((batch) => batch.fill(0xff, 61))],
  ] as const) {
    assert.equal(check(edit)?.code, "batch_invalid", why);
  }
});

test("a walk over the records finds what the header cannot know", () => {
  const cursor = new RecordCursor();
  const records = 61;
  const cases: [string, Edit][] = [
    ["one record less than there are", both(FIELD.lastOffsetDelta, 2)],
    ["one record more than there are", both(FIELD.lastOffsetDelta, 4)],
    ["a record longer than the batch", (batch) => (batch[records] = 0x7e)],
    ["a record shorter than its fields", (batch) => (batch[records] = 0x02)],
    ["a negative record length", (batch) => (batch[records] = 0x01)],
    ["an offset delta that does not rise", (batch) => (batch[records + 3] = 0x04)],
    ["a key longer than the record", (batch) => (batch[records + 4] = 0x70)],
    ["a key length of -2", (batch) => (batch[records + 4] = 0x03)],
    ["a value longer than the record", (batch) => (batch[records + 6] = 0x7a)],
    ["too many headers", (batch) => (batch[records + 12] = 0x7e)],
    ["a negative count of headers", (batch) => (batch[records + 12] = 0x01)],
    ["a header without a name", (batch) => (batch[records + 13] = 0x01)],
    ["a header longer than the record", (batch) => (batch[records + 13] = 0x20)],
  ];
  assert.equal(checkRecords(sample(), 0, cursor), undefined);
  for (const [why, edit] of cases) {
    const batch = edited(edit);
    const fault = check(batch) ?? checkRecords(batch, 0, cursor);
    assert.equal(fault?.code, "batch_invalid", why);
  }
  const gap = edited((batch) => {
    putInt32(batch, FIELD.lastOffsetDelta, 3);
    batch[batch.length - 4] = 0x06;
  });
  assert.match(checkRecords(gap, 0, cursor)?.reason ?? "", /offset 2 is missing/);
});

test("records that grow past the limit are refused by the walk", () => {
  const builder = new BatchBuilder({ codec: "gzip" });
  builder.append(1, undefined, new Uint8Array(10_000));
  const batch = builder.finish();
  const cursor = new RecordCursor({ inflatedBytesMax: 10_000 });
  assert.match(checkRecords(batch, 0, cursor)?.reason ?? "", /more than 10000 bytes/);
  assert.equal(checkRecords(batch, 0, new RecordCursor()), undefined);
});

test("broken bytes end in records, a fault or a LogError, and end", () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 });
  const property = fc.property(
    fc.constantFrom(...codecNames),
    edits,
    fc.boolean(),
    (codec, changes, hasRightCrc) => {
      const builder = new BatchBuilder({ codec });
      const headers = [{ key: "name", value: Buffer.from("of a header") }];
      for (let index = 0; index < 5; index++) {
        builder.append(1_700_000_000_000 + index * 1000, Buffer.from("key"), undefined, headers);
      }
      const batch = builder.finish();
      for (const [at, byte] of changes) batch[at % batch.length] = byte;
      if (hasRightCrc) putInt32(batch, FIELD.crc, crc32c(batch, CRC_COVERS_FROM));
      walkAnyhow(batch);
    },
  );
  fc.assert(property, { numRuns: 600 });
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 61, maxLength: 200 }), (bytes) => {
      bytes.fill(0, 0, 27);
      bytes[FIELD.length + 3] = bytes.length - 12;
      bytes[FIELD.magic] = 2;
      walkAnyhow(bytes);
    }),
    { numRuns: 600 },
  );
});

/** As a careless reader would: whatever the check says, the records are walked. */
function walkAnyhow(batch: Uint8Array): void {
  check(batch);
  checkStored(batch);
  const cursor = new RecordCursor({ inflatedBytesMax: 100_000 });
  try {
    cursor.reset(batch, 0);
    for (let reached = 0; cursor.advance(); reached++) {
      assert.ok(reached <= 100_000, "no more records than bytes");
      assert.ok(cursor.keyEnd <= cursor.bytes.length && cursor.valueEnd <= cursor.bytes.length);
      cursor.key();
      cursor.value();
      cursor.headers();
    }
  } catch (thrown) {
    assert.ok(thrown instanceof LogError, String(thrown));
  }
}

test("a builder refuses half a producer", () => {
  assert.throws(() => new BatchBuilder({ codec: "none", producerId: 1 }), InvariantError);
  assert.throws(() => new BatchBuilder({ codec: "none", isTransactional: true }), InvariantError);
  assert.throws(() => new BatchBuilder({ codec: "none" }).finish(), InvariantError);
});
