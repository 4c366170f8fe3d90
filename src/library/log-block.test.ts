import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { BatchBuilder, patchBatch, RecordCursor } from "../records/index.ts";
import { BlockTable } from "./block-table.ts";
import { BlockCache, LogBlock } from "./log-block.ts";

const value = new Uint8Array(1);

/** A block of `span` offsets from `baseOffset` on, of one batch. */
function blockOf(baseOffset: number, span: number): LogBlock {
  const builder = new BatchBuilder({ codec: "none", bytesMax: 1 << 20 });
  for (let n = 0; n < span; n++) builder.append(1, undefined, value, []);
  const batch = builder.finish();
  patchBatch(batch, 0, baseOffset, 0);
  return new LogBlock(batch);
}

/** Blocks one behind another, as the batches of a log lie. */
function blocksOf(start: number, spans: readonly number[]): LogBlock[] {
  let next = start;
  return spans.map((span) => {
    const block = blockOf(next, span);
    next += span;
    return block;
  });
}

const spans = fc.array(fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 300 })), {
  minLength: 1,
  maxLength: 120,
});
const start = fc.oneof(fc.nat(1000), fc.constant(2 ** 32 - 50), fc.constant(2 ** 52));

test("each offset is found in the block that holds it, and in none once that is removed", () => {
  const property = fc.property(
    start,
    spans,
    fc.infiniteStream(fc.boolean()),
    (base, all, coins) => {
      const table = new BlockTable();
      const blocks = blocksOf(base, all);
      for (const block of blocks) table.add(block);
      const isKept = blocks.map(() => coins.next().value);
      for (const [n, block] of blocks.entries()) if (!isKept[n]) table.remove(block);
      for (const [n, block] of blocks.entries()) {
        const expected = isKept[n] ? block : undefined;
        for (const offset of [block.baseOffset, block.nextOffset - 1]) {
          assert.equal(table.find(offset), expected);
        }
      }
      const end = blocks.at(-1)?.nextOffset ?? 0;
      assert.equal(table.find(base - 1), undefined);
      assert.equal(table.find(end), undefined);
      table.clear();
      for (const block of blocks) assert.equal(table.find(block.baseOffset), undefined);
    },
  );
  fc.assert(property, { numRuns: 200 });
});

test("a cache finds what it was given last, and never holds more than its limit", () => {
  const blocks = blocksOf(
    0,
    Array.from({ length: 200 }, (_, n) => 1 + (n % 7)),
  );
  const bytesMax = 20 * (blocks[6]?.sizeBytes ?? 0);
  const cache = new BlockCache(bytesMax);
  for (const block of [...blocks, ...blocks.toReversed()]) {
    if (cache.find(block.baseOffset) === undefined) cache.add(block);
    assert.equal(cache.find(block.baseOffset), block);
    const kept = new Set(blocks.filter((one) => cache.find(one.nextOffset - 1) === one));
    assert.ok(kept.has(block));
    const bytes = [...kept].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    assert.ok(bytes <= bytesMax && kept.size <= 30, `${kept.size} blocks of ${bytes} bytes`);
  }
});

test("a block that was read since room was looked for last outlives one that was not", () => {
  const blocks = blocksOf(
    0,
    Array.from({ length: 40 }, () => 5),
  );
  const [first] = blocks;
  const cache = new BlockCache(10 * (first?.sizeBytes ?? 0));
  for (const block of blocks) {
    cache.add(block);
    assert.equal(cache.find(0), first, `after the block at ${block.baseOffset}`);
  }
});

test("a cache too small for a block keeps that one, and only it", () => {
  const [first, second] = blocksOf(0, [3, 3]);
  assert.ok(first !== undefined && second !== undefined);
  const cache = new BlockCache(1);
  cache.add(first);
  assert.equal(cache.find(2), first);
  cache.add(second);
  assert.equal(cache.find(2), undefined);
  assert.equal(cache.find(3), second);
});

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
