// The simulator, small enough for every run: `npm run sim` and `npm run sim:crash` do the same at length.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { enumerateCrashes } from "../sim/crash/enumerate.ts";

describe("every crash on the way of a short workload", () => {
  for (const [workload, what] of [
    ["trim,trim", "a second deletion of records was answered before the first was durable"],
    ["roll,kill", "a WAL file's name was not durable when a restart served what the file held"],
    ["append-two,kill", "the same, with batches of several topics"],
    ["retain,checkpoint-named,kill", "a restart removed what the checkpoint before still named"],
    ["close,roll,kill", "a clean end, then a process that was killed"],
  ] as const) {
    test(`${workload} (${what})`, async () => {
      const report = await enumerateCrashes({ states: Infinity, seed: 1, only: workload });
      assert.deepEqual(report.failures, []);
      assert.ok(report.states > 0);
    });
  }

  test("workloads of one operation, and some of two", async () => {
    const report = await enumerateCrashes({ states: 500, seed: 1 });
    assert.deepEqual(report.failures, []);
    assert.equal(report.states, 500);
  });
});
