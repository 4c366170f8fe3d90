// Failing calls, rotten bits and the reference model, small enough for every run: `npm run test:faults` does all of it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  damageAtRandom,
  flipEveryBit,
  flipEveryBitOfBackup,
  layouts,
  makeSubject,
  type Verdict,
} from "./faults/bit-rot.ts";
import { failCall, faults, shortenRead } from "./faults/nth-call.ts";
import { playSequence } from "./faults/reference.ts";

describe("a call of the disk that fails", () => {
  for (const fault of faults) {
    test(`${fault.name}: never a false acknowledgement`, async () => {
      for (let n = 1; n <= 200; n += 7) if (!(await failCall(fault, n))) return;
      assert.fail("the workload is longer than it is meant to be");
    });
  }

  test("a read that gives too little loses nothing", async () => {
    for (let n = 1; await shortenRead(n); n += 2) assert.ok(n < 200);
  });
});

const told =
  (failures: string[]) =>
  (_kind: string, verdict: Verdict | Error, what: string): void => {
    if (verdict instanceof Error) failures.push(`${what}: ${verdict.message}`);
  };

describe("damage at rest is named, or nothing is served from it", () => {
  for (const layout of layouts) {
    test(`a flipped bit of a store with ${layout}`, async () => {
      const failures: string[] = [];
      await flipEveryBit(await makeSubject(2, 1, layout), 61, told(failures));
      assert.deepEqual(failures, []);
    });
  }

  test("a flipped bit of a backup", async () => {
    const failures: string[] = [];
    await flipEveryBitOfBackup(await makeSubject(2, 1), 61, told(failures));
    assert.deepEqual(failures, []);
  });

  test("flips, cut files, zeroed and exchanged blocks in larger files", async () => {
    const failures: string[] = [];
    const subject = await makeSubject(15, 20);
    for (let seed = 1; seed <= 150; seed++) await damageAtRandom(subject, seed, told(failures));
    assert.deepEqual(failures, []);
  });
});

test("random sequences leave what a naive model has", async () => {
  for (let seed = 1; seed <= 250; seed++) await playSequence(seed);
});

// A retention had begun a checkpoint, and the one asked for later was taken for the same.
test("a checkpoint takes in what was written before it was asked for (sequence 15073)", async () => {
  await playSequence(15_073);
});
