import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { ChunkBytes } from "./chunk-bytes.ts";

const unit = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom("a", "b", "\u0000", "\u007f") },
  { weight: 1, arbitrary: fc.constantFrom("é", "€", "😀", "\ufffd") },
);
const text = fc.oneof(
  fc.string({ unit, maxLength: 40 }),
  fc.string({ unit: fc.constantFrom("x", "y"), maxLength: 700 }),
);

test("text is what its bytes say, in whatever order and wherever it is asked for", () => {
  const property = fc.property(
    fc.array(fc.tuple(text, fc.uint8Array({ maxLength: 6 })), { maxLength: 30 }),
    fc.array(fc.tuple(fc.nat(), fc.boolean()), { maxLength: 80 }),
    fc.nat(5),
    (parts, asked, shift) => {
      // Between the texts lie bytes that are none, as in a batch.
      const pieces = parts.flatMap(([piece, between]) => [Buffer.from(piece), between]);
      const all = Buffer.concat([new Uint8Array(shift), ...pieces]);
      const chunk = new ChunkBytes(all.subarray(shift));
      const places: { start: number; end: number; text: string }[] = [];
      let start = 0;
      for (const [piece, between] of parts) {
        const end = start + Buffer.byteLength(piece);
        places.push({ start, end, text: piece });
        start = end + between.length;
      }
      for (const [number, isPiece] of asked) {
        const place = places[number % Math.max(places.length, 1)];
        if (place === undefined) continue;
        const found = isPiece
          ? chunk.piece(place.start, place.end)
          : chunk.text(place.start, place.end);
        assert.equal(found, place.text);
        assert.deepEqual(Buffer.from(chunk.view(place.start, place.end)), Buffer.from(place.text));
      }
    },
  );
  fc.assert(property, { numRuns: 300 });
});

test("a text larger than what is decoded at a time is whole", () => {
  const large = "x".repeat(100_000);
  const chunk = new ChunkBytes(Buffer.from(`${large}${large}é`));
  assert.equal(chunk.piece(0, 100_000), large);
  assert.equal(chunk.piece(100_000, 200_000), large);
  assert.equal(chunk.piece(199_999, 200_002), "xé");
});

test("what comes later is in the same text only where it lies there", () => {
  const chunk = new ChunkBytes(Buffer.from("abcdefgh".repeat(1000)));
  for (let start = 0; start + 40 <= 8000; start += 37) {
    assert.equal(chunk.piece(start, start + 40), "abcdefgh".repeat(1000).slice(start, start + 40));
    assert.equal(chunk.text(start, start + 9), "abcdefgh".repeat(1000).slice(start, start + 9));
  }
  assert.equal(chunk.piece(0, 8), "abcdefgh");
});
