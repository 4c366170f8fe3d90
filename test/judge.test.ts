// The judge of the client programs: it must find what a server could do wrong.
import assert from "node:assert/strict";
import { test } from "node:test";

import { checksum, type Fact } from "./clients/facts.ts";
import { CrashJudge, JourneyJudge } from "./clients/judge.ts";

const t0 = 1_700_000_000_000;
const options = { bootstrap: "127.0.0.1:1", name: "t", t0 };

type Row = [partition: number, offset: number, number: number, crc: number];

/** All records as a right server stores them, those of key k in partition k mod 3. */
function stored(): Row[] {
  const ends = [0, 0, 0];
  return Array.from({ length: 10_000 }, (_, n) => {
    const partition = (n % 97) % 3;
    const offset = ends[partition] ?? 0;
    ends[partition] = offset + 1;
    return [partition, offset, n, checksum(n, t0)];
  });
}

function endsOf(rows: readonly Row[]): Record<string, number> {
  return Object.fromEntries(rows.map(([partition, offset]) => [partition, offset + 1]));
}

const damages: readonly (readonly [why: string, damage: (rows: Row[]) => void, message: RegExp])[] =
  [
    ["a record is missing at the end", (rows) => rows.pop(), /1 of 10000 records are missing/],
    ["a record in the middle is not read", (rows) => rows.splice(500, 1), /missing|is read at/],
    [
      "a record is altered",
      (rows) => rows.splice(7, 1, [1, 2, 7, 1]),
      /record 7 at 1\/2 is altered/,
    ],
    ["an offset is read twice", (rows) => rows.push(rows.at(-1) ?? [0, 0, 0, 0]), /is read at/],
    [
      "a record is stored twice",
      (rows) => rows.push([0, endsOf(rows)[0] ?? 0, 9_894, checksum(9_894, t0)]),
      /1 records are there twice/,
    ],
    ["two of a key change places", (rows) => exchange(rows, 0, 97), /of key-0 is behind 97/],
    ["two keys change partitions", (rows) => exchange(rows, 200, 201), /is in one partition/],
  ];

/** Lets two records change their places, their offsets stay. */
function exchange(rows: Row[], first: number, second: number): void {
  const [a, b] = [rows[first], rows[second]];
  assert.ok(a && b);
  rows[first] = [a[0], a[1], b[2], b[3]];
  rows[second] = [b[0], b[1], a[2], a[3]];
}

const asRead = (rows: readonly Row[]): Fact => ({ codec: "lz4", records: rows });

test("what was read is right, or the judge says what is wrong", () => {
  new JourneyJudge(options).read(asRead(stored()), "lz4");
  for (const [why, damage, message] of damages) {
    const rows = stored();
    damage(rows);
    assert.throws(() => new JourneyJudge(options).read(asRead(rows), "lz4"), { message }, why);
  }
});

interface Crash {
  rows: Row[];
  members: Row[][];
  committed: Record<string, number>;
}

function rightCrash(): Crash {
  const rows = stored();
  const members = [rows.filter(([each]) => each < 2), rows.filter(([each]) => each === 2)];
  return { rows, members, committed: endsOf(rows) };
}

function judged(crash: Crash, isIdempotent: boolean): void {
  const judge = new CrashJudge({ t0, isIdempotent });
  judge.produced({ acknowledged: 10_000 });
  judge.consumed({ members: crash.members });
  judge.committed({ committed: crash.committed });
  judge.read({ records: crash.rows });
}

/** A retry whose first attempt was written too. */
function repeat(crash: Crash): void {
  const again: Row = [2, endsOf(crash.rows)[2] ?? 0, 9_896, checksum(9_896, t0)];
  crash.rows.push(again);
  crash.members[1]?.push(again);
  crash.committed = endsOf(crash.rows);
}

test("after kill -9 all must be there, once if the client is idempotent, read and committed", () => {
  judged(rightCrash(), true);
  const rereading = rightCrash();
  rereading.members[0]?.push(...stored().slice(9_000));
  judged(rereading, true);

  const repeated = rightCrash();
  repeat(repeated);
  judged(repeated, false);
  assert.throws(() => judged(repeated, true), { message: /1 records are there twice/ });

  const lost = rightCrash();
  lost.rows.pop();
  assert.throws(() => judged(lost, false), { message: /records are missing/ });

  const unread = rightCrash();
  unread.members[1]?.splice(100, 1);
  assert.throws(() => judged(unread, true), { message: /1 not read by the group/ });

  const vanished = rightCrash();
  vanished.members[0]?.push([0, 5_000, 3, checksum(3, t0)]);
  assert.throws(() => judged(vanished, true), { message: /what is not there at 0\/5000/ });

  const forgotten = rightCrash();
  forgotten.committed["1"] = 17;
  assert.throws(() => judged(forgotten, true), { message: /commits are at the ends/ });
});
