import assert from "node:assert/strict";
import { test } from "node:test";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";

import { LogError } from "../errors/index.ts";
import { codecNames, compress, decompress } from "./compression.ts";

const MIB = 1024 * 1024;
const compressing = codecNames.filter((codec) => codec !== "none");
const corrupt = { name: "LogError", code: "batch_corrupt" };
const tooMuch = { name: "LogError", code: "limit_exceeded" };

/** Words in no order, so that every codec finds something and not too much. */
function prose(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = 1;
  for (const index of bytes.keys()) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[index] = index % 7 < 4 ? 97 + (index % 5) : 97 + (state >>> 28);
  }
  return bytes;
}

test("what is compressed comes back", () => {
  const property = fc.property(
    fc.constantFrom(...codecNames),
    fc.uint8Array({ maxLength: 600 }),
    fc.nat(400),
    (codec, bytes, repeats) => {
      const plain = Buffer.concat(Array.from({ length: repeats }, () => bytes));
      const back = decompress(codec, compress(codec, plain), plain.length);
      assert.ok(plain.equals(back));
    },
  );
  fc.assert(property, { numRuns: 150 });
});

test("sizes at and around the block limits of the framings come back", () => {
  const sizes = [0, 1, 32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 65_536, 65_537, 262_145, MIB + 1];
  for (const codec of codecNames) {
    for (const size of sizes) {
      const plain = prose(size);
      const back = decompress(codec, compress(codec, plain), size);
      assert.ok(Buffer.from(plain).equals(back), `${codec} ${size}`);
    }
  }
});

test("the limit is met exactly and not passed", () => {
  const plain = prose(100_000);
  for (const codec of codecNames) {
    const packed = compress(codec, plain);
    assert.equal(decompress(codec, packed, 100_000).length, 100_000, codec);
    assert.throws(() => decompress(codec, packed, 99_999), tooMuch, codec);
    assert.throws(() => decompress(codec, packed, 0), tooMuch, codec);
  }
});

test("bytes that were cut anywhere are refused", () => {
  const plain = prose(5_000);
  for (const codec of compressing) {
    const packed = compress(codec, plain);
    for (let end = 0; end < packed.length; end += Math.max(1, packed.length >> 7)) {
      // Xerial chunks have no end mark: cut between two, fewer records come out, and are missed there.
      if (codec === "snappy" && end === 16) continue;
      assert.throws(() => decompress(codec, packed.subarray(0, end), 5_000), corrupt, codec);
    }
    assert.throws(() => decompress(codec, packed.subarray(0, -1), 5_000), corrupt, codec);
  }
});

test("a bomb is refused for its ratio, whatever the limit", () => {
  const zeros = Buffer.alloc(64 * MIB);
  const bombs = [
    ["zstd", zstdCompressSync(zeros)],
    ["gzip", gzipSync(zeros, { level: 9 })],
  ] as const;
  for (const [codec, bomb] of bombs) {
    assert.throws(() => decompress(codec, bomb, Number.MAX_SAFE_INTEGER), tooMuch, codec);
  }
});

test("a zstd window beyond 8 MiB is refused", () => {
  const params = { [constants.ZSTD_c_windowLog]: 24, [constants.ZSTD_c_contentSizeFlag]: 0 };
  const packed = zstdCompressSync(prose(9 * MIB), { params });
  assert.throws(() => decompress("zstd", packed, 32 * MIB), tooMuch);
});

test("an LZ4 frame with linked blocks, a content size and checksums is read", () => {
  // Made by the reference implementation (lz4.frame, block_linked, block and content checksums)
  // of the bytes "abcdefgh" nine times.
  const frame = Buffer.from(
    "04224d187c4048000000000000002b120000008f6162636465666768080028506465666768683cdf4900000000f9ee3bab",
    "hex",
  );
  assert.equal(Buffer.from(decompress("lz4", frame, 72)).toString(), "abcdefgh".repeat(9));
  assert.throws(() => decompress("lz4", frame, 71), tooMuch);
  assert.throws(() => decompress("lz4", Buffer.concat([frame, frame]), 200), corrupt);
  for (const index of frame.keys()) {
    const damaged = Buffer.from(frame);
    damaged[index] = (damaged[index] ?? 0) ^ 0x10;
    assert.throws(() => decompress("lz4", damaged, 72), LogError, `byte ${index}`);
  }
});

test("malformed LZ4 blocks are refused on the walk", () => {
  const cases: [string, number[]][] = [
    ["a match before any data", [0x00, 0x01, 0x00]],
    ["an offset of zero", [0x10, 0x61, 0x00, 0x00, 0x10, 0x61]],
    ["literals past the end", [0x50, 0x61]],
    ["a length that never ends", [0xf0, 0xff, 0xff]],
    ["a match without its last literals", [0x10, 0x61, 0x01, 0x00]],
    ["half an offset", [0x10, 0x61, 0x01]],
  ];
  for (const [why, block] of cases) {
    assert.throws(() => decompress("lz4", frameOf(block), 1_000), corrupt, why);
  }
  assert.equal(Buffer.from(decompress("lz4", frameOf([0x10, 0x61]), 1)).toString(), "a");
});

test("a snappy block that claims too much is refused before it is believed", () => {
  const claims = Buffer.from([0xff, 0xff, 0xff, 0x7f, 0x00]);
  assert.throws(() => decompress("snappy", claims, Number.MAX_SAFE_INTEGER), tooMuch);
  const modest = Buffer.from([0x80, 0x80, 0x04, 0x00]);
  assert.throws(() => decompress("snappy", modest, MIB), corrupt);
  assert.throws(() => decompress("snappy", new Uint8Array(0), MIB), corrupt);
});

test("damaged bytes end in bytes or a LogError, within the limit", () => {
  const plain = prose(2_000);
  const property = fc.property(
    fc.constantFrom(...compressing),
    fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }),
    (codec, edits) => {
      const packed = Uint8Array.from(compress(codec, plain));
      for (const [at, byte] of edits) packed[at % packed.length] = byte;
      endsWell(() => assert.ok(decompress(codec, packed, 4_000).length <= 4_000));
    },
  );
  fc.assert(property, { numRuns: 400 });
  const random = fc.property(fc.constantFrom(...compressing), fc.uint8Array(), (codec, bytes) =>
    endsWell(() => decompress(codec, bytes, 4_000)),
  );
  fc.assert(random, { numRuns: 300 });
});

function endsWell(run: () => void): void {
  try {
    run();
  } catch (thrown) {
    if (!(thrown instanceof LogError)) throw thrown;
    assert.ok(["batch_corrupt", "limit_exceeded"].includes(thrown.code), thrown.code);
  }
}

/** One independent block of at most 64 KiB in a frame without checksums. */
function frameOf(block: readonly number[]): Uint8Array {
  const header = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
  return Uint8Array.of(...header, block.length, 0, 0, 0, ...block, 0, 0, 0, 0);
}
