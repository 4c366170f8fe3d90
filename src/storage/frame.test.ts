import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

import { makeBatch, TOPIC } from "../../test/fixtures/store.ts";
import { writeUuid } from "../bytes/index.ts";
import { BatchHeader } from "../records/index.ts";
import { frameCrc, FrameEntry, FrameHeader, FrameWriter } from "./frame.ts";

const GOLDEN = new URL("../../test/golden/storage/wal-frame.hex", import.meta.url);
const magic = Uint8Array.from([0xc0, 0xd1, 0xe2, 0xf3, 0x84, 0x95, 0xa6, 0xb7]);

/** [bytes, what they are]: the fields of the frame that the test builds, in order. */
const fields: readonly (readonly [number, string])[] = [
  [8, "frame magic of the store"],
  [4, "CRC-32C of what follows, up to the body"],
  [1, "version 1"],
  [1, "kind 1: data"],
  [2, "zeros"],
  [4, "2 entries"],
  [4, "body of 69 bytes"],
  [4, "CRC of the frame before: 0x1234"],
  [4, "zeros"],
  [8, "incarnation 3"],
  [8, "sequence 42"],
  [8, "synced through 41"],
  [8, "zeros"],
  [1, "entry kind 1: a batch"],
  [1, "zero"],
  [2, "attributes: none"],
  [4, "partition 7"],
  [16, "topic id"],
  [8, "base offset 5"],
  [4, "last offset delta 0"],
  [4, "1 record"],
  [4, "leader epoch 3"],
  [4, "CRC of the batch"],
  [4, "position 0 in the body"],
  [4, "69 bytes"],
  [8, "max timestamp 1000"],
  [8, "producer id -1: none"],
  [2, "producer epoch -1"],
  [2, "zeros"],
  [4, "base sequence -1"],
  [1, "entry kind 2: a log start"],
  [1, "zero"],
  [2, "attributes: none"],
  [4, "partition 7"],
  [16, "topic id"],
  [8, "new log start offset 2"],
  [48, "zeros"],
];

function buildFrame(): { readonly head: Uint8Array; readonly header: FrameHeader } {
  const batch = makeBatch(5);
  const batchHeader = new BatchHeader();
  batchHeader.read(batch, 0);
  batchHeader.baseOffset = 5;
  batchHeader.leaderEpoch = 3;
  const topic = new Uint8Array(16);
  writeUuid(TOPIC, topic, 0);
  const writer = new FrameWriter(magic);
  writer.addBatch(topic, 7, batchHeader);
  writer.addLogStart(topic, 7, 2);
  const header = new FrameHeader();
  header.previousCrc = 0x1234;
  header.incarnation = 3;
  header.sequence = 42;
  header.syncedThrough = 41;
  return { head: writer.finish(header).slice(), header };
}

function annotate(bytes: Uint8Array): string {
  const lines = ["# Header and directory of one frame: a batch of one record, and a log start."];
  let at = 0;
  for (const [size, what] of fields) {
    const hex = Buffer.from(bytes.subarray(at, at + size)).toString("hex");
    const rows = (hex.match(/.{1,32}/g) ?? []).map((row) => (row.match(/../g) ?? []).join(" "));
    rows.forEach((row, i) => lines.push(i === 0 ? `${row.padEnd(50)}${what}` : row));
    at += size;
  }
  assert.equal(at, bytes.length, "every byte of the frame is a field");
  return `${lines.join("\n")}\n`;
}

test("a frame is, byte for byte, what the format says", () => {
  const text = annotate(buildFrame().head);
  if (process.env["UPDATE"] === "1") writeFileSync(GOLDEN, text);
  assert.equal(text, readFileSync(GOLDEN, "utf8"));
});

test("a frame reads back as it was built", () => {
  const { head, header } = buildFrame();
  const read = FrameHeader.read(new FrameHeader(), head, 0, magic) ?? assert.fail("no frame");
  for (const field of ["sequence", "incarnation", "previousCrc", "syncedThrough", "crc"] as const) {
    assert.equal(read[field], header[field], field);
  }
  assert.equal(frameCrc(head, 0, read), read.crc);
  const entry = new FrameEntry();
  entry.read(new DataView(head.buffer), head, 64);
  const { topicId, partition, baseOffset, lastOffset, recordCount, producerId, sizeBytes } = entry;
  assert.deepEqual(
    { topicId, partition, baseOffset, lastOffset, recordCount, producerId, sizeBytes },
    {
      topicId: TOPIC,
      partition: 7,
      baseOffset: 5,
      lastOffset: 5,
      recordCount: 1,
      producerId: -1,
      sizeBytes: 69,
    },
  );
});

test("any flipped bit of a frame is noticed", () => {
  const { head } = buildFrame();
  for (let bit = 0; bit < head.length * 8; bit++) {
    const bad = head.slice();
    bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const header = FrameHeader.read(new FrameHeader(), bad, 0, magic);
    const isInside = header !== undefined && 64 + header.directoryBytes <= bad.length;
    const isAccepted = isInside && frameCrc(bad, 0, header) === header.crc;
    assert.equal(isAccepted, false, `bit ${bit}`);
  }
});
