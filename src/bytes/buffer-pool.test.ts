import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { InvariantError } from "../errors/index.ts";
import { BufferPool } from "./buffer-pool.ts";

const KIB = 1024;

test("a piece is a power of two from 4 KiB to 4 MiB, and the view is exact", () => {
  const pool = new BufferPool({ retainedBytesMax: 16 * KIB * KIB });
  const expected: [number, number][] = [
    [0, 4 * KIB],
    [1, 4 * KIB],
    [4 * KIB, 4 * KIB],
    [4 * KIB + 1, 8 * KIB],
    [100 * KIB, 128 * KIB],
    [4 * KIB * KIB, 4 * KIB * KIB],
    [4 * KIB * KIB + 1, 4 * KIB * KIB + 1],
  ];
  for (const [size, memoryBytes] of expected) {
    const view = pool.acquire(size);
    assert.equal(view.length, size);
    assert.equal(view.byteOffset, 0);
    assert.equal(view.buffer.byteLength, memoryBytes);
    assert.equal(pool.lentBytes, memoryBytes);
    pool.release(view);
    assert.equal(pool.lentBytes, 0);
  }
});

test("released memory is lent again", () => {
  const pool = new BufferPool({ retainedBytesMax: 64 * KIB });
  const first = pool.acquire(10_000);
  pool.release(first.subarray(3, 5));
  assert.equal(pool.retainedBytes, 16 * KIB);
  const second = pool.acquire(9_000);
  assert.equal(second.buffer, first.buffer);
  assert.equal(pool.retainedBytes, 0);
});

test("the pool keeps up to its limit and not a byte more", () => {
  const pool = new BufferPool({ retainedBytesMax: 12 * KIB });
  const views = [pool.acquire(1), pool.acquire(1), pool.acquire(1), pool.acquire(1)];
  for (const view of views) pool.release(view);
  assert.equal(pool.retainedBytes, 12 * KIB);
  const large = pool.acquire(8 * KIB);
  pool.release(large);
  assert.equal(pool.retainedBytes, 12 * KIB);
});

test("a double release and a foreign release are broken invariants", () => {
  const pool = new BufferPool({ retainedBytesMax: 64 * KIB });
  const view = pool.acquire(100);
  pool.release(view);
  assert.throws(() => pool.release(view), InvariantError);
  assert.throws(() => pool.release(new Uint8Array(4 * KIB)), InvariantError);
  assert.throws(() => pool.acquire(-1), InvariantError);
});

test("no memory is ever lent twice at a time", () => {
  const step = fc.oneof(fc.record({ acquire: fc.nat(40_000) }), fc.record({ release: fc.nat(10) }));
  const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const pool = new BufferPool({ retainedBytesMax: 40 * KIB });
    const held: Uint8Array[] = [];
    for (const each of steps) {
      if ("acquire" in each) held.push(pool.acquire(each.acquire));
      else held.splice(each.release, 1).forEach((view) => pool.release(view));
      assert.equal(new Set(held.map((view) => view.buffer)).size, held.length);
      const lentBytes = held.reduce((sum, view) => sum + view.buffer.byteLength, 0);
      assert.equal(pool.lentBytes, lentBytes);
      assert.ok(pool.retainedBytes <= 40 * KIB);
    }
  });
  fc.assert(property, { numRuns: 100 });
});
