import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";

import { InvariantError } from "../errors/index.ts";
import { NIL_UUID, uuidToString, writeUuid } from "./uuid.ts";

test("a UUID goes to bytes and back", () => {
  const property = fc.property(fc.uuid(), fc.nat(8), (text, position) => {
    const bytes = new Uint8Array(24);
    writeUuid(text, bytes, position);
    assert.equal(uuidToString(bytes, position), text);
    const hex = Buffer.from(bytes.subarray(position, position + 16)).toString("hex");
    assert.equal(hex, text.replaceAll("-", ""));
  });
  fc.assert(property, { numRuns: 100 });
  assert.equal(uuidToString(new Uint8Array(16)), NIL_UUID);
});

test("only canonical text is written", () => {
  const bytes = new Uint8Array(16);
  const wrong = [
    "",
    "0000",
    NIL_UUID.toUpperCase().replace("0", "A"),
    `${NIL_UUID}0`,
    NIL_UUID.replace("-", "0"),
  ];
  for (const text of wrong) assert.throws(() => writeUuid(text, bytes), InvariantError, text);
  assert.throws(() => writeUuid(NIL_UUID, bytes, 1), InvariantError);
  assert.throws(() => uuidToString(bytes, 1), InvariantError);
});
