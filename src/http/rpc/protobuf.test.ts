import assert from "node:assert/strict";
import { test } from "node:test";

import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import * as fc from "fast-check";

import { LogError } from "../../errors/index.ts";
import { readAppend } from "./append-messages.ts";
import { ProtobufReader } from "./protobuf-reader.ts";
import { ProtobufWriter, varintBytes } from "./protobuf-writer.ts";

test("numbers are those of protobuf, from -2^53 to 2^53", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (number) => {
      const writer = new ProtobufWriter();
      writer.int64(number);
      const bytes = writer.take();
      assert.equal(bytes.length, varintBytes(number));
      assert.equal(new BinaryReader(bytes).int64(), BigInt(number));
      const field = new BinaryWriter().tag(3, WireType.Varint).int64(BigInt(number)).finish();
      const reader = new ProtobufReader(field);
      assert.ok(reader.next());
      assert.deepEqual([reader.field, reader.integer()], [3, number]);
      assert.equal(reader.next(), false);
    }),
  );
});

test("a number beyond 2^53 is refused", () => {
  for (const number of [2n ** 53n, 2n ** 62n, -(2n ** 63n)]) {
    const reader = new ProtobufReader(
      new BinaryWriter().tag(1, WireType.Varint).int64(number).finish(),
    );
    reader.next();
    assert.throws(() => reader.integer(), { code: "protocol_violation" });
  }
});

test("whatever the bytes are, reading them ends with a message or a refusal", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        readAppend(bytes, 0);
      } catch (thrown) {
        assert.ok(thrown instanceof LogError, String(thrown));
      }
    }),
    { numRuns: 5_000 },
  );
});

test("fields that are not known are passed over", () => {
  const unknown = new BinaryWriter()
    .tag(90, WireType.Varint)
    .int64(-1n)
    .tag(91, WireType.Bit64)
    .fixed64(7n)
    .tag(92, WireType.Bit32)
    .fixed32(7)
    .tag(93, WireType.LengthDelimited)
    .bytes(new Uint8Array(200))
    .tag(1, WireType.LengthDelimited)
    .string("topic")
    .finish();
  assert.equal(readAppend(unknown, 0).topic, "topic");
});
