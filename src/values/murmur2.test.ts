import assert from "node:assert/strict";
import { test } from "node:test";

import { murmur2, partitionOfKey } from "./murmur2.ts";

// The values that Kafka's own test of its hash expects.
const known: readonly (readonly [text: string, hash: number])[] = [
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
];

test("murmur2 is the hash of Kafka's clients", () => {
  for (const [text, hash] of known) assert.equal(murmur2(Buffer.from(text)), hash, text);
});

test("a key with a negative hash has a partition like any other", () => {
  assert.equal(partitionOfKey(Buffer.from("21"), 1_000), (-973932308 & 0x7fff_ffff) % 1_000);
  assert.equal(partitionOfKey(Buffer.from("abc"), 10), 7);
});

test("an empty key has a partition", () => {
  const partition = partitionOfKey(new Uint8Array(0), 7);
  assert.ok(partition >= 0 && partition < 7);
});
