import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { InvariantError, LogError } from "../errors/index.ts";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { unsignedVarintSize, varintSize, varlongSize } from "./varint.ts";

const malformed = { name: "LogError", code: "protocol_violation" };

test("what a writer wrote, a reader reads", () => {
  const shape = fc.record({
    text: fc.string({ unit: "binary", maxLength: 80 }),
    int: fc.integer(),
    unsigned: fc.nat(0xffff_ffff),
    long: fc.maxSafeInteger(),
    double: fc.double(),
    blob: fc.uint8Array({ maxLength: 300 }),
    uuid: fc.uuid(),
  });
  const writer = new ByteWriter(1);
  const property = fc.property(fc.array(shape, { maxLength: 5 }), (items) => {
    writer.reset();
    for (const item of items) {
      writer.unsignedVarint(ByteWriter.stringSize(item.text));
      assert.equal(writer.string(item.text), ByteWriter.stringSize(item.text));
      writer.int8(item.int);
      writer.int16(item.int);
      writer.int32(item.int);
      writer.int64(item.long);
      writer.float64(item.double);
      writer.unsignedVarint(item.unsigned);
      writer.varint(item.int);
      writer.varlong(item.long);
      writer.boolean(item.long > 0);
      writer.varint(item.blob.length);
      writer.bytes(item.blob);
      writer.uuid(item.uuid);
    }
    const reader = new ByteReader(writer.finish());
    for (const item of items) {
      assert.equal(reader.string(reader.unsignedVarint()), item.text.toWellFormed());
      assert.equal(reader.int8(), (item.int << 24) >> 24);
      assert.equal(reader.uint16(), item.int & 0xffff);
      assert.equal(reader.int32(), item.int);
      assert.equal(reader.int64(), item.long);
      assert.ok(Object.is(reader.float64(), item.double));
      assert.equal(reader.unsignedVarint(), item.unsigned);
      assert.equal(reader.varint(), item.int);
      assert.equal(reader.varlong(), item.long);
      assert.equal(reader.boolean(), item.long > 0);
      assert.deepEqual(Buffer.from(reader.bytes(reader.varint())), Buffer.from(item.blob));
      assert.equal(reader.uuid(), item.uuid);
    }
    assert.equal(reader.remaining, 0);
  });
  fc.assert(property, { numRuns: 80 });
});

test("varints take the bytes that their sizes say", () => {
  const edges = [0, 1, 63, 64, 127, 128, 8191, 8192, 16383, 16384, 2 ** 21, 2 ** 28, 2 ** 31 - 1];
  const longEdges = [2 ** 31, 2 ** 32, 2 ** 35, 2 ** 42, 2 ** 49, 2 ** 52, 2 ** 53 - 1];
  const writer = new ByteWriter();
  const sizeOf = (write: () => void): number => {
    writer.reset();
    write();
    return writer.size;
  };
  for (const edge of edges) {
    for (const value of [edge, -edge, -edge - 1]) {
      const size = sizeOf(() => writer.varint(value));
      assert.equal(size, varintSize(value), `varint ${value}`);
    }
  }
  for (const edge of [...edges, ...longEdges]) {
    const size = sizeOf(() => writer.unsignedVarint(edge));
    assert.equal(size, unsignedVarintSize(edge), `unsigned ${edge}`);
    for (const value of [edge, -edge]) {
      assert.equal(
        sizeOf(() => writer.varlong(value)),
        varlongSize(value),
        `varlong ${value}`,
      );
      const zigzag = BigInt.asUintN(64, (BigInt(value) << 1n) ^ (BigInt(value) >> 63n));
      assert.equal(varlongSize(value), Math.max(1, Math.ceil(zigzag.toString(2).length / 7)));
    }
  }
});

test("a reader stops at its end, whatever the bytes claim", () => {
  const bytes = Uint8Array.from([0, 0, 0, 4, 9, 9, 9, 9, 9, 9]);
  const reader = new ByteReader(bytes, 2, 8);
  assert.equal(reader.int16(), 4);
  assert.equal(reader.position, 4);
  assert.throws(() => reader.bytes(5), malformed);
  assert.throws(() => reader.bytes(-1), malformed);
  assert.throws(() => reader.int64(), malformed);
  assert.throws(() => reader.string(5), malformed);
  assert.equal(reader.int32(), 0x09090909);
  assert.throws(() => reader.uint8(), malformed);
  assert.throws(() => new ByteReader(bytes, 2, 11), malformed);
  assert.throws(() => new ByteReader(bytes, 3, 2), malformed);
});

test("varints that are too long are refused", () => {
  const endless = new Uint8Array(20).fill(0xff);
  assert.throws(() => new ByteReader(endless).unsignedVarint(), malformed);
  assert.throws(() => new ByteReader(endless).varint(), malformed);
  assert.throws(() => new ByteReader(endless).varlong(), malformed);
  const fifthByteTooLarge = Uint8Array.from([0x80, 0x80, 0x80, 0x80, 0x10]);
  assert.throws(() => new ByteReader(fifthByteTooLarge).unsignedVarint(), malformed);
  const largest = Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0x0f]);
  assert.equal(new ByteReader(largest).unsignedVarint(), 0xffff_ffff);
});

test("random bytes never make a reader fail in another way", () => {
  const reads = ["varint", "unsignedVarint", "varlong", "int64", "uuid", "float64"] as const;
  const property = fc.property(
    fc.uint8Array({ maxLength: 40 }),
    fc.array(fc.constantFrom(...reads), { maxLength: 12 }),
    (bytes, calls) => {
      const reader = new ByteReader(bytes);
      try {
        for (const call of calls) reader[call]();
      } catch (thrown) {
        assert.ok(thrown instanceof LogError, String(thrown));
      }
      assert.ok(reader.position <= bytes.length);
    },
  );
  fc.assert(property, { numRuns: 300 });
});

test("a reserved place is patched later, and only what was written can be", () => {
  const writer = new ByteWriter(4);
  const length = writer.reserve(4);
  writer.string("grüße");
  writer.patchInt32(length, writer.size - 4);
  assert.equal(Buffer.from(writer.finish()).toString("hex"), "000000076772c3bcc39f65");
  writer.patchInt16(0, -1);
  writer.patchInt8(3, 1);
  assert.throws(() => writer.patchInt64(4, 1), InvariantError);
  writer.truncate(2);
  assert.deepEqual([...writer.finish()], [255, 255]);
  assert.throws(() => writer.truncate(3), InvariantError);
});

test("memory that was taken is not written again", () => {
  const writer = new ByteWriter(64);
  for (const size of [60, 10, 64]) {
    writer.bytes(new Uint8Array(size).fill(7));
    const taken = writer.take();
    assert.equal(writer.size, 0);
    writer.bytes(new Uint8Array(64).fill(9));
    assert.equal(taken.length, size);
    assert.ok(taken.every((byte) => byte === 7));
    writer.reset();
  }
});
