import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { KeyOffsets } from "./key-offsets.ts";

const seed = [0x0123_4567, -0x0123_4567] as const;

/** Puts a key that lies somewhere in other bytes. */
function put(offsets: KeyOffsets, key: Uint8Array, offset: number): boolean {
  return offsets.put(Buffer.concat([Buffer.from("xy"), key]), 2, 2 + key.length, offset);
}

function find(offsets: KeyOffsets, key: Uint8Array): number {
  return offsets.find(key, 0, key.length);
}

test("knows the newest offset of each key, as a map does", () => {
  const keys = fc.uint8Array({ maxLength: 9, max: 3 });
  fc.assert(
    fc.property(fc.array(keys, { maxLength: 300 }), fc.array(keys), (given, asked) => {
      const offsets = new KeyOffsets({ bytesMax: 1 << 20, keysMax: given.length, seed });
      const model = new Map<string, number>();
      for (const [offset, key] of given.entries()) {
        assert.ok(put(offsets, key, offset));
        model.set(String(key), offset);
      }
      assert.equal(offsets.count, model.size);
      for (const key of [...given, ...asked]) {
        assert.equal(find(offsets, key), model.get(String(key)) ?? -1);
      }
    }),
  );
});

test("takes keys until its memory is full, one of any size, and known ones even then", () => {
  const offsets = new KeyOffsets({ bytesMax: 4 << 20, keysMax: 1 << 20, seed });
  let count = 0;
  while (put(offsets, Buffer.alloc(1_000, `${count} `), count)) count++;
  assert.ok(count > 1_000, `${count} keys`);
  assert.ok(offsets.sizeBytes <= 4 << 20, `${offsets.sizeBytes} bytes`);
  assert.ok(put(offsets, Buffer.alloc(1_000, "7 "), count));
  assert.equal(find(offsets, Buffer.alloc(1_000, "7 ")), count);
  assert.equal(find(offsets, Buffer.alloc(1_000, `${count} `)), -1);

  const small = new KeyOffsets({ bytesMax: 1, keysMax: 1 << 20, seed });
  assert.ok(put(small, Buffer.alloc(3 << 20), 1));
  assert.ok(!put(small, Buffer.from("b"), 2));
  assert.equal(find(small, Buffer.alloc(3 << 20)), 1);
});

test("keys that differ in one byte, or in their length alone, are not one key", () => {
  const offsets = new KeyOffsets({ bytesMax: 64 << 20, keysMax: 200_000, seed });
  const key = Buffer.alloc(32);
  // So many that some share their 32 bits of hash.
  for (let i = 0; i < 150_000; i++) {
    key.writeUInt32LE(i, (i % 7) * 4);
    assert.ok(put(offsets, key.subarray(0, 28 + (i % 5)), i));
  }
  const seen = new Map<string, number>();
  key.fill(0);
  for (let i = 0; i < 150_000; i++) {
    key.writeUInt32LE(i, (i % 7) * 4);
    seen.set(key.toString("latin1", 0, 28 + (i % 5)), i);
  }
  for (const [text, offset] of seen)
    assert.equal(find(offsets, Buffer.from(text, "latin1")), offset);
});
