import assert from "node:assert/strict";
import { test } from "node:test";

import { BatchBuilder, RecordCursor } from "../records/index.ts";
import { LogBlock } from "./log-block.ts";

const value = new Uint8Array(1);

test("a value is found also where the count of its headers, none, takes more than a byte", () => {
  const builder = new BatchBuilder({ codec: "none", bytesMax: 1024 });
  builder.append(1, undefined, new Uint8Array([7, 8, 9]), []);
  const batch = builder.finish();
  const longer = new Uint8Array(batch.length + 1);
  longer.set(batch);
  longer[batch.length - 1] = 0x80;
  // The record's length, zig-zag, and the batch's.
  longer[61] = (longer[61] ?? 0) + 2;
  longer[11] = (longer[11] ?? 0) + 1;
  const block = new LogBlock(longer);
  const cursor = new RecordCursor();
  assert.equal(block.plainValue(0), undefined);
  assert.equal(block.find(0, cursor), true);
  assert.deepEqual(cursor.value(), new Uint8Array([7, 8, 9]));
  assert.deepEqual(new LogBlock(batch).plainValue(0), new Uint8Array([7, 8, 9]));
});

test("a batch too large for short places is read all the same", () => {
  const large = new Uint8Array(1 << 27).fill(5);
  const builder = new BatchBuilder({ codec: "none", bytesMax: 1 << 28 });
  for (const one of [large, value]) builder.append(1, undefined, one, []);
  const block = new LogBlock(builder.finish());
  const cursor = new RecordCursor();
  for (const [offset, length] of [large.length, 1].entries()) {
    assert.equal(block.plainValue(offset), undefined);
    assert.equal(block.find(offset, cursor), true);
    assert.equal(cursor.value()?.length, length);
  }
});
