// Records for the client tests: made from their number alone, so that what is read can be compared with what was meant.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";

import type { ReadRecord, SentRecord } from "./client.ts";

/** Records of one sample: divisible by the parts the tests cut it into. */
export const sampleSize = 120;
const keyCount = 16;
/** Whole seconds, some while ago: neither expired nor in the future for any server. */
const firstTimeMs = Math.floor(Date.now() / 1_000) * 1_000 - 3_600_000;

/** The timestamp of record `index`. */
export function timeMs(index: number): number {
  return firstTimeMs + index * 1_000;
}

/** Keyed records with headers, numbered from `first`. */
export function sample(range: { readonly first: number; readonly count?: number }): SentRecord[] {
  return Array.from({ length: range.count ?? sampleSize }, (_, step) => {
    const index = range.first + step;
    return {
      key: Buffer.from(`key-${index % keyCount}`),
      value: Buffer.from(`value ${index} ${"of a record that repeats itself ".repeat(index % 9)}`),
      headers: index % 5 === 0 ? [] : headersOf(index),
      timestampMs: timeMs(index),
    };
  });
}

function headersOf(index: number): SentRecord["headers"] {
  return [
    ["index", Buffer.from(String(index))],
    ["noise", noise(index % 40)],
  ];
}

/** Bytes that do not compress, the same ones for the same size. */
export function noise(size: number): Buffer {
  let state = size + 1;
  return Buffer.from(
    Array.from({ length: size }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    }),
  );
}

/** Compares as a bag: the order across keys is nobody's promise. */
export function assertSame(read: readonly SentRecord[], sent: readonly SentRecord[]): void {
  const missing = new Map<string, number>();
  for (const record of sent) add(missing, asLine(record), 1);
  for (const record of read) add(missing, asLine(record), -1);
  const lines = [...missing]
    .filter(([, count]) => count !== 0)
    .map(([line, count]) => `${count > 0 ? "missing" : "too many"}: ${line}`);
  assert.deepEqual(
    { lines: lines.slice(0, 8), count: lines.length },
    { lines: [], count: 0 },
    `${read.length} read, ${sent.length} written`,
  );
}

function add(counts: Map<string, number>, line: string, count: number): void {
  counts.set(line, (counts.get(line) ?? 0) + count);
}

/** All that a client gave, as one line. */
export function asLine({ key, value, headers, timestampMs }: SentRecord): string {
  const named = headers.map(([name, bytes]) => `${name}=${asText(bytes)}`);
  return `@${timestampMs} ${asText(key)} ${asText(value)} [${named.join(" ")}]`;
}

function asText(bytes: Buffer | undefined): string {
  if (!bytes) return "none";
  if (bytes.length > 60) return `${bytes.length} bytes, sha1 ${sha1(bytes)}`;
  const text = bytes.toString("latin1");
  return /^[\x20-\x7e]*$/.test(text) ? `"${text}"` : bytes.toString("hex");
}

function sha1(bytes: Buffer): string {
  return createHash("sha1").update(bytes).digest("hex");
}

/** Within a partition the records of a key carry rising numbers, and a key stays in one partition. */
export function eachKeyInOrder(records: readonly ReadRecord[]): void {
  const seen = new Map<string, { partition: number; offset: number; number: number }>();
  for (const record of records) {
    const key = record.key?.toString() ?? "";
    const before = seen.get(key);
    const here = {
      partition: record.partition,
      offset: record.offset,
      number: numberOf(record),
    };
    seen.set(key, here);
    if (!before) continue;
    assert.equal(here.partition, before.partition, `${key} is in one partition`);
    assert.ok(here.number > before.number && here.offset > before.offset, `${key} is in order`);
  }
}

function numberOf(record: object): number {
  const value: unknown = Reflect.get(record, "value");
  return Number(/^value (\d+) /.exec(String(value))?.[1] ?? Number.NaN);
}
