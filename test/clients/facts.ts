// What a client program says, as it says it, and the records it is asked to write.
//
// A program is started as `PROGRAM HOST:PORT SCENARIO NAME T0`. It does what the scenario says (`steps` below,
// in this order), prints one line of JSON for each step, and ends with exit code 0. It judges nothing: it
// tells what happened, and judge.ts knows what should have. All its topics and groups begin with NAME.
//
// Record number n has the key `key-<n mod 97>`, the value `value <n>` with n mod 20 times ` again`, the headers
// n=`<n>`, empty=`` and raw=00 ff 80, and the timestamp T0 + n in milliseconds. A record that was read is told
// as [partition, offset, n, crc]: n as in the value, crc of all that was read (`readChecksum` below).
import { crc32 } from "node:zlib";

import type { SentRecord } from "./client.ts";

/** Records a scenario writes into a topic. */
export const recordCount = 10_000;
/** The group of the journey: read by one member, by two that share, by the one that stays. */
export const groupParts = [4_000, 3_000, 3_000] as const;
/** A commit this far below each partition's end: where the next member begins. */
export const uncommittedCount = 7;
export const partitionCount = 3;
/** Records below this offset of partition 0 are deleted. */
export const deletedBelow = 100;

/** How the crash is paced: parts of so many records, so long apart, and at how many acknowledged to tell. */
export const crash = { part: 250, pauseMs: 25, acknowledged: [3_000, 6_500] } as const;

export const scenarios = {
  journey: [
    // Creates NAME-<codec> for each codec and NAME-group; `again` is the code of creating NAME-group again.
    "created",
    // For each codec: writes records 0..9999 to NAME-<codec>, idempotently if it can, and reads the topic alone.
    "produced",
    "read",
    // NAME-group, by the group of that name, committing nothing by itself, from the start: 4,000 records are
    // written and read by one member; it commits. A second one joins; when each owns partitions, 3,000 are
    // written and read, and both commit. The second leaves; 3,000 more. It commits 7 below its positions and
    // leaves. Another one joins and reads 7 of each partition.
    "group-first",
    "group-shared",
    "group-left",
    "group-committed",
    "group-restarted",
    // NAME-none: first and last offsets, and those at T0 - 1, T0, T0 + 5000 and T0 + 10000; -1 for none.
    "offsets",
    // retention.ms as it is, set to 86400000, and as it is then.
    "config",
    // Partition 0 below 100; then first offsets, and the topic read alone.
    "records-deleted",
    // All topics; `listed` are those of NAME that are still listed.
    "topics-deleted",
  ],
  crash: [
    // Creates NAME-crash and joins it with two members of a group, which commit what they have read again and again.
    "created",
    // Writes 0..9999 in parts of 250 with 25 ms between them and at most 1,000 on the way; says so when 3,000 and
    // when 6,500 are acknowledged. The server is killed at each and started again, so what failed is written
    // again until it is acknowledged.
    "producing",
    "produced",
    // When the members have read them all and the commits are at the ends, they leave.
    "consumed",
    "committed",
    "read",
  ],
} as const;

export type Scenario = keyof typeof scenarios;
export type Step = (typeof scenarios)[Scenario][number];
export type Fact = Readonly<Record<string, unknown>>;

export interface ReadFact {
  readonly partition: number;
  readonly offset: number;
  readonly number: number;
  readonly crc: number;
}

/** The CRC-32 a program must give for record n. */
export function checksum(n: number, t0: number): number {
  const headers = [
    ["n", Buffer.from(String(n))] as const,
    ["empty", empty] as const,
    ["raw", raw] as const,
  ];
  const [key, value] = [Buffer.from(`key-${n % 97}`), Buffer.from(valueOf(n))];
  return readChecksum({ key, value, headers, timestampMs: t0 + n });
}

/** The CRC-32 of key, value, and name and value of each header, a zero byte behind each, then the timestamp in decimal. */
export function readChecksum(record: SentRecord): number {
  const { key = empty, value = empty, headers, timestampMs } = record;
  const named = headers.flatMap(([name, bytes]) => [Buffer.from(name), bytes]);
  const fields = [key, value, ...named].flatMap((each) => [each, zero]);
  return crc32(Buffer.concat([...fields, Buffer.from(String(timestampMs))]));
}

const empty = Buffer.alloc(0);
const zero = Buffer.alloc(1);
export const raw = Buffer.from([0, 0xff, 0x80]);

export function valueOf(n: number): string {
  return `value ${n}${" again".repeat(n % 20)}`;
}

export function parseFact(line: string): Fact {
  const fact: unknown = JSON.parse(line);
  if (!isFact(fact)) throw new Error(`not an object: ${line}`);
  return fact;
}

function isFact(value: unknown): value is Fact {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function readsOf(value: unknown): readonly ReadFact[] {
  return listOf(value).map((each) => {
    const [partition, offset, number, crc] = listOf(each).map(numberOf);
    if (partition === undefined || offset === undefined)
      throw new Error(`not a record: ${String(each)}`);
    if (number === undefined || crc === undefined) throw new Error(`not a record: ${String(each)}`);
    return { partition, offset, number, crc };
  });
}

/** By partition: `{"0": 17}`. */
export function offsetsOf(value: unknown): ReadonlyMap<number, number> {
  if (!isFact(value)) throw new Error(`not offsets by partition: ${JSON.stringify(value)}`);
  const entries = Object.entries(value).map(([key, offset]) => {
    return [Number(key), numberOf(offset)] as const;
  });
  return new Map(entries.toSorted(([a], [b]) => a - b));
}

export function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Error(`not a list: ${JSON.stringify(value)}`);
  return value;
}

function numberOf(value: unknown): number {
  if (typeof value !== "number") throw new Error(`not a number: ${JSON.stringify(value)}`);
  return value;
}
