import assert from "node:assert/strict";
import { test } from "node:test";

import { assignRanges } from "./range-assignor.ts";

function shares(
  subscribers: readonly (readonly [memberId: string, ...topics: string[]])[],
  counts: Readonly<Record<string, number>>,
): Record<string, string[]> {
  const assigned = assignRanges(
    subscribers.map(([memberId, ...topics]) => ({ memberId, topics })),
    new Map(Object.entries(counts)),
  );
  return Object.fromEntries(
    [...assigned].map(([memberId, parts]) => [
      memberId,
      parts.map(({ topic, partition }) => `${topic}/${partition}`),
    ]),
  );
}

test("the first members get one partition more where it does not divide", () => {
  assert.deepEqual(
    shares(
      [
        ["b", "t"],
        ["a", "t"],
        ["c", "t"],
      ],
      { t: 8 },
    ),
    { a: ["t/0", "t/1", "t/2"], b: ["t/3", "t/4", "t/5"], c: ["t/6", "t/7"] },
  );
});

test("members beyond the partitions get none", () => {
  assert.deepEqual(
    shares(
      [
        ["a", "t"],
        ["b", "t"],
      ],
      { t: 1 },
    ),
    { a: ["t/0"], b: [] },
  );
});

test("a topic is shared among those who want it", () => {
  assert.deepEqual(
    shares(
      [
        ["a", "t", "u"],
        ["b", "u"],
      ],
      { t: 2, u: 2 },
    ),
    { a: ["t/0", "t/1", "u/0"], b: ["u/1"] },
  );
});

test("a topic that is not there gives nobody anything", () => {
  assert.deepEqual(shares([["a", "gone"]], {}), { a: [] });
});
