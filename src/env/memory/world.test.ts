import assert from "node:assert/strict";
import { test } from "node:test";

import { memoryEnv } from "./world.ts";

test("timers run at their time, in order, and a cancelled one never", () => {
  const { clock, timers } = memoryEnv({ seed: 1 });
  const ran: [string, number][] = [];
  const note = (name: string) => (): void => void ran.push([name, clock.monotonicMs()]);
  timers.after(20, note("late"));
  timers.after(10, () => {
    note("early")();
    timers.after(5, note("nested"));
    timers.soon(note("soon"));
  });
  timers.after(10, note("early too"));
  const cancelled = timers.after(12, note("never"));
  cancelled.cancel();
  cancelled.cancel();
  timers.advance(9.5);
  assert.deepEqual(ran, []);
  timers.advance(10.5);
  assert.deepEqual(ran, [
    ["early", 10],
    ["soon", 10],
    ["early too", 10],
    ["nested", 15],
    ["late", 20],
  ]);
  assert.equal(clock.monotonicMs(), 20);
  assert.equal(timers.nextDueMs, undefined);
});

test("what is put off within a turn comes in the next one", () => {
  const { timers } = memoryEnv({ seed: 1 });
  const ran: string[] = [];
  timers.soon(() => {
    ran.push("first");
    timers.soon(() => ran.push("second"));
  });
  timers.runSoon();
  assert.deepEqual(ran, ["first"]);
  assert.equal(timers.soonCount, 1);
  timers.runSoon();
  assert.deepEqual(ran, ["first", "second"]);
});

test("the wall clock may jump, and the monotonic one does not", () => {
  const { clock, timers } = memoryEnv({ seed: 1, wallStartMs: 1_000 });
  timers.advance(5);
  clock.jump(-500);
  assert.equal(clock.wallMs(), 505);
  assert.equal(clock.monotonicMs(), 5);
});

function draw(seed: number): string {
  const { random } = memoryEnv({ seed });
  const target = Buffer.alloc(8);
  // oxlint-disable-next-line unicorn/no-array-fill-with-reference-type -- this is no array
  random.fill(target);
  return `${target.toString("hex")} ${Buffer.from(random.uuid()).toString("hex")}`;
}

test("a seed fixes what is random", () => {
  assert.equal(draw(7), draw(7));
  assert.notEqual(draw(7), draw(8));
  const { random } = memoryEnv({ seed: 3 });
  const counts = [0, 0, 0, 0];
  for (let round = 0; round < 4_000; round++) {
    const drawn = random.below(4);
    counts[drawn] = (counts[drawn] ?? 0) + 1;
  }
  assert.ok(
    counts.every((count) => count > 850 && count < 1_150),
    String(counts),
  );
});

test("a world runs until a promise settles, or says that nothing is left", async () => {
  const { run, timers, clock } = memoryEnv({ seed: 1 });
  const hour = new Promise<string>((resolve) => {
    timers.after(3_600_000, () => timers.soon(() => resolve("done")));
  });
  assert.equal(await run(hour), "done");
  assert.equal(clock.monotonicMs(), 3_600_000);
  await assert.rejects(run(Promise.reject(new Error("its own"))), /its own/);
  await assert.rejects(run(new Promise(() => {})), /nothing is left/);
});
