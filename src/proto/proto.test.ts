import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { create, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";

import { AppendRequestSchema, NewRecordSchema } from "./index.ts";

test("what is absent and what is empty stay two things, in bytes and in JSON", () => {
  const empty = create(NewRecordSchema, { key: new Uint8Array(0), value: new Uint8Array(0) });
  const absent = create(NewRecordSchema, {});
  assert.deepEqual([...toBinary(NewRecordSchema, empty)], [0x0a, 0, 0x12, 0]);
  assert.deepEqual([...toBinary(NewRecordSchema, absent)], []);
  assert.equal(fromBinary(NewRecordSchema, new Uint8Array(0)).key, undefined);
  assert.equal(fromBinary(NewRecordSchema, new Uint8Array([0x0a, 0])).key?.length, 0);
  assert.deepEqual(toJson(NewRecordSchema, empty), { key: "", value: "" });
  assert.deepEqual(toJson(NewRecordSchema, absent), {});
});

test("an append in JSON is what a person would write", () => {
  const request = fromJson(AppendRequestSchema, {
    topic: "orders",
    records: [{ key: "by0x", value: "e30=", headers: [{ name: "trace", value: "AQ==" }] }],
    expectedOffset: "41",
  });
  assert.equal(request.records[0]?.headers[0]?.name, "trace");
  assert.equal(Buffer.from(request.records[0]?.key ?? []).toString(), "o-1");
  assert.equal(request.expectedOffset, 41n);
  assert.equal(request.partition, undefined);
  assert.equal(request.expectedLast.case, undefined);
});

test("nothing here needs more than a browser has", () => {
  const paths = globSync("src/proto/**/*.ts").filter((path) => !path.endsWith(".test.ts"));
  assert.ok(paths.length > 1);
  for (const path of paths) {
    for (const [, from = ""] of readFileSync(path, "utf8").matchAll(/from "([^"]+)"/g)) {
      assert.match(from, /^(\.|@bufbuild\/protobuf)/, `${path} imports ${from}`);
    }
  }
});
