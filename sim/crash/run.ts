// Every crash on the way of every short workload: npm run sim:crash -- --states 5000
//
// `--only append,checkpoint` plays one workload; `--length 2` stops at shorter ones. `--part 3/8` plays the third of eight
// parts, and `--seen FILE` keeps the digests of the states over all of them, so that none is counted twice.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { enumerateCrashes } from "./enumerate.ts";
import { exhaustiveMax } from "./states.ts";

const { values: given } = parseArgs({
  options: {
    states: { type: "string", default: "Infinity" },
    seed: { type: "string", default: "1" },
    length: { type: "string", default: "3" },
    only: { type: "string" },
    part: { type: "string", default: "1/1" },
    seen: { type: "string" },
    first: { type: "boolean", default: false },
  },
});
const [part = 1, of = 1] = given.part.split("/").map(Number);
const known =
  given.seen !== undefined && existsSync(given.seen) ? readFileSync(given.seen, "utf8") : "";
const seen = new Set(known.split("\n").filter((line) => line !== ""));
const options = {
  states: Number(given.states),
  seed: Number(given.seed),
  length: Number(given.length),
  only: given.only,
  isFirstEnough: given.first,
  part: { index: part - 1, of },
  seen,
};
const isUsable =
  options.states > 0 &&
  Number.isInteger(options.seed) &&
  options.length >= 1 &&
  Number.isInteger(of) &&
  part >= 1 &&
  part <= of;
if (!isUsable) {
  throw new Error(
    "usage: --states N --seed N --length N --only operation,operation --part 1/8 --seen FILE",
  );
}

const started = performance.now();
let told = 0;
say(
  `seed ${options.seed}; every subset of up to ${exhaustiveMax} unsynced changes, a sample of more`,
);
const report = await enumerateCrashes({
  ...options,
  progress: ({ states, workloads, failures }) => {
    if (performance.now() - told < 10_000) return;
    told = performance.now();
    say(`  ${states} states, ${workloads} workloads, ${failures.length} failures`);
  },
});
for (const failure of report.failures.slice(0, 20)) say(`FAILED ${failure}`);
for (const [name, states] of [...report.statesOf].toSorted(([, left], [, right]) => right - left)) {
  say(`  ${name}: ${states}`);
}
if (given.seen !== undefined) writeFileSync(given.seen, `${[...seen].join("\n")}\n`);
const seconds = Math.round((performance.now() - started) / 1000);
say(`${report.checks} checks in ${seconds} s`);
if (of > 1) say(`part ${part} of ${of}; ${seen.size} states with the parts before`);
say(`${report.states} states, ${report.workloads} workloads, ${report.failures.length} failures`);
say(`${report.checks - report.failures.length} passed, ${report.failures.length} failed`);
process.exitCode = report.failures.length === 0 ? 0 : 1;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
