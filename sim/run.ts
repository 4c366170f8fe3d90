// Worlds from seeds: npm run sim -- --seeds 2000 --seed 1
//
// A failing seed is printed with its options; `--seeds 1 --seed S --trace` prints all that happens in it.
import { parseArgs } from "node:util";

import { runWorld } from "./world.ts";

const { values: given } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    hashes: { type: "boolean", default: false },
    first: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
  },
});
const count = Number(given.seeds);
const first = Number(given.seed);
if (!(count >= 1) || !Number.isInteger(first)) {
  throw new Error("usage: --seeds N --seed S --hashes --trace");
}

const started = performance.now();
const total = { passed: 0, failed: 0, lives: 0, acked: 0, faults: 0, steps: 0, virtualMs: 0 };
let stray: Error | undefined;
process.on("unhandledRejection", (error) => {
  stray ??= error instanceof Error ? error : new Error(String(error));
});

for (let seed = first; seed < first + count && !(given.first && total.failed > 0); seed++) {
  try {
    stray = undefined;
    const report = await runWorld(seed, given.trace ? say : undefined);
    if (stray !== undefined) throw new Error("a rejection that nobody met", { cause: stray });
    total.passed++;
    total.lives += report.lives;
    total.acked += report.acked;
    total.faults += report.faults;
    total.steps += report.steps;
    total.virtualMs += report.virtualMs;
    if (given.hashes) say(`${seed} ${report.trace}`);
  } catch (error) {
    total.failed++;
    say(
      `FAILED seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
    const { planOf } = await import("./plan.ts");
    say(`  ${JSON.stringify(planOf(seed))}`);
  }
}
const seconds = Math.round((performance.now() - started) / 1000);
say(
  `${total.lives} processes, ${total.acked} acknowledged batches, ${total.faults} injected faults, ` +
    `${total.steps} steps, ${Math.round(total.virtualMs / 1000)} virtual s in ${seconds} s`,
);
say(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
