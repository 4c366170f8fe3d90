import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { crc32c, crc32cByTables, hasNativeCrc32c } from "./crc32c.ts";

/** The definition, bit by bit. */
function naive(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0);
  }
  return ~crc >>> 0;
}

test("the check value of CRC-32C comes out", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe306_9283);
  assert.equal(crc32c(new Uint8Array(0)), 0);
  // The vectors of RFC 3720, appendix B.4.
  assert.equal(crc32c(new Uint8Array(32)), 0x8a91_36aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8_ab43);
});

test("the native checksum is used on this machine, so both ways are under test", () => {
  assert.equal(hasNativeCrc32c, true);
});

test("any part of any bytes gives what the bitwise definition gives", () => {
  const anyBytes = fc.uint8Array({ maxLength: 1500, size: "max" });
  const property = fc.property(anyBytes, fc.nat(1500), fc.nat(1500), (bytes, first, second) => {
    const start = Math.min(first, second, bytes.length);
    const end = Math.min(Math.max(first, second), bytes.length);
    const expected = naive(bytes.subarray(start, end));
    assert.equal(crc32c(bytes, start, end), expected);
    assert.equal(crc32cByTables(0, bytes, start, end), expected);
    const rest = bytes.subarray(start);
    assert.equal(crc32cByTables(0, rest, 0, end - start), expected);
  });
  fc.assert(property, { numRuns: 200 });
});
