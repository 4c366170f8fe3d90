import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { BatchBuilder, RecordCursor } from "../records/index.ts";
import { BadLine } from "./lines.ts";
import { lineOfRecord, recordOfLine } from "./record-line.ts";

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.string({ unit: "binary", maxLength: 20 }).map((text) => new Uint8Array(Buffer.from(text))),
  fc.constant(undefined),
);
const record = fc.record({
  timestamp: fc.nat(),
  key: bytes,
  value: bytes,
  headers: fc.array(fc.record({ key: fc.string({ unit: "grapheme" }), value: bytes }), {
    maxLength: 4,
  }),
});

test("any record comes back from its line as it was, byte for byte", () => {
  fc.assert(
    fc.property(record, ({ timestamp, key, value, headers }) => {
      const builder = new BatchBuilder({ codec: "none" });
      builder.append(timestamp, key, value, headers);
      const cursor = new RecordCursor();
      cursor.reset(builder.finish(), 0);
      assert.ok(cursor.advance());
      const line = lineOfRecord(3, cursor);
      assert.ok(!line.includes("\n"));
      const found = recordOfLine(Buffer.from(line));
      assert.deepEqual(
        {
          ...found,
          key: plain(found.key),
          value: plain(found.value),
          headers: found.headers?.map((header) => [header.key, plain(header.value)]),
        },
        {
          partition: 3,
          timestampMs: timestamp,
          key: plain(key),
          value: plain(value),
          headers: headers.map((header) => [header.key, plain(header.value)]),
        },
      );
    }),
  );
});

function plain(one: Uint8Array | undefined): string | undefined {
  return one === undefined ? undefined : Buffer.from(one).toString("hex");
}

test("a line says what is wrong with it", () => {
  const cases = [
    ["", /no JSON/],
    ["{", /no JSON/],
    ["[]", /a record is an object/],
    ["null", /a record is an object/],
    ["{}", /no value; null stands for a deletion/],
    ['{"value":1}', /the value is 1; expected a text/],
    ['{"value":{"a":1}}', /the value is \{"a":1\}; expected a text/],
    ['{"value":{"base64":"a"}}', /the value is no base64: "a"/],
    ['{"value":{"base64":"YQ==","more":1}}', /expected a text/],
    ['{"value":"\\ud800"}', /the value is no well-formed text/],
    ['{"value":null,"key":7}', /the key is 7/],
    ['{"value":null,"valeu":""}', /no field "valeu"/],
    ['{"value":null,"partition":-1}', /partition is -1; expected a whole number from 0 on/],
    ['{"value":null,"timestamp":"now"}', /timestamp is "now"/],
    ['{"value":null,"headers":{"a":"b"}}', /headers are a list of \[name, value\]/],
    ['{"value":null,"headers":[["a"]]}', /a header is \["a"\]/],
    ['{"value":null,"headers":[["a",1]]}', /the header "a" is 1/],
  ] as const;
  for (const [line, message] of cases) {
    assert.throws(
      () => recordOfLine(Buffer.from(line)),
      (error) => error instanceof BadLine && message.test(error.message),
      line,
    );
  }
  assert.throws(() => recordOfLine(new Uint8Array([0x22, 0xff, 0x22])), /no UTF-8/);
});
