import assert from "node:assert/strict";
import { test } from "node:test";

import { LogError } from "../errors/index.ts";
import { eachRecord } from "../kafka/index.ts";
import { BatchBuilder, RecordCursor, type RecordHeader } from "../records/index.ts";
import type { RecordRun } from "./place.ts";
import { recordPrinter, type RecordFormat } from "./record-format.ts";
import { RecordWriter } from "./record-writer.ts";

interface Sample {
  readonly key?: string;
  readonly value?: string | Uint8Array;
  readonly headers?: readonly RecordHeader[];
}

function print(format: Partial<RecordFormat>, ...records: readonly Sample[]): string {
  const builder = new BatchBuilder({ codec: "none" });
  for (const { key, value, headers } of records) {
    const bytes = typeof value === "string" ? Buffer.from(value) : value;
    builder.append(
      1_700_000_000_123,
      key === undefined ? undefined : Buffer.from(key),
      bytes,
      headers,
    );
  }
  const parts: Uint8Array[] = [];
  const sink = {
    text: (text: string) => void parts.push(Buffer.from(text)),
    bytes: (bytes: Uint8Array) => void parts.push(Buffer.from(bytes)),
  };
  const printer = recordPrinter({
    output: "ndjson",
    template: undefined,
    parsesJson: false,
    hasColor: false,
    ...format,
  });
  const writer = new RecordWriter(printer, sink);
  writer.begin();
  if (records.length > 0) writer.run(runOf(builder.finish(7)));
  writer.end();
  return Buffer.concat(parts).toString("latin1");
}

function runOf(bytes: Uint8Array): RecordRun {
  const where = { topic: "orders", partition: 2, start: 7 };
  const chunk = { ...where, bytes, end: Infinity, nextOffset: Infinity, highWatermark: Infinity };
  const each: RecordRun["each"] = (visit) => eachRecord(chunk, new RecordCursor(), visit);
  return { ...where, next: Infinity, each };
}

const header = (key: string, value: string | undefined): RecordHeader => ({
  key,
  value: value === undefined ? undefined : Buffer.from(value),
});

test("a record is a line of JSON with everything in it", () => {
  assert.equal(
    print({}, { key: "k", value: "v", headers: [header("a", "1")] }),
    '{"topic":"orders","partition":2,"offset":7,"timestamp":1700000000123,"key":"k","headers":{"a":"1"},"value":"v"}\n',
  );
});

test("what is absent is null, what is no text is base64, names that repeat have lists", () => {
  const printed = print(
    {},
    { headers: [header("a", "1"), header("a", undefined)] },
    { value: Uint8Array.of(0xff, 0x00) },
  );
  const [first, second] = printed.trim().split("\n");
  assert.deepEqual(JSON.parse(first ?? "").headers, { a: ["1", null] });
  assert.equal(JSON.parse(first ?? "").value, null);
  assert.deepEqual(JSON.parse(second ?? "").value, { base64: "/wA=" });
});

test("values that are JSON are shown as what they hold when asked for", () => {
  const printed = print({ parsesJson: true }, { value: '{"a":[1]}' }, { value: "{" });
  const [first, second] = printed.trim().split("\n");
  assert.deepEqual(JSON.parse(first ?? "").value, { a: [1] });
  assert.equal(JSON.parse(second ?? "").value, "{");
});

test("json is one document, also when it is empty", () => {
  assert.deepEqual(JSON.parse(print({ output: "json" })), []);
  assert.equal(JSON.parse(print({ output: "json" }, { value: "a" }, { value: "b" })).length, 2);
});

test("raw is the values alone, byte for byte", () => {
  assert.equal(print({ output: "raw" }, { value: Uint8Array.of(0xff) }, {}), "\xff\n\n");
});

test("a template is filled in as kcat does", () => {
  const sample = { key: "k", value: "v", headers: [header("a", "1"), header("b", undefined)] };
  assert.equal(
    print({ template: "%t/%p@%o %T %k=%s (%K,%S) [%h] 100%%\\n" }, sample),
    "orders/2@7 1700000000123 k=v (1,1) [a=1,b] 100%\n",
  );
  assert.equal(print({ template: "%k:%s:%K:%S\\t\\x41\\\\\\q|" }, {}), "::-1:-1\tA\\\\q|");
  assert.equal(
    print({ template: "é%s\\n" }, { value: "ü" }),
    Buffer.from("éü\n").toString("latin1"),
  );
});

test("an unknown letter in a template is refused", () => {
  for (const template of ["%x", "%", "a%", "%constructor"]) {
    assert.throws(
      () => print({ template }),
      (error) => error instanceof LogError && error.code === "invalid_argument",
      template,
    );
  }
});

test("a line of the table shows no control characters", () => {
  const [, line] = print({ output: "table" }, { key: "k", value: "a\u001b[2Jb\nc" }).split("\n");
  assert.match(line ?? "", /^2 .* 7 {2}2023-11-14T22:13:20\.123Z {2}k {2}a\\x1b\[2Jb\\x0ac$/);
});
