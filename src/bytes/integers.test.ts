import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import {
  int32At,
  memoryOf,
  putInt16,
  putInt32,
  putInt64,
  readInt64,
  uint32At,
  writeInt64,
} from "./integers.ts";

test("integers are read back as a DataView reads and writes them", () => {
  const property = fc.property(
    fc.integer({ min: -0x8000, max: 0x7fff }),
    fc.integer(),
    fc.maxSafeInteger(),
    (short, int, long) => {
      const bytes = new Uint8Array(16);
      const view = new DataView(bytes.buffer);
      putInt16(bytes, 1, short);
      assert.equal(view.getInt16(1), short);
      putInt32(bytes, 1, int);
      assert.equal(view.getInt32(1), int);
      assert.equal(int32At(bytes, 1), int);
      assert.equal(uint32At(bytes, 1), view.getUint32(1));
      putInt64(bytes, 3, long);
      assert.equal(view.getBigInt64(3), BigInt(long));
      assert.equal(readInt64(view, 3), long);
      writeInt64(view, 5, long);
      assert.equal(view.getBigInt64(5), BigInt(long));
    },
  );
  fc.assert(property, { numRuns: 300 });
});

test("a 64-bit integer beyond the safe range is refused", () => {
  const view = new DataView(new ArrayBuffer(8));
  const edges: [bigint, boolean][] = [
    [2n ** 53n - 1n, true],
    [2n ** 53n, false],
    [2n ** 53n + 1n, false],
    [-(2n ** 53n) + 1n, true],
    [-(2n ** 53n), false],
    [-(2n ** 53n) - 1n, false],
    [2n ** 63n - 1n, false],
    [-(2n ** 63n), false],
  ];
  for (const [value, isSafe] of edges) {
    view.setBigInt64(0, value);
    if (isSafe) {
      assert.equal(readInt64(view, 0), Number(value));
      continue;
    }
    const refused = { name: "LogError", code: "batch_corrupt" };
    assert.throws(() => readInt64(view, 0), refused);
  }
});

test("the memory of bytes is viewed, whichever were looked at before", () => {
  const sizes = [8, 100, (4 << 20) + 1, 4 << 20];
  const pieces = sizes.map((size, n) => new Uint8Array(size).fill(n + 1).subarray(n + 1));
  for (const piece of [...pieces, ...pieces.toReversed(), ...pieces]) {
    const memory = memoryOf(piece);
    assert.equal(memory.buffer, piece.buffer);
    assert.equal(memory.byteLength, piece.buffer.byteLength);
    assert.equal(memory.getUint8(piece.byteOffset), piece[0]);
  }
});
