// The simulator, small enough for every run: `npm run sim` and `npm run sim:crash` do the same at length.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";

import { enumerateCrashes } from "../sim/crash/enumerate.ts";
import { mutants } from "../sim/mutants/list.ts";
import { hashesHere, hashesThere } from "../sim/twice.ts";
import { runWorld } from "../sim/world.ts";

describe("every crash on the way of a short workload", () => {
  for (const [workload, what] of [
    ["trim,trim", "a second deletion of records was answered before the first was durable"],
    ["roll,kill", "a WAL file's name was not durable when a restart served what the file held"],
    ["append-two,kill", "the same, with batches of several topics"],
    ["retain,checkpoint-named,kill", "a restart removed what the checkpoint before still named"],
    ["close,roll,kill", "a clean end, then a process that was killed"],
    [
      "compact",
      "segments that are written anew take the place of others once a checkpoint names them",
    ],
  ] as const) {
    test(`${workload} (${what})`, async () => {
      const report = await enumerateCrashes({ states: Infinity, seed: 1, only: workload });
      assert.deepEqual(report.failures, []);
      assert.ok(report.states > 0);
    });
  }

  test("workloads of one operation, and some of two", async () => {
    const report = await enumerateCrashes({ states: 300, seed: 1 });
    assert.deepEqual(report.failures, []);
    assert.equal(report.states, 300);
  });
});

/** Two worlds in a row that are small. */
const first = 26;

describe("worlds from seeds", () => {
  for (const [seed, what] of [
    [2, "a successor trusted pages that a failed sync had left behind"],
    [16, "the same: a record was read, and later another one in its place"],
    [38, "the same with durability os: the store did not open any more"],
    [3, "a fetch answer's memory was given back before it left, with a network in between"],
    [150, "a topic made anew began with the offsets of the deleted one, after a failed write"],
  ] as const) {
    test(`seed ${seed} (${what})`, async () => {
      assert.ok((await runWorld(seed)).acked > 0);
    });
  }

  test("equal seeds give equal worlds, here and in another process", async () => {
    const here = await hashesHere(first, 2);
    assert.equal(new Set(here).size, 2);
    assert.deepEqual(await hashesHere(first, 2), here);
    assert.deepEqual(await hashesThere(process.execPath, first, 2), here);
  });
});

test("every mutant has one place in the sources", () => {
  assert.ok(mutants.length > 0);
  const lost = mutants.filter(
    ({ file, from }) => readFileSync(file, "utf8").split(from).length !== 2,
  );
  assert.deepEqual(
    lost.map(({ name, file }) => `${name}: ${file}`),
    [],
  );
});
